//! What must be in the store, what must not be, and what may be, by the notes of the workers.
//!
//! An entry may be written, erased and written again, by several calls at once. What it comes to is
//! what the last of them did; which calls may be the last follows from when each began and ended.

use std::collections::BTreeMap;
use std::path::Path;

use attestry_core::Timestamp;

use crate::notes::{Note, is_of};
use crate::outcome::Result;
use crate::sample;

/// What must become of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was acknowledged: it is there, once.
    There,
    /// Its erasure was acknowledged: it is not there.
    Gone,
    /// A call about it did not return: it is there once, or not at all.
    Either,
}

/// What a call does to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Write,
    Erase,
}

/// A call; moments are numbers of notes.
#[derive(Debug, Clone)]
struct Call {
    effect: Effect,
    begun: usize,
    /// When it returned, or its process died.
    ended: Option<usize>,
    /// It returned, so that it has done what it is for. Else it may have.
    answered: bool,
}

#[derive(Debug, Clone)]
struct Known {
    timestamp: Timestamp,
    /// The calls about it, by their numbers, since all was settled.
    calls: Vec<usize>,
    /// When the latest call of each kind began, ever.
    write_begun: usize,
    erase_begun: usize,
}

/// All entries there are notes about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<String, Known>,
    calls: Vec<Call>,
    /// Those that have not ended, by name.
    open: BTreeMap<String, usize>,
    notes: usize,
    /// The calls that erase all until some moment, since all was settled.
    expiries: Vec<(Timestamp, usize)>,
    /// When each of them began, ever.
    expiries_begun: Vec<(Timestamp, usize)>,
    /// How often a reader saw the whole store.
    pub(crate) reads: usize,
    /// How many entries were written again.
    pub(crate) rewritten: usize,
    /// How many others under an id that is taken were refused.
    pub(crate) differed: usize,
    /// Checkpoints that were handed out.
    pub(crate) signed: Vec<String>,
    /// What went wrong.
    pub(crate) problems: Vec<String>,
}

