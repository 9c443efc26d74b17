//! The smallest possible backend, for the examples and for the tests of the suite.

use std::sync::{Mutex, MutexGuard, PoisonError};

use attestry_core::{
    AuditEntry, EntryId, Query, StorageBackend, StorageError, Timestamp, async_trait,
};

/// Implements only the five required methods of [`StorageBackend`].
#[derive(Default)]
pub struct MinimalBackend(Mutex<Vec<AuditEntry>>);

impl MinimalBackend {
    fn lock(&self) -> MutexGuard<'_, Vec<AuditEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MinimalBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MinimalBackend").finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageBackend for MinimalBackend {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        entry.validate()?;
        let mut entries = self.lock();
        match entries.iter().find(|stored| stored.id == entry.id) {
            Some(stored) if stored == entry => {}
            Some(_) => return Err(StorageError::already_exists(entry.id.clone())),
            None => entries.push(entry.clone()),
        }
        Ok(entry.id.clone())
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        Ok(self.lock().iter().find(|entry| entry.id == *id).cloned())
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        let range = Query::range(start, end);
        range.validate()?;
        let mut found: Vec<_> =
            self.lock().iter().filter(|entry| range.matches(entry)).cloned().collect();
        found.sort_by_key(|entry| entry.timestamp); // stable: ties keep their write order
        Ok(found)
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        let mut entries = self.lock();
        let before = entries.len();
        entries.retain(|entry| entry.id != *id);
        Ok(entries.len() < before)
    }

    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.lock().len() as u64)
    }
}
