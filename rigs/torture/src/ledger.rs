//! The expected state of the store, derived from the notes: which entries must be present, must be absent, or may be
//! either.
//!
//! An entry may be written, erased and written again, by concurrent calls. Its state is the effect of the last call;
//! the calls that may have been last follow from when each began and ended.

use std::collections::BTreeMap;
use std::path::Path;

use attestry_core::Timestamp;

use crate::notes::{Note, is_of};
use crate::outcome::Result;
use crate::sample;

/// The expected state of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its write was acknowledged: it must be present, once.
    Present,
    /// Its erasure was acknowledged: it must be absent.
    Absent,
    /// A call on it did not return: it may be present once, or absent.
    Unknown,
}

/// What a call does to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Write,
    Erase,
}

/// A call. Times are numbers of notes.
#[derive(Debug, Clone)]
struct Call {
    effect: Effect,
    begun: usize,
    /// When it returned or its process died.
    ended: Option<usize>,
    /// It succeeded; otherwise it may have had its effect.
    acknowledged: bool,
}

#[derive(Debug, Clone)]
struct Known {
    timestamp: Timestamp,
    /// The calls on it since the last [`Note::Settled`].
    calls: Vec<usize>,
    /// When the latest call of each kind began.
    write_begun: usize,
    erase_begun: usize,
}

/// All entries that the notes mention.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<String, Known>,
    calls: Vec<Call>,
    /// The pending calls by name.
    open: BTreeMap<String, usize>,
    notes: usize,
    /// The expiries, with their cutoffs, since the last [`Note::Settled`].
    expiries: Vec<(Timestamp, usize)>,
    /// When each expiry began, since the start.
    expiries_begun: Vec<(Timestamp, usize)>,
    /// Number of reads of the whole store.
    pub(crate) reads: usize,
    /// Number of entries that were written again.
    pub(crate) rewritten: usize,
    /// Number of conflicting entries that were refused.
    pub(crate) differed: usize,
    /// Issued checkpoints.
    pub(crate) signed: Vec<String>,
    /// Failures of workers.
    pub(crate) problems: Vec<String>,
}