impl Ledger {
    /// From the file that notes were appended to; empty where there is none yet.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Self::from_text(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// From notes in a text.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        let mut ledger = Self::default();
        Note::all(text)?.into_iter().try_for_each(|note| ledger.take(note))?;
        Ok(ledger)
    }

    /// Takes the next note in.
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
                    self.calls[call].answered = true;
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
        self.calls.push(Call { effect, begun: self.notes, ended: None, answered: false });
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

    /// An entry that there may be from now on.
    pub(crate) fn expect(&mut self, id: &str, timestamp: Timestamp) {
        self.know(id.to_owned(), timestamp);
        self.decide(id, Effect::Write, false);
    }

    /// An entry that is there by now.
    pub(crate) fn acknowledge(&mut self, id: &str) {
        self.decide(id, Effect::Write, true);
    }

    /// An entry that is gone by now.
    pub(crate) fn strike(&mut self, id: &str) {
        self.decide(id, Effect::Erase, true);
    }

    /// Has this be all that was done about an entry.
    fn decide(&mut self, id: &str, effect: Effect, answered: bool) {
        let begun = self.notes;
        let ended = answered.then_some(begun);
        if let Some(known) = self.known.get_mut(id) {
            known.calls = vec![self.calls.len()];
            self.calls.push(Call { effect, begun, ended, answered });
        }
    }

    /// What was in doubt is not any more: what was found stays, what was not found stays away.
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
        // What ended before the last answered one began was not the last.
        let since =
            self.calls_about(known).filter(|call| call.answered).map(|call| call.begun).max();
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
            (true, false) => Fate::There,
            (false, _) => Fate::Gone,
            (true, true) => Fate::Either,
        }
    }

    /// What must become of the entry; `None` where nobody wrote it.
    pub(crate) fn fate(&self, id: &str) -> Option<Fate> {
        self.known.get(id).map(|known| self.fate_of(known))
    }

    /// The ids of entries with this fate.
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

    /// How many entries have this fate.
    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.with_fate(fate).count()
    }

    /// Entries in doubt that nobody alive is writing: those to be written again.
    pub(crate) fn left(&self) -> Vec<&str> {
        let idle = |known: &&Known| {
            self.calls_about(known).all(|call| call.effect == Effect::Erase || call.ended.is_some())
        };
        let left = self.known.iter().filter(|(_, known)| idle(known));
        left.filter(|(_, known)| self.fate_of(known) == Fate::Either)
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// Whether an entry was there, as `before` tells, and nobody has tried to erase it since.
    pub(crate) fn stayed(&self, id: &str, before: &Self) -> bool {
        let Some(known) = self.known.get(id) else { return false };
        let expiring = self.expiries_begun.iter().filter(|(until, _)| known.timestamp <= *until);
        let erased = expiring.map(|(_, begun)| *begun).chain([known.erase_begun]).max();
        before.fate(id) == Some(Fate::There) && erased <= Some(before.notes)
    }

    /// Whether an entry was gone, as `before` tells, and nobody has tried to write it since.
    pub(crate) fn stayed_away(&self, id: &str, before: &Self) -> bool {
        let begun = self.known.get(id).map_or(0, |known| known.write_begun);
        before.fate(id) == Some(Fate::Gone) && begun <= before.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(notes: &str) -> Ledger {
        Ledger::from_text(notes).unwrap()
    }

    #[test]
    fn what_was_acknowledged_decides() {
        let ledger = ledger(
            "write 1-0 w1-1 w1-2 w2-900;\ndone 1-0;\nwrite 1-1 w1-3;\nerase 2-1 w1-1;\ndone 2-1;\n\
             erase 2-2 w1-2;\n",
        );
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Gone));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Either));
        assert_eq!(ledger.fate("w1-3"), Some(Fate::Either));
        assert_eq!(ledger.fate("w2-900"), Some(Fate::There));
        assert_eq!(ledger.fate("w9-9"), None);
    }

    #[test]
    fn an_expiry_takes_what_was_there_when_it_began() {
        let ledger = ledger(
            "write 1-0 w1-1;\ndone 1-0;\nwrite 1-1 w1-2;\nexpire 2-0 2026-02-01T00:00:00;\ndone 1-1;\n\
             done 2-0;\nwrite 1-2 w1-4;\ndone 1-2;\n",
        );
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Gone));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Either));
        assert_eq!(ledger.fate("w1-4"), Some(Fate::There));
    }

    #[test]
    fn what_was_found_after_a_crash_settles_doubts() {
        let ledger = ledger(
            "write 1-0 w1-1 w1-2;\nwrite 1-1 w1-3;\ndone 1-1;\nerase 2-0 w1-3;\nsettled w1-1 w1-3;\n",
        );
        assert_eq!(ledger.by_time(Fate::There), ["w1-1", "w1-3"]);
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Gone));
    }

    #[test]
    fn a_retry_is_an_acknowledgement() {
        let first = "write 1-0 w1-1;\ndied 1;\n";
        assert_eq!(ledger(first).fate("w1-1"), Some(Fate::Either));
        assert_eq!(ledger(first).left(), ["w1-1"]);
        let again = format!("{first}write 2-0 w1-1;\ndone 2-0;\n");
        assert_eq!(ledger(&again).fate("w1-1"), Some(Fate::There));
        assert_eq!(ledger(&again).rewritten, 1);
        // The call of one that is alive may yet do anything, and nobody else should write.
        assert!(ledger("write 1-0 w1-1;\n").left().is_empty());
    }

    #[test]
    fn what_is_written_again_is_not_taken_by_an_erasure_that_was_begun_before() {
        let first = "write 1-0 w1-1;\ndone 1-0;\nerase 1-1 w1-1;\n";
        let alive = ledger(&format!("{first}write 2-0 w1-1;\ndone 2-0;\n"));
        assert_eq!(alive.fate("w1-1"), Some(Fate::Either));
        let dead = ledger(&format!("{first}died 1;\nwrite 2-0 w1-1;\ndone 2-0;\n"));
        assert_eq!(dead.fate("w1-1"), Some(Fate::There));
        let erased = ledger(&format!("{first}done 1-1;\nwrite 2-0 w1-1;\n"));
        assert_eq!(erased.fate("w1-1"), Some(Fate::Either));
    }

    #[test]
    fn between_two_looks_an_entry_may_have_gone_and_come_back() {
        let before = "write 1-0 w1-1;\ndone 1-0;\n";
        let erased = format!("{before}erase 1-1 w1-1;\ndone 1-1;\n");
        let after = format!("{erased}write 1-2 w1-1;\ndone 1-2;\n");
        assert!(ledger(before).stayed("w1-1", &ledger(before)));
        assert!(!ledger(&after).stayed("w1-1", &ledger(before)));
        assert!(ledger(&erased).stayed_away("w1-1", &ledger(&erased)));
        assert!(!ledger(&after).stayed_away("w1-1", &ledger(&erased)));
        let settled = format!("{after}settled w1-1;\n");
        assert!(!ledger(&settled).stayed("w1-1", &ledger(before)));
    }
}
