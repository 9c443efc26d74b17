//! Attestry's in-memory storage backend.
//!
//! For tests, for development, and for a bounded record of what happened lately.
//! **Data is lost when the process ends**; use `attestry-file` for a record that
//! must last.
//!
//! ```
//! use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
//! use attestry_memory::MemoryStorage;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let storage = MemoryStorage::new();
//! let entry =
//!     AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("2+2?"), hash_content("4"));
//! let id = storage.write(&entry).await?;
//! assert_eq!(storage.read(&id).await?, Some(entry));
//! # Ok::<(), attestry_core::StorageError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod scan;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, Query, StorageBackend, StorageError, Timestamp,
    async_trait,
};

use crate::store::Store;

/// Keeps entries in memory, all of them or the last so many.
///
/// With a limit, each entry written beyond it removes the one written first, whatever the times
/// they bear. Writing an equal entry again changes nothing and removes nothing. An id whose entry
/// was removed is free again.
///
/// Reading a range of time or scanning a page costs what it returns (and the logarithm of what is
/// stored); a scan holds at most 256 entries at a time, and no reader copies contents while writers
/// wait.
///
/// Share one between tasks in an [`Arc`], which is a backend too.
#[derive(Default)]
pub struct MemoryStorage {
    store: Mutex<Store>,
    max_entries: usize,
}

impl MemoryStorage {
    /// An empty storage without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty storage of at most `max_entries` entries: the one written first goes first. With
    /// 0 there is no limit, as in the Python package.
    ///
    /// ```
    /// use attestry_core::{AuditEntry, StorageBackend, Timestamp};
    /// use attestry_memory::MemoryStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let lately = MemoryStorage::with_max_entries(2);
    /// for id in ["a", "b", "c"] {
    ///     let entry = AuditEntry::new(id.parse()?, Timestamp::now(), "00".into(), "ff".into());
    ///     lately.write(&entry).await?;
    /// }
    /// assert_eq!(lately.count().await?, 2);
    /// assert!(lately.read(&"a".parse()?).await?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_max_entries(max_entries: usize) -> Self {
        Self { store: Mutex::default(), max_entries }
    }

    /// The limit, or `None` where there is none.
    #[must_use]
    pub fn max_entries(&self) -> Option<usize> {
        (self.max_entries > 0).then_some(self.max_entries)
    }

    /// Nothing here panics while it holds the lock, and each change leaves the store whole, so
    /// the word of a poisoned lock is not needed.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under one lock: either all of it is seen or nothing yet.
    fn insert_all(
        &self,
        entries: impl IntoIterator<Item = Arc<AuditEntry>>,
    ) -> Result<(), StorageError> {
        let mut store = self.lock();
        for entry in entries {
            store.insert(entry)?;
            if self.max_entries > 0 {
                store.evict_down_to(self.max_entries);
            }
        }
        Ok(())
    }
}

/// Shows how much is stored, never what.
impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("entries", &self.lock().len())
            .field("max_entries", &self.max_entries())
            .finish()
    }
}

fn copies_of(entries: &[AuditEntry]) -> Result<Vec<Arc<AuditEntry>>, StorageError> {
    entries.iter().try_for_each(AuditEntry::validate)?;
    Ok(entries.iter().cloned().map(Arc::new).collect())
}

#[async_trait]
impl StorageBackend for MemoryStorage {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        entry.validate()?;
        self.insert_all([Arc::new(entry.clone())])?;
        Ok(entry.id.clone())
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        let found = self.lock().get(id);
        Ok(found.map(Arc::unwrap_or_clone))
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        Query::range(start, end).validate()?;
        let found = self.lock().range(start, end);
        Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        let removed = self.lock().remove(id);
        Ok(removed.is_some())
    }

    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.lock().len() as u64)
    }

    /// Validates all of `entries` first; an invalid one among them means that none is written.
    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.insert_all(copies_of(entries)?)
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let copies = copies_of(entries);
        Box::pin(async move { self.insert_all(copies?) })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        scan::stream(self, query)
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let removed = self.lock().remove_until(cutoff);
        Ok(removed.len() as u64)
    }
}