impl Ledger {
    /// From a file of notes; empty if it does not exist.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Self::from_text(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// From the text of notes.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        let mut ledger = Self::default();
        Note::all(text)?.into_iter().try_for_each(|note| ledger.take(note))?;
        Ok(ledger)
    }

    /// Applies the next note.
    pub(crate) fn take(&mut self, note: Note) -> Result {
        self.notes += 1;
        match note {
            Note::Write(name, ids) => {
                let call = self.begin(name, Effect::Write);
                for id in ids {
                    let timestamp = sample::timestamp(&id)?;
                    self.rewritten += usize::from(self.known.contains_key(&id));
                    self.know(id.clone(), timestamp);
                    self.concern(&id, call);
                }
            }
            Note::Erase(name, id) => {
                let call = self.begin(name, Effect::Erase);
                self.concern(&id, call);
            }
            Note::Expire(name, until) => {
                let call = self.begin(name, Effect::Erase);
                self.expiries.push((until, call));
                self.expiries_begun.push((until, self.notes));
            }
            Note::Done(name) => {
                if let Some(call) = self.open.remove(&name) {
                    self.calls[call].ended = Some(self.notes);
                    self.calls[call].acknowledged = true;
                }
            }
            Note::Died(worker) => {
                let (calls, now) = (&mut self.calls, self.notes);
                self.open.retain(|name, call| {
                    let dead = is_of(name, worker);
                    if dead {
                        calls[*call].ended = Some(now);
                    }
                    !dead
                });
            }
            Note::Settled(ids) => self.settle(&ids),
            Note::Refused(_) => {}
            Note::Differed(_) => self.differed += 1,
            Note::Signed(note) => self.signed.push(note),
            Note::Read => self.reads += 1,
            Note::Problem(text) => self.problems.push(text),
        }
        Ok(())
    }

    fn begin(&mut self, name: String, effect: Effect) -> usize {
        let call = self.calls.len();
        self.calls.push(Call { effect, begun: self.notes, ended: None, acknowledged: false });
        self.open.insert(name, call);
        call
    }

    fn concern(&mut self, id: &str, call: usize) {
        let Some(known) = self.known.get_mut(id) else { return };
        known.calls.push(call);
        match self.calls[call].effect {
            Effect::Write => known.write_begun = self.notes,
            Effect::Erase => known.erase_begun = self.notes,
        }
    }

    fn know(&mut self, id: String, timestamp: Timestamp) {
        self.known.entry(id).or_insert(Known {
            timestamp,
            calls: Vec::new(),
            write_begun: 0,
            erase_begun: 0,
        });
    }

    /// The entry may be present from now on.
    pub(crate) fn expect(&mut self, id: &str, timestamp: Timestamp) {
        self.know(id.to_owned(), timestamp);
        self.decide(id, Effect::Write, false);
    }

    /// The entry is present now.
    pub(crate) fn acknowledge(&mut self, id: &str) {
        self.decide(id, Effect::Write, true);
    }

    /// The entry is absent now.
    pub(crate) fn strike(&mut self, id: &str) {
        self.decide(id, Effect::Erase, true);
    }

    /// Replaces all calls on the entry by this one.
    fn decide(&mut self, id: &str, effect: Effect, acknowledged: bool) {
        let begun = self.notes;
        let ended = acknowledged.then_some(begun);
        if let Some(known) = self.known.get_mut(id) {
            known.calls = vec![self.calls.len()];
            self.calls.push(Call { effect, begun, ended, acknowledged });
        }
    }

    /// Resolves every unknown state: found entries are present, all others absent.
    fn settle(&mut self, found: &[String]) {
        self.calls.clear();
        self.open.clear();
        self.expiries.clear();
        for known in self.known.values_mut() {
            known.calls.clear();
        }
        for id in found {
            self.acknowledge(id);
        }
    }

    fn calls_about(&self, known: &Known) -> impl Iterator<Item = &Call> {
        let timestamp = known.timestamp;
        let expiries = self.expiries.iter().filter(move |(until, _)| timestamp <= *until);
        let calls = known.calls.iter().copied().chain(expiries.map(|(_, call)| *call));
        calls.map(|call| &self.calls[call])
    }

    fn fate_of(&self, known: &Known) -> Fate {
        // A call that ended before the last acknowledged call began was not the last.
        let since =
            self.calls_about(known).filter(|call| call.acknowledged).map(|call| call.begun).max();
        let (mut there, mut gone) = (false, since.is_none());
        for call in self.calls_about(known) {
            if call.ended.zip(since).is_none_or(|(ended, since)| ended >= since) {
                match call.effect {
                    Effect::Write => there = true,
                    Effect::Erase => gone = true,
                }
            }
        }
        match (there, gone) {
            (true, false) => Fate::Present,
            (false, _) => Fate::Absent,
            (true, true) => Fate::Unknown,
        }
    }

    /// The expected state of the entry; `None` if it was never written.
    pub(crate) fn fate(&self, id: &str) -> Option<Fate> {
        self.known.get(id).map(|known| self.fate_of(known))
    }

    /// The ids of the entries in this state.
    pub(crate) fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &str> {
        self.known
            .iter()
            .filter(move |(_, known)| self.fate_of(known) == fate)
            .map(|(id, _)| id.as_str())
    }

    /// [`with_fate`](Self::with_fate), earliest first.
    pub(crate) fn by_time(&self, fate: Fate) -> Vec<&str> {
        let mut ids: Vec<&str> = self.with_fate(fate).collect();
        ids.sort_by_key(|id| self.known.get(*id).map(|known| known.timestamp));
        ids
    }

    /// The number of entries in this state.
    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.with_fate(fate).count()
    }

    /// Entries in an unknown state that no running worker is writing: those to retry.
    pub(crate) fn to_retry(&self) -> Vec<&str> {
        let is_idle = |known: &&Known| {
            self.calls_about(known).all(|call| call.effect == Effect::Erase || call.ended.is_some())
        };
        let idle = self.known.iter().filter(|(_, known)| is_idle(known));
        idle.filter(|(_, known)| self.fate_of(known) == Fate::Unknown)
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// Whether the entry was present in `before` and no erasure began since.
    pub(crate) fn stayed_present(&self, id: &str, before: &Self) -> bool {
        let Some(known) = self.known.get(id) else { return false };
        let expiring = self.expiries_begun.iter().filter(|(until, _)| known.timestamp <= *until);
        let erased = expiring.map(|(_, begun)| *begun).chain([known.erase_begun]).max();
        before.fate(id) == Some(Fate::Present) && erased <= Some(before.notes)
    }

    /// Whether the entry was absent in `before` and no write began since.
    pub(crate) fn stayed_absent(&self, id: &str, before: &Self) -> bool {
        let begun = self.known.get(id).map_or(0, |known| known.write_begun);
        before.fate(id) == Some(Fate::Absent) && begun <= before.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(notes: &str) -> Ledger {
        Ledger::from_text(notes).unwrap()
    }

    #[test]
    fn the_last_acknowledgement_decides() {
        let ledger = ledger(
            "write 1-0 w1-1 w1-2 w2-900;\ndone 1-0;\nwrite 1-1 w1-3;\nerase 2-1 w1-1;\ndone 2-1;\n\
             erase 2-2 w1-2;\n",
        );
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Absent));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Unknown));
        assert_eq!(ledger.fate("w1-3"), Some(Fate::Unknown));
        assert_eq!(ledger.fate("w2-900"), Some(Fate::Present));
        assert_eq!(ledger.fate("w9-9"), None);
    }

    #[test]
    fn an_expiry_covers_entries_acknowledged_before_it() {
        let ledger = ledger(
            "write 1-0 w1-1;\ndone 1-0;\nwrite 1-1 w1-2;\nexpire 2-0 2026-02-01T00:00:00;\ndone 1-1;\n\
             done 2-0;\nwrite 1-2 w1-4;\ndone 1-2;\n",
        );
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Absent));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Unknown));
        assert_eq!(ledger.fate("w1-4"), Some(Fate::Present));
    }

    #[test]
    fn settling_resolves_unknown_states() {
        let ledger = ledger(
            "write 1-0 w1-1 w1-2;\nwrite 1-1 w1-3;\ndone 1-1;\nerase 2-0 w1-3;\nsettled w1-1 w1-3;\n",
        );
        assert_eq!(ledger.by_time(Fate::Present), ["w1-1", "w1-3"]);
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Absent));
    }

    #[test]
    fn a_retry_is_an_acknowledgement() {
        let first = "write 1-0 w1-1;\ndied 1;\n";
        assert_eq!(ledger(first).fate("w1-1"), Some(Fate::Unknown));
        assert_eq!(ledger(first).to_retry(), ["w1-1"]);
        let again = format!("{first}write 2-0 w1-1;\ndone 2-0;\n");
        assert_eq!(ledger(&again).fate("w1-1"), Some(Fate::Present));
        assert_eq!(ledger(&again).rewritten, 1);
        // The call of a running worker may still take effect, so no other worker retries it.
        assert!(ledger("write 1-0 w1-1;\n").to_retry().is_empty());
    }

    #[test]
    fn a_rewrite_outlives_an_erasure_pending_in_a_dead_worker() {
        let first = "write 1-0 w1-1;\ndone 1-0;\nerase 1-1 w1-1;\n";
        let alive = ledger(&format!("{first}write 2-0 w1-1;\ndone 2-0;\n"));
        assert_eq!(alive.fate("w1-1"), Some(Fate::Unknown));
        let dead = ledger(&format!("{first}died 1;\nwrite 2-0 w1-1;\ndone 2-0;\n"));
        assert_eq!(dead.fate("w1-1"), Some(Fate::Present));
        let erased = ledger(&format!("{first}done 1-1;\nwrite 2-0 w1-1;\n"));
        assert_eq!(erased.fate("w1-1"), Some(Fate::Unknown));
    }

    #[test]
    fn an_entry_may_vanish_and_return_between_two_reads() {
        let before = "write 1-0 w1-1;\ndone 1-0;\n";
        let erased = format!("{before}erase 1-1 w1-1;\ndone 1-1;\n");
        let after = format!("{erased}write 1-2 w1-1;\ndone 1-2;\n");
        assert!(ledger(before).stayed_present("w1-1", &ledger(before)));
        assert!(!ledger(&after).stayed_present("w1-1", &ledger(before)));
        assert!(ledger(&erased).stayed_absent("w1-1", &ledger(&erased)));
        assert!(!ledger(&after).stayed_absent("w1-1", &ledger(&erased)));
        let settled = format!("{after}settled w1-1;\n");
        assert!(!ledger(&settled).stayed_present("w1-1", &ledger(before)));
    }
}
