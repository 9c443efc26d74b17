//! The storage contract.

use std::fmt::Debug;
use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use crate::{AuditEntry, EntryId, Query, StorageError, Timestamp, line};

/// Entries as they are found, each with its own success or failure; what [`StorageBackend::scan`]
/// returns. Dropping it ends the scan.
pub type EntryStream<'a> =
    Pin<Box<dyn Stream<Item = Result<AuditEntry, StorageError>> + Send + 'a>>;

/// Stored lines as they are found; what [`StorageBackend::scan_lines`] returns. Dropping it ends the
/// scan.
pub type LineStream<'a> = Pin<Box<dyn Stream<Item = Result<Vec<u8>, StorageError>> + Send + 'a>>;

/// The end of an append; what [`StorageBackend::append`] returns.
pub type AppendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;

/// Where audit entries are kept.
///
/// Five methods are required; the others are built on them, and a backend overrides those it can
/// do better. `attestry-conformance` checks every promise below against any backend.
///
/// # Promises of every backend
///
/// * **Nothing is acknowledged before it is stored** as safely as the backend promises.
/// * **Entries are immutable.** Writing an id that is stored already succeeds when the entry is
///   equal, so that a retry is safe, and fails with [`StorageError::AlreadyExists`] when it
///   differs. Nothing is ever replaced.
/// * **Order.** Ascending time; entries of one moment in the order they were written, those of one
///   batch in the order they stand in it.
/// * **Both ends of a range are inclusive.** A range that ends before it starts is
///   [`StorageError::InvalidQuery`].
/// * **Entries are validated** ([`AuditEntry::validate`]) before anything is written.
/// * **Nothing is skipped unseen.** A stored record that cannot be read is an error; where a
///   method can go on behind it, it does.
/// * **Cancel safety.** Dropping the future of a write leaves each entry whole or absent; dropping
///   that of a deletion leaves each entry there or gone. Nothing half done is ever seen. What a
///   dropped call still does, it does before any later change takes effect.
/// * Methods may be called from many tasks at once. A writer never waits for an open scan.
///
/// # A backend of your own
///
/// ```
/// use std::sync::Mutex;
/// use attestry_core::{AuditEntry, EntryId, Query, StorageBackend, StorageError, Timestamp, async_trait};
///
/// #[derive(Debug, Default)]
/// struct Notebook(Mutex<Vec<AuditEntry>>);
///
/// #[async_trait]
/// impl StorageBackend for Notebook {
///     async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
///         entry.validate()?;
///         let mut entries = self.0.lock().unwrap();
///         match entries.iter().find(|stored| stored.id == entry.id) {
///             Some(stored) if stored == entry => {}
///             Some(_) => return Err(StorageError::AlreadyExists { id: entry.id.clone() }),
///             None => entries.push(entry.clone()),
///         }
///         Ok(entry.id.clone())
///     }
///     async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
///         Ok(self.0.lock().unwrap().iter().find(|entry| entry.id == *id).cloned())
///     }
///     async fn list_entries(&self, start: Timestamp, end: Timestamp) -> Result<Vec<AuditEntry>, StorageError> {
///         let range = Query::range(start, end);
///         range.validate()?;
///         let mut found = self.0.lock().unwrap().clone();
///         found.retain(|entry| range.matches(entry));
///         found.sort_by_key(|entry| entry.timestamp); // stable: ties stay as written
///         Ok(found)
///     }
///     async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
///         let mut entries = self.0.lock().unwrap();
///         let before = entries.len();
///         entries.retain(|entry| entry.id != *id);
///         Ok(entries.len() < before)
///     }
///     async fn count(&self) -> Result<u64, StorageError> {
///         Ok(self.0.lock().unwrap().len() as u64)
///     }
/// }
/// ```
#[async_trait]
pub trait StorageBackend: Debug + Send + Sync {
    /// Stores `entry` and returns its id once it is stored.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidEntry`] before anything is written;
    /// [`StorageError::AlreadyExists`] when another entry has the id; otherwise what the backend
    /// met with, and then the entry may or may not be stored: writing it again is safe.
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError>;

    /// The entry with this id, or `None`. Where a store made elsewhere holds an id twice, the
    /// one written first. An id that may not be written ([`EntryId::new_unchecked`]) is looked for
    /// like any other, and must not be taken for a path.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] when the record of this id cannot be read.
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError>;

    /// All entries from `start` to `end`, both inclusive, ascending, ties as written.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidQuery`] when `start` lies after `end`; [`StorageError::Corrupt`]
    /// when a record that may lie in the range cannot be read (use [`scan`](Self::scan) to get
    /// the others).
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError>;

