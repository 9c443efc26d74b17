//! Writes entries: of calls that are complete in one request, and of those in the inbox.

use attestry::{AuditEntry, EntryId, ErrorChain, StorageError};

use super::late::supplement;
use super::part::Part;
use super::recent::Written;
use super::waiting::ReadyCall;
use super::{Accepted, Begun, Direct, Inbox};
use crate::http::problem::Problem;

/// An entry to be written.
struct New {
    entry: AuditEntry,
    /// Whether the time of the entry is that of its writing.
    dated_now: bool,
    /// The entry of the same call, if one has been written.
    target: Option<EntryId>,
    /// Whether its client has been answered, so that it cannot be refused any more.
    is_accepted: bool,
}

/// What became of an entry.
enum Outcome {
    /// The call is stored under this id.
    Stored(EntryId),
    /// It cannot be stored.
    Refused(String),
    /// The store failed.
    Failed(StorageError),
}

impl Inbox {
    /// Writes calls that are complete in one request. Returns which were refused.
    pub(super) async fn write_direct(
        &self,
        calls: Vec<Direct>,
        begun: Begun,
    ) -> Result<Accepted, Problem> {
        let mut accepted = Accepted::default();
        if calls.is_empty() {
            return Ok(accepted);
        }
        let (mut news, mut rest) = (Vec::with_capacity(calls.len()), Vec::new());
        for Direct { entry, dated_now, records } in calls {
            rest.push((entry.timestamp, records));
            news.push(New { entry, dated_now, target: None, is_accepted: false });
        }
        let outcomes = self.write(news).await;
        let mut failure = None;
        {
            let mut waiting = self.waiting();
            for (((started, records), keys), outcome) in rest.iter().zip(&begun.keys).zip(outcomes)
            {
                match outcome {
                    Outcome::Stored(id) => {
                        waiting.recent.set(keys, Some(*started), &Written::Stored(id));
                    }
                    Outcome::Refused(reason) => accepted.refuse(*records, reason),
                    Outcome::Failed(error) => failure = Some(error),
                }
            }
        }
        drop(begun);
        // A part may have waited for the result.
        self.ready.notify_one();
        match failure {
            None => Ok(accepted),
            Some(error) => Err(error.into()),
        }
    }

    /// Writes the calls of the inbox that are ready, then marks their parts. What cannot be written stays in the inbox.
    pub(super) async fn write_ready(&self, all: bool) {
        loop {
            let ready = self.waiting().take_ready(all, self.settings.bytes);
            if ready.is_empty() {
                break;
            }
            // The calls are in the inbox, whatever becomes of this future: only its process can end it.
            let mut failed = Vec::new();
            let mut outcomes = Vec::with_capacity(ready.len());
            match ready.iter().map(|ready| self.new_entry(ready)).collect() {
                Ok(news) => outcomes = self.write(news).await,
                Err(error) => outcomes.push(Outcome::Failed(error)),
            }
            let mut outcomes = outcomes.into_iter();
            let mut waiting = self.waiting();
            for ReadyCall { call, .. } in ready {
                match outcomes.next() {
                    Some(Outcome::Stored(id)) => waiting.written(call, id),
                    _ => failed.push(call),
                }
            }
            if !failed.is_empty() {
                self.counters.failed_writes.add();
                waiting.put_back(failed);
                break;
            }
        }
        self.mark().await;
    }

    /// What was checked when the parts were received can be prepared; if not, the write fails, and is tried again.
    fn new_entry(&self, ready: &ReadyCall) -> Result<New, StorageError> {
        let interaction = ready.call.record.clone().into_interaction(self.unmapped);
        let dated_now = interaction.given_timestamp().is_none();
        let prepared = self.logger.prepare(interaction);
        let entry =
            prepared.map_err(|error| StorageError::other("cannot prepare the entry", error))?;
        Ok(New { entry, dated_now, target: ready.target.clone(), is_accepted: true })
    }

    /// Marks parts whose calls have been written.
    async fn mark(&self) {
        let Some((parts, time)) = self.waiting().take_unmarked() else { return };
        let ids: Vec<EntryId> = parts.iter().map(|part: &Part| part.id.clone()).collect();
        let marked = self.parts.mark_done(&ids, time).await;
        let mut waiting = self.waiting();
        match marked {
            Ok(()) => waiting.marked(&parts),
            // Until then, a crash only makes the next server find that they are written.
            Err(_) => waiting.mark_failed(parts),
        }
    }

