//! Writes entries: of calls that are complete in one request, and of those in the inbox.

use attestry::{AuditEntry, EntryId, ErrorChain, Interaction, StorageError, metadata};
use attestry_genai::{CallRecord, Format};

use super::late::supplement;
use super::part::Part;
use super::recent::Written;
use super::reduce;
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

    /// Writes the calls of the inbox that are ready, then marks their parts. What the store fails to write stays in the
    /// inbox. Returns the result of the last write, if there was one.
    pub(super) async fn write_ready(&self, all: bool) -> Option<Result<(), Problem>> {
        let mut result = None;
        loop {
            let ready = self.waiting().take_ready(all, self.settings.bytes);
            if ready.is_empty() {
                break;
            }
            // The calls are in the inbox, whatever becomes of this future: only its process can end it.
            let (mut news, mut calls) = (Vec::with_capacity(ready.len()), Vec::new());
            let (mut failed, mut failure) = (Vec::new(), None);
            for ready in ready {
                match self.new_entry(&ready) {
                    Ok(new) => {
                        news.push(new);
                        calls.push(ready.call);
                    }
                    Err(error) => {
                        failed.push(ready.call);
                        failure = Some(error);
                    }
                }
            }
            let outcomes = self.write(news).await;
            let mut waiting = self.waiting();
            for (call, outcome) in calls.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Stored(id) => waiting.written(call, id),
                    Outcome::Refused(reason) => {
                        tracing::error!(reason, "a call in the inbox cannot be stored");
                        self.counters.dropped.add();
                        waiting.dropped(call);
                    }
                    Outcome::Failed(error) => {
                        failed.push(call);
                        failure = Some(error);
                    }
                }
            }
            let Some(error) = failure else {
                self.failing.writes.ended();
                result = Some(Ok(()));
                continue;
            };
            self.counters.failed_writes.add();
            self.failing.writes.log(&error, "calls in the inbox cannot be written");
            waiting.put_back(failed);
            result = Some(Err(error.into()));
            break;
        }
        self.mark().await;
        result
    }

    /// The entry of a call, with as much of it as can be prepared: its client has been answered.
    fn new_entry(&self, ready: &ReadyCall) -> Result<New, StorageError> {
        let interaction = || ready.call.record.clone().into_interaction(self.unmapped);
        let whole = interaction();
        let dated_now = whole.given_timestamp().is_none();
        let entry = match self.logger.prepare(whole) {
            Ok(entry) => entry,
            Err(error) => {
                self.note_reduced(&error);
                self.reduced_entry(&ready.call.record, &interaction)?
            }
        };
        Ok(New { entry, dated_now, target: ready.target.clone(), is_accepted: true })
    }

    fn reduced_entry(
        &self,
        record: &CallRecord,
        interaction: &dyn Fn() -> Interaction<'static>,
    ) -> Result<AuditEntry, StorageError> {
        let whole = interaction();
        let texts = [("input", whole.input()), ("output", whole.output())];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let truncated: Vec<&str> = texts.map(|(name, _)| name).collect();
        let mut entry = match self.logger.prepare_without_content(interaction()) {
            Ok(entry) => entry,
            Err(_) => {
                let entry = self.logger.prepare_without_content(identity(&whole, record));
                let failed = |error| StorageError::other("cannot prepare the entry", error);
                let mut entry = entry.map_err(failed)?;
                reduce::to_identity(&mut entry);
                entry
            }
        };
        reduce::note(&mut entry.metadata, metadata::TRUNCATED, &truncated);
        Ok(entry)
    }

    fn note_reduced(&self, error: &(dyn std::error::Error + 'static)) {
        self.counters.reduced.add();
        let reason = ErrorChain(error).to_string();
        tracing::warn!(reason, "a call is stored without what its entry cannot have");
    }

    /// Marks parts whose calls have been written.
    async fn mark(&self) {
        let Some((parts, time)) = self.waiting().take_unmarked() else { return };
        let ids: Vec<EntryId> = parts.iter().map(|part: &Part| part.id.clone()).collect();
        let marked = self.parts.mark_done(&ids, time).await;
        let mut waiting = self.waiting();
        match marked {
            Ok(()) => {
                self.failing.marks.ended();
                waiting.marked(&parts);
            }
            // Until then, a crash only makes the next server find that they are written.
            Err(error) => {
                self.failing.marks.log(&error, "calls in the inbox cannot be marked as written");
                waiting.mark_failed(parts);
            }
        }
    }

    /// Removes lines of the inbox whose calls have been written.
    pub(super) async fn sweep(&self, at_once: bool) {
        let Some(until) = self.waiting().removable(at_once) else { return };
        // If it fails, the next sweep removes them.
        match self.parts.remove_until(until).await {
            Ok(_) => {
                self.failing.sweeps.ended();
                self.waiting().removed(until);
            }
            Err(error) => {
                self.failing.sweeps.log(&error, "written calls cannot be removed from the inbox");
            }
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
        let New { entry, dated_now, is_accepted, .. } = new;
        match self.store_new(entry, is_accepted).await {
            Ok((entry, true)) => {
                self.counters.entries.add();
                Outcome::Stored(entry.id)
            }
            Ok((entry, false)) => {
                let target = Some(entry.id.clone());
                self.write_late(New { entry, dated_now, target, is_accepted }).await
            }
            Err(error) => error.into(),
        }
    }

    /// Stores `entry`, and returns what was stored and whether it is new. An entry that is not valid is reduced if its
    /// client has been answered.
    async fn store_new(
        &self,
        mut entry: AuditEntry,
        is_accepted: bool,
    ) -> Result<(AuditEntry, bool), StorageError> {
        let storage = self.logger.storage();
        let mut written = storage.write_new(std::slice::from_ref(&entry)).await;
        let steps: [fn(&mut AuditEntry); 2] = [reduce::without_content, reduce::to_identity];
        for (number, reduce) in steps.into_iter().enumerate() {
            match &written {
                // Too large for a line, as the union of parts that each fit.
                Err(error @ StorageError::InvalidEntry(_)) if is_accepted => {
                    if number == 0 {
                        self.note_reduced(error);
                    }
                }
                _ => break,
            }
            reduce(&mut entry);
            written = storage.write_new(std::slice::from_ref(&entry)).await;
        }
        let is_new = written?.contains(&true);
        Ok((entry, is_new))
    }

    /// Writes what an entry adds to that of the same call.
    async fn write_late(&self, new: New) -> Outcome {
        let New { entry, dated_now, target, is_accepted } = new;
        let Some(target) = target else { return Outcome::Stored(entry.id) };
        let added = match self.logger.storage().read(&target).await {
            Err(error) => return Outcome::Failed(error),
            Ok(Some(stored)) => {
                let is_same =
                    entry.id == stored.id && entry.is_same_interaction(&stored, dated_now);
                if is_same { None } else { supplement(entry, &stored, dated_now) }
            }
            // Erased meanwhile.
            Ok(None) => Some(entry),
        };
        let Some(added) = added else {
            self.counters.repeated.add();
            return Outcome::Stored(target);
        };
        match self.store_new(added, is_accepted).await {
            Ok((_, is_new)) => {
                if is_new {
                    self.counters.late.add();
                    self.counters.entries.add();
                }
                Outcome::Stored(target)
            }
            Err(error) => error.into(),
        }
    }
}

impl From<StorageError> for Outcome {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::InvalidEntry(_) => Self::Refused(ErrorChain(&error).to_string()),
            error => Self::Failed(error),
        }
    }
}

