//! Calls that are announced before they are made and answered for afterwards.

use attestry_core::{AuditEntry, EntryId, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;

use super::{Worker, patiently};
use crate::notes::{self, Note};
use crate::outcome::{Result, Stop, chain, failed};
use crate::sample;

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Ids are checked: for entries that may be there.
    Checked,
    /// Ids are not checked: for entries that nobody has written.
    Appended,
}

impl Worker {
    /// A name for a call.
    fn call(&self) -> String {
        let count = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        notes::call(self.args.number, count)
    }

    /// Writes these entries to the end.
    pub(super) async fn write(&self, storage: &FileStorage, ids: &[String], way: Way) -> Result {
        let entries = entries(ids)?;
        let call = self.call();
        self.notes.put(&Note::Write(call.clone(), ids.to_vec()))?;
        match (way, entries.as_slice()) {
            (Way::Checked, [entry]) => patiently(|| storage.write(entry)).await.map(drop)?,
            (Way::Checked, _) => patiently(|| storage.write_batch(&entries)).await?,
            // Refused because of a lock, none was written, and it may be called again.
            (Way::Appended, _) => patiently(|| storage.append(&entries)).await?,
        }
        // What is only buffered is not acknowledged: a power cut may take it.
        if !self.args.buffered {
            self.notes.put(&Note::Done(call))?;
        }
        Ok(())
    }

    /// Erases an entry; whether it was there.
    pub(super) async fn erase(&self, storage: &FileStorage, id: &str) -> Result<bool> {
        let call = self.call();
        self.notes.put(&Note::Erase(call.clone(), id.to_owned()))?;
        let wanted = EntryId::new_unchecked(id);
        let was_there = patiently(|| storage.delete(&wanted)).await?;
        self.notes.put(&Note::Done(call))?;
        Ok(was_there)
    }

    /// Erases everything until a moment.
    pub(super) async fn expire(&self, storage: &FileStorage, until: Timestamp) -> Result {
        let call = self.call();
        self.notes.put(&Note::Expire(call.clone(), until))?;
        patiently(|| storage.delete_at_or_before(until)).await?;
        self.notes.put(&Note::Done(call))?;
        Ok(())
    }

    /// Writes another entry under an id that is taken, which must be refused; among others that are
    /// there, where `beside` names some.
    pub(super) async fn differ(
        &self,
        storage: &FileStorage,
        id: &str,
        beside: &[String],
    ) -> Result {
        let mut entries = entries(beside)?;
        entries.push(sample::other(id)?);
        let outcome = loop {
            let outcome = match entries.as_slice() {
                [entry] => storage.write(entry).await.map(drop),
                _ => storage.write_batch(&entries).await,
            };
            match outcome {
                Err(StorageError::Locked { .. }) => super::pause(2).await,
                outcome => break outcome,
            }
        };
        match outcome {
            Err(StorageError::AlreadyExists { id: refused, .. }) if refused.as_str() == id => {
                self.notes.put(&Note::Differed(id.to_owned()))?;
                Ok(())
            }
            Err(error) => Err(Stop::Failed(chain(&error))),
            Ok(()) => failed(format!("another entry was taken under {id}, which was there")),
        }
    }
}

fn entries(ids: &[String]) -> Result<Vec<AuditEntry>> {
    ids.iter().map(|id| sample::entry(id)).collect()
}
