//! What must be in the store, what must not be, and what may be, by the notes of the workers.

use std::collections::BTreeMap;
use std::path::Path;

use attestry_core::Timestamp;

use crate::notes::Note;
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

#[derive(Debug, Clone)]
struct Known {
    timestamp: Timestamp,
    /// The number of the note that acknowledged it.
    acknowledged: Option<usize>,
    erase_begun: bool,
    erased: bool,
}

/// All entries there are notes about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<String, Known>,
    notes: usize,
    /// Expiries by name: until when, and before which note an entry must have been written.
    expiries: BTreeMap<String, (Timestamp, usize)>,
    latest_expiry: Option<Timestamp>,
    /// How often a reader saw the whole store.
    pub(crate) reads: usize,
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
            Note::Write(ids) => {
                for id in ids {
                    let timestamp = sample::timestamp(&id)?;
                    self.expect(id, timestamp);
                }
            }
            Note::Wrote(ids) => {
                for id in &ids {
                    self.acknowledge(id);
                }
            }
            Note::Erase(id) => self.change(&id, |known| known.erase_begun = true),
            Note::Erased(id) => self.change(&id, |known| known.erased = true),
            Note::Expire(name, until) => {
                self.latest_expiry = self.latest_expiry.max(Some(until));
                self.expiries.insert(name, (until, self.notes));
            }
            Note::Expired(name) => {
                if let Some((until, before)) = self.expiries.get(&name).copied() {
                    self.known
                        .values_mut()
                        .filter(|known| known.timestamp <= until)
                        .filter(|known| known.acknowledged.is_some_and(|note| note < before))
                        .for_each(|known| known.erased = true);
                }
            }
            Note::Settled(ids) => self.settle(&ids),
            Note::Refused(_) => {}
            Note::Signed(note) => self.signed.push(note),
            Note::Read => self.reads += 1,
            Note::Problem(text) => self.problems.push(text),
        }
        Ok(())
    }

    /// An entry that may be written from now on.
    pub(crate) fn expect(&mut self, id: String, timestamp: Timestamp) {
        self.known.entry(id).or_insert(Known {
            timestamp,
            acknowledged: None,
            erase_begun: false,
            erased: false,
        });
    }

    /// An entry whose write returned.
    pub(crate) fn acknowledge(&mut self, id: &str) {
        let number = self.notes;
        self.change(id, |known| known.acknowledged = Some(number));
    }

    /// What was in doubt is not any more: what was found stays, what was not found stays away.
    fn settle(&mut self, found: &[String]) {
        for known in self.known.values_mut() {
            known.erased = true;
        }
        for id in found {
            self.acknowledge(id);
            self.change(id, |known| (known.erased, known.erase_begun) = (false, false));
        }
        self.latest_expiry = None;
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.get_mut(id) {
            change(known);
        }
    }

    fn fate_of(&self, known: &Known) -> Fate {
        if known.erased {
            Fate::Gone
        } else if known.acknowledged.is_none()
            || known.erase_begun
            || self.latest_expiry.is_some_and(|until| known.timestamp <= until)
        {
            Fate::Either
        } else {
            Fate::There
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_decides() {
        let ledger = Ledger::from_text(
            "write w1-1 w1-2 w1-3 w2-900;\nwrote w1-1 w1-2 w2-900;\nerase w1-1;\nerased w1-1;\nerase w1-2;\n",
        )
        .unwrap();
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Gone));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Either));
        assert_eq!(ledger.fate("w1-3"), Some(Fate::Either));
        assert_eq!(ledger.fate("w2-900"), Some(Fate::There));
        assert_eq!(ledger.fate("w9-9"), None);
    }

    #[test]
    fn an_expiry_takes_what_was_there_when_it_began() {
        let ledger = Ledger::from_text(
            "write w1-1;\nwrote w1-1;\nwrite w1-2;\nexpire a 2026-02-01T00:00:00;\nwrote w1-2;\nexpired a;\n",
        )
        .unwrap();
        assert_eq!(ledger.fate("w1-1"), Some(Fate::Gone));
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Either));
    }

    #[test]
    fn what_was_found_after_a_crash_settles_doubts() {
        let ledger = Ledger::from_text(
            "write w1-1 w1-2 w1-3;\nwrote w1-3;\nerase w1-3;\nsettled w1-1 w1-3;\n",
        )
        .unwrap();
        assert_eq!(ledger.by_time(Fate::There), ["w1-1", "w1-3"]);
        assert_eq!(ledger.fate("w1-2"), Some(Fate::Gone));
    }
}