    /// Deletes the entry with this id, and returns whether there was one; of several tasks that
    /// delete it at once, more than one may be told so. Where the id is held twice, every record
    /// of it goes.
    ///
    /// # Errors
    ///
    /// What the backend met with; then the entry is either still there or gone.
    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError>;

    /// How many entries are stored. A record that cannot be read counts.
    ///
    /// # Errors
    ///
    /// What the backend met with.
    async fn count(&self) -> Result<u64, StorageError>;

    /// Stores all of `entries`, each as [`write`](Self::write) would, and returns once all are
    /// stored. A backend can make this much cheaper than one write after another.
    ///
    /// # Errors
    ///
    /// The first error met. Entries before it, or others, may have been stored; calling it again
    /// with the same entries is safe.
    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        for entry in entries {
            self.write(entry).await?;
        }
        Ok(())
    }

    /// [`write_batch`](Self::write_batch) for entries whose ids were just made and cannot be
    /// stored yet, which spares a backend the look-up. The logger writes this way. With an id
    /// that is stored already, the promise of immutability is the caller's to keep.
    ///
    /// What is needed of the entries is taken from them before this returns, so that a caller need
    /// not keep them while it waits; but nothing is stored before the future is polled. The provided
    /// version copies them.
    ///
    /// # Errors
    ///
    /// As [`write_batch`](Self::write_batch). Do not repeat the call with the same entries, since
    /// some may have been stored: use `write_batch` for that.
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let entries = entries.to_vec();
        Box::pin(async move { self.write_batch(&entries).await })
    }

    /// The entries that `query` selects, one by one, in its order.
    ///
    /// A record that cannot be read comes as [`StorageError::Corrupt`] and the others follow; it
    /// does not count towards the limit. An invalid query yields [`StorageError::InvalidQuery`] and
    /// ends. Entries written or deleted while the stream is read may or may not be in it.
    ///
    /// The provided version yields nothing but the error where [`list_entries`](Self::list_entries)
    /// fails: a backend that can meet records it cannot read must bring its own.
    fn scan(&self, query: Query) -> EntryStream<'_> {
        let found = async move {
            query.validate()?;
            let Some((start, end)) = query.time_range() else {
                return Ok(Vec::new());
            };
            Ok(query.select(self.list_entries(start, end).await?))
        };
        Box::pin(stream::once(found).flat_map(|found: Result<Vec<_>, StorageError>| {
            let (entries, error) = match found {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            stream::iter(entries.into_iter().map(Ok).chain(error.map(Err)))
        }))
    }

    /// [`scan`](Self::scan), yielding each record as it is stored: one line of JSON without its
    /// line break. What another program wrote beyond what an entry can hold (`NaN`, whole numbers
    /// of more than 64 bits) is in it. The provided version serialises the entries.
    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        Box::pin(self.scan(query).map(|found| {
            let mut line = line::encode(&found?).map_err(StorageError::from)?;
            line.pop();
            Ok(line)
        }))
    }

    /// Deletes every entry at or before `cutoff` and returns how many went. Records that cannot
    /// be read stay (the provided version fails on them, as [`list_entries`](Self::list_entries)
    /// does).
    ///
    /// # Errors
    ///
    /// What the backend met with; some of the entries may have gone.
    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let mut deleted = 0;
        for entry in self.list_entries(Timestamp::MIN, cutoff).await? {
            deleted += u64::from(self.delete(&entry.id).await?);
        }
        Ok(deleted)
    }

    /// Gives back the space that deleted entries still take, where the backend keeps any, and
    /// returns how many bytes that was. Writers may have to wait meanwhile.
    ///
    /// # Errors
    ///
    /// What the backend met with; no entry is lost, and calling it again goes on.
    async fn compact(&self) -> Result<u64, StorageError> {
        Ok(0)
    }

    /// Returns once everything acknowledged so far is on stable storage, however weak the
    /// durability the backend was opened with.
    ///
    /// # Errors
    ///
    /// What the backend met with.
    async fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Finishes what is under way, flushes, and gives back locks and threads. Later calls that
    /// write fail with [`StorageError::Closed`]; closing again does nothing. A backend that holds
    /// nothing open need not override it. Dropping a backend without closing it loses nothing
    /// that was acknowledged.
    ///
    /// # Errors
    ///
    /// What the backend met with while flushing.
    async fn close(&self) -> Result<(), StorageError> {
        self.flush().await
    }
}
