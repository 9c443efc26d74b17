//! Attestry's in-memory storage backend.
//!
//! For tests, development, and a bounded record of recent interactions. **All entries are lost when
//! the process ends**; use `attestry-file` for a durable record.
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

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestry_core::metrics::{StorageCounters, StorageMetrics};
use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, Query, StorageBackend, StorageError, Timestamp,
    async_trait, calls, event,
};

use crate::store::Store;

/// In-memory backend, optionally bounded to the newest `max_entries`.
///
/// Beyond the limit, each write evicts the entry that was written first, regardless of timestamps.
/// Writing an equal entry again changes and evicts nothing. The id of an evicted entry can be used
/// again.
///
/// Reading a range takes time proportional to the result plus the logarithm of the stored entries. A
/// scan holds at most 256 entries at a time. Entries are cloned outside the lock, so that writers do
/// not wait for readers.
///
/// To share a store between tasks, wrap it in an [`Arc`], which is a backend too.
#[derive(Default)]
pub struct MemoryStorage {
    store: Mutex<Store>,
    max_entries: usize,
    counters: StorageCounters,
}

impl MemoryStorage {
    /// Creates an empty store without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty store of at most `max_entries` entries; the entry written first is evicted
    /// first. 0 means no limit, as in the Python package.
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
        Self { max_entries, ..Self::default() }
    }

    /// The limit, if there is one.
    #[must_use]
    pub fn max_entries(&self) -> Option<usize> {
        (self.max_entries > 0).then_some(self.max_entries)
    }

    /// Ignores poisoning: nothing panics while the lock is held, and every change leaves the store
    /// consistent.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inserts all entries under one lock, so that readers see all of them or none.
    fn insert_all(
        &self,
        entries: impl IntoIterator<Item = Arc<AuditEntry>>,
    ) -> Result<(), StorageError> {
        let mut store = self.lock();
        let first = store.next_sequence();
        let inserted = entries.into_iter().try_for_each(|entry| self.insert(&mut store, entry));
        self.count_since(first, &store);
        inserted
    }

    /// Inserts the entries whose ids are absent, and returns for each whether it was.
    fn insert_new(&self, entries: Vec<Arc<AuditEntry>>) -> Result<Vec<bool>, StorageError> {
        let mut store = self.lock();
        let first = store.next_sequence();
        let mut insert = |entry: Arc<AuditEntry>| {
            let is_new = !store.contains(&entry.id);
            if is_new {
                self.insert(&mut store, entry)?;
            }
            Ok(is_new)
        };
        let stored = entries.into_iter().map(&mut insert).collect();
        self.count_since(first, &store);
        stored
    }

    fn insert(&self, store: &mut Store, entry: Arc<AuditEntry>) -> Result<(), StorageError> {
        store.insert(entry)?;
        if self.max_entries > 0 {
            store.evict_to(self.max_entries);
        }
        Ok(())
    }

    /// Counts the entries that were stored since `first` was the next sequence number.
    fn count_since(&self, first: u64, store: &Store) {
        let stored = store.next_sequence() - first;
        if stored > 0 {
            self.counters.stored(stored as usize, 0);
            event!(DEBUG, entries = stored, "batch committed");
        }
    }
}

/// Shows the number of entries, never their content.
impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("entries", &self.lock().len())
            .field("max_entries", &self.max_entries())
            .finish()
    }
}

fn validated(entries: &[AuditEntry]) -> Result<Vec<Arc<AuditEntry>>, StorageError> {
    entries.iter().try_for_each(AuditEntry::validate)?;
    Ok(entries.iter().cloned().map(Arc::new).collect())
}

#[async_trait]
impl StorageBackend for MemoryStorage {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.write_batch(std::slice::from_ref(entry)).await?;
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

    /// Validates all entries first: if one is invalid, none is written.
    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let writing = self.counters.writing(entries.len());
        writing.end(validated(entries).and_then(|entries| self.insert_all(entries)))
    }

    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        let writing = self.counters.writing(entries.len());
        writing.end(validated(entries).and_then(|entries| self.insert_new(entries)))
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let count = entries.len();
        let entries = validated(entries);
        Box::pin(async move {
            let writing = self.counters.writing(count);
            writing.end(entries.and_then(|entries| self.insert_all(entries)))
        })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        calls::entries(self, &query).unwrap_or_else(|| scan::stream(self, query))
    }

    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        Ok(self.lock().count_at_or_before(cutoff) as u64)
    }

    async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        let mut store = self.lock();
        Ok(ids.iter().map(|id| store.remove(id).is_some()).collect())
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let removed = self.lock().remove_at_or_before(cutoff);
        Ok(removed.len() as u64)
    }

    fn metrics(&self) -> Option<StorageMetrics> {
        Some(self.counters.snapshot())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