    /// Removes lines of the inbox whose calls have been written.
    pub(super) async fn sweep(&self, at_once: bool) {
        let Some(until) = self.waiting().removable(at_once) else { return };
        // If it fails, the next sweep removes them.
        if self.parts.remove_until(until).await.is_ok() {
            self.waiting().removed(until);
        }
    }

    /// Writes each entry once, and of those of which another entry is stored what they add to it.
    async fn write(&self, news: Vec<New>) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = news.iter().map(|_| None).collect();
        let (mut entries, mut places) = (Vec::with_capacity(news.len()), Vec::new());
        for (place, new) in news.into_iter().enumerate() {
            if new.target.is_some() {
                outcomes[place] = Some(self.write_late(new).await);
            } else {
                places.push((place, new.dated_now, new.is_accepted));
                entries.push(new.entry);
            }
        }
        if entries.is_empty() {
            return outcomes.into_iter().flatten().collect();
        }
        match self.logger.storage().write_new(&entries).await {
            Ok(new) => {
                for ((entry, (place, dated_now, is_accepted)), is_new) in
                    entries.into_iter().zip(places).zip(new)
                {
                    outcomes[place] = Some(if is_new {
                        self.counters.entries.add();
                        Outcome::Stored(entry.id)
                    } else {
                        let target = Some(entry.id.clone());
                        self.write_late(New { entry, dated_now, target, is_accepted }).await
                    });
                }
            }
            // One of them is invalid, and nothing is stored.
            Err(StorageError::InvalidEntry(_)) => {
                for (entry, (place, dated_now, is_accepted)) in entries.into_iter().zip(places) {
                    let new = New { entry, dated_now, target: None, is_accepted };
                    outcomes[place] = Some(self.write_one(new).await);
                }
            }
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                let mut first = Some(error);
                for (place, ..) in places {
                    let error = first.take().unwrap_or_else(|| StorageError::message(text.clone()));
                    outcomes[place] = Some(Outcome::Failed(error));
                }
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    async fn write_one(&self, new: New) -> Outcome {
        let New { mut entry, dated_now, is_accepted, .. } = new;
        let mut written = self.logger.storage().write_new(std::slice::from_ref(&entry)).await;
        if let (Err(StorageError::InvalidEntry(_)), true) = (&written, is_accepted) {
            // Too large for a line, as the union of parts that each fit: the hashes are kept.
            (entry.input_content, entry.output_content) = (None, None);
            entry.metadata.retain(|key, _| key != attestry::metadata::OTHER);
            written = self.logger.storage().write_new(std::slice::from_ref(&entry)).await;
        }
        match written {
            Ok(new) if new.contains(&true) => {
                self.counters.entries.add();
                Outcome::Stored(entry.id)
            }
            Ok(_) => {
                let target = Some(entry.id.clone());
                self.write_late(New { entry, dated_now, target, is_accepted }).await
            }
            Err(error @ StorageError::InvalidEntry(_)) => {
                Outcome::Refused(ErrorChain(&error).to_string())
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Writes what an entry adds to that of the same call.
    async fn write_late(&self, new: New) -> Outcome {
        let New { entry, dated_now, target, .. } = new;
        let Some(target) = target else { return Outcome::Stored(entry.id) };
        let added = match self.logger.storage().read(&target).await {
            Err(error) => return Outcome::Failed(error),
            Ok(Some(stored)) => {
                let is_same =
                    entry.id == stored.id && entry.is_same_interaction(&stored, dated_now);
                if is_same { None } else { supplement(entry, &stored) }
            }
            // Erased meanwhile.
            Ok(None) => Some(entry),
        };
        let Some(added) = added else {
            self.counters.repeated.add();
            return Outcome::Stored(target);
        };
        match self.logger.storage().write_new(std::slice::from_ref(&added)).await {
            Ok(new) => {
                if new.contains(&true) {
                    self.counters.late.add();
                    self.counters.entries.add();
                }
                Outcome::Stored(target)
            }
            Err(error @ StorageError::InvalidEntry(_)) => {
                Outcome::Refused(ErrorChain(&error).to_string())
            }
            Err(error) => Outcome::Failed(error),
        }
    }
}