/// What identifies a call, without anything that may make an entry invalid.
fn identity<'a>(whole: &'a Interaction<'static>, record: &CallRecord) -> Interaction<'a> {
    let mut identity = Interaction::new(whole.input(), whole.output())
        .id(whole.given_id().cloned())
        .timestamp(record.started())
        .provider(record.provider())
        .model(record.model())
        .metadata(metadata::SOURCE, Format::Otlp.name());
    if let Some(id) = record.response_id() {
        identity = identity.metadata(metadata::RESPONSE_ID, id);
    }
    if let Some((trace, span)) = record.span() {
        identity = identity.metadata(metadata::TRACE_ID, trace).metadata(metadata::SPAN_ID, span);
    }
    identity
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use attestry::Query;

    use super::super::InboxSettings;
    use super::*;

    #[tokio::test]
    async fn accepted_call_that_exceeds_a_line_is_stored_without_content() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("audit");
        let logger = attestry::open(&store).store_content(true).await.unwrap();
        let deadline = Duration::from_secs(3600);
        let settings =
            InboxSettings { folder: folder.path().join("inbox"), deadline, bytes: 1 << 20 };
        let inbox = Inbox::open(logger.clone(), settings).await.unwrap();
        // Each quotation mark takes two bytes of a line.
        let new = |text: String, is_accepted| {
            let entry = logger.prepare(Interaction::new("question", text)).unwrap();
            New { entry, dated_now: false, target: None, is_accepted }
        };
        let long = || "\"".repeat(33 << 20);
        let news = vec![new(long(), true), new("short".to_owned(), true), new(long(), false)];
        let hash = news[0].entry.output_hash.clone();
        let outcomes = inbox.write(news).await;
        assert!(matches!(
            outcomes[..],
            [Outcome::Stored(_), Outcome::Stored(_), Outcome::Refused(_)]
        ));
        let entries = logger.page(Query::new()).await.unwrap().entries;
        assert_eq!(entries.len(), 2);
        let reduced = entries.iter().find(|entry| entry.output_hash == hash).unwrap();
        assert_eq!((&reduced.input_content, &reduced.output_content), (&None, &None));
        let truncated = serde_json::json!(["input", "output"]);
        assert_eq!(reduced.metadata[metadata::TRUNCATED], truncated);
        assert_eq!((inbox.counters.reduced.get(), inbox.counters.entries.get()), (1, 2));
    }
}
