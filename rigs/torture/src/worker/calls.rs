//! Calls with notes before and after.

use attestry_core::{AuditEntry, EntryId, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;

use super::{Worker, retry_locked};
use crate::notes::{self, Note};
use crate::outcome::{Result, Stop, chain, failed};
use crate::sample;

/// The method to write with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Checks ids: for entries that may be present.
    Checked,
    /// Does not check ids: for new entries.
    Appended,
}

impl Worker {
    /// A unique name for a call.
    fn call(&self) -> String {
        let count = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        notes::call(self.args.number, count)
    }

    /// Writes entries; retries while the store is locked.
    pub(super) async fn write(&self, storage: &FileStorage, ids: &[String], way: Way) -> Result {
        let entries = entries(ids)?;
        let call = self.call();
        self.notes.put(&Note::Write(call.clone(), ids.to_vec()))?;
        match (way, entries.as_slice()) {
            (Way::Checked, [entry]) => retry_locked(|| storage.write(entry)).await.map(drop)?,
            (Way::Checked, _) => retry_locked(|| storage.write_batch(&entries)).await?,
            // A call refused because of the lock wrote nothing.
            (Way::Appended, _) => retry_locked(|| storage.append(&entries)).await?,
        }
        // Buffered writes are not acknowledged: a power cut may lose them.
        if !self.args.buffered {
            self.notes.put(&Note::Done(call))?;
        }
        Ok(())
    }

    /// Erases an entry; returns whether it was present.
    pub(super) async fn erase(&self, storage: &FileStorage, id: &str) -> Result<bool> {
        let call = self.call();
        self.notes.put(&Note::Erase(call.clone(), id.to_owned()))?;
        let wanted = EntryId::new_unchecked(id);
        let was_there = retry_locked(|| storage.delete(&wanted)).await?;
        self.notes.put(&Note::Done(call))?;
        Ok(was_there)
    }

    /// Erases everything up to a time.
    pub(super) async fn expire(&self, storage: &FileStorage, until: Timestamp) -> Result {
        let call = self.call();
        self.notes.put(&Note::Expire(call.clone(), until))?;
        retry_locked(|| storage.delete_at_or_before(until)).await?;
        self.notes.put(&Note::Done(call))?;
        Ok(())
    }

    /// Writes a conflicting entry, which must be refused, in a batch with the present entries `beside`.
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
            Ok(()) => failed(format!("a conflicting entry was accepted under {id}")),
        }
    }
}

fn entries(ids: &[String]) -> Result<Vec<AuditEntry>> {
    ids.iter().map(|id| sample::entry(id)).collect()
}
