//! The storage contract.

use std::any::Any;
use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

use crate::metrics::StorageMetrics;
use crate::streams::{AppendFuture, EntryStream, LineStream};
use crate::{AuditEntry, Cursor, EntryId, Query, StorageError, Timestamp, calls, line};

/// A store of audit entries.
///
/// Five methods are required. The others are provided on top of them; a backend overrides those that
/// it can do better. `attestry-conformance` checks every promise below for any backend.
///
/// # Promises of every backend
///
/// * **Durability.** A write is acknowledged only after the entry is stored as durably as the backend
///   promises.
/// * **Immutability.** Writes are idempotent: writing an id that is stored already succeeds if the
///   entry is equal, so that a retry is safe, and fails with [`StorageError::AlreadyExists`] if it
///   differs. A stored entry is never replaced.
/// * **Order.** Ascending timestamp; ties in the order of writing, within a batch in its order.
/// * **Ranges are inclusive** at both ends. A range that ends before it starts is
///   [`StorageError::InvalidQuery`].
/// * **Validation.** Entries are validated ([`AuditEntry::validate`]) before anything is written.
/// * **No silent gaps.** A stored record that cannot be read is an error. A method that can continue
///   after it does so.
/// * **Cancel safety.** Dropping the future of a write leaves each entry either whole or absent;
///   dropping the future of a deletion leaves each entry either stored or deleted. Intermediate
///   states are never visible. The remaining work of a dropped call is finished before any later
///   change takes effect.
/// * **Concurrency.** Methods may be called from many tasks at once. A writer never waits for an open
///   scan.
///
/// # Implementing a backend
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
///             Some(_) => return Err(StorageError::already_exists(entry.id.clone())),
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
///         found.sort_by_key(|entry| entry.timestamp); // stable: ties keep the order of writing
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
    /// [`StorageError::AlreadyExists`] if a different entry has the id. After any other failure the
    /// entry may or may not be stored: writing it again is safe.
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError>;

    /// The entry with this id, or `None`. If a store that another program wrote holds the id twice,
    /// the entry that was written first. An invalid id ([`EntryId::new_unchecked`]) is looked up like
    /// any other, and must not be used as a path.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] if the record of this id cannot be read.
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError>;

    /// The record of the entry that [`read`](Self::read) returns, as it is stored: one line of JSON
    /// without its line break, as [`scan_lines`](Self::scan_lines) yields it. Costs as much as `read`.
    /// The provided version serialises the entry.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(id).await?.map(|entry| encode_line(&entry)).transpose()
    }

    /// All entries from `start` to `end`, both inclusive, in ascending order, ties in the order of
    /// writing.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidQuery`] if `start` is after `end`; [`StorageError::Corrupt`] if a
    /// record that may be in the range cannot be read ([`scan`](Self::scan) yields the others).
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError>;

    /// Deletes the entry with this id and returns whether it existed. If several tasks delete it
    /// concurrently, more than one may get `true`. If the id is stored twice, all its records are
    /// deleted.
    ///
    /// # Errors
    ///
    /// Any failure of the backend. The entry is then either stored or deleted.
    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError>;

    /// The number of stored entries. Records that cannot be read are counted.
    ///
    /// # Errors
    ///
    /// Any failure of the backend.
    async fn count(&self) -> Result<u64, StorageError>;

    /// Stores all `entries` as [`write`](Self::write) does, and returns once all are stored. A
    /// backend can make this much cheaper than single writes.
    ///
    /// # Errors
    ///
    /// The first error. Some of the entries may have been stored; calling it again with the same
    /// entries is safe.
    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        for entry in entries {
            self.write(entry).await?;
        }
        Ok(())
    }

    /// Stores those of `entries` whose ids are not stored yet, and returns for each of them whether it
    /// was stored. For imports that may be repeated: unlike with [`write_batch`](Self::write_batch), a
    /// stored entry that differs is no error, and stays. Of entries with one id, the first is stored.
    ///
    /// An entry that is reported as present is stored as durably as one that was just written. Of
    /// concurrent calls of any method that writes an id, one stores it. The provided version reads and
    /// writes entry by entry; if equal entries are written concurrently, it may report both as stored.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidEntry`] before anything is written. After any other failure some of the
    /// entries may have been stored; a second call reports those as present.
    ///
    /// ```
    /// # use attestry_core::{AuditEntry, StorageBackend, StorageError};
    /// /// Stores what is missing, and returns how many entries that were.
    /// async fn complete(backend: &dyn StorageBackend, all: &[AuditEntry]) -> Result<usize, StorageError> {
    ///     let stored = backend.write_new(all).await?;
    ///     Ok(stored.into_iter().filter(|stored| *stored).count())
    /// }
    /// ```
    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        entries.iter().try_for_each(AuditEntry::validate)?;
        let mut stored = Vec::with_capacity(entries.len());
        for entry in entries {
            let is_new = self.read(&entry.id).await?.is_none();
            stored.push(match self.write(entry).await {
                Ok(_) => is_new,
                Err(StorageError::AlreadyExists { .. }) => false,
                Err(error) => return Err(error),
            });
        }
        Ok(stored)
    }

    /// [`write_batch`](Self::write_batch) for entries with new ids: a backend may skip the check
    /// whether an id is stored already. The logger writes this way. The caller guarantees that the
    /// ids are new.
    ///
    /// Copies what it needs before returning, so the entries need not outlive the call. Lazy:
    /// nothing is written until the future is polled. The provided version clones the entries.
    ///
    /// # Errors
    ///
    /// As [`write_batch`](Self::write_batch). Some of the entries may have been stored, so retry
    /// with `write_batch`, not with this method.
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let entries = entries.to_vec();
        Box::pin(async move { self.write_batch(&entries).await })
    }

    /// Streams the entries that `query` selects, in its order.
    ///
    /// A record that cannot be read is yielded as [`StorageError::Corrupt`]; the stream continues
    /// after it, and it does not count towards the limit. An invalid query yields
    /// [`StorageError::InvalidQuery`] and ends the stream. Entries that are written or deleted during
    /// the scan may or may not be included.
    ///
    /// The provided version yields only the error if [`list_entries`](Self::list_entries) fails: a
    /// backend that may hold unreadable records must override it, and begins with
    /// [`calls::entries`](calls::entries).
    fn scan(&self, query: Query) -> EntryStream<'_> {
        if let Some(entries) = calls::entries(self, &query) {
            return entries;
        }
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

    /// [`scan`](Self::scan), yielding each record as stored: one line of JSON without its line break.
    /// It includes what another program wrote and an entry cannot represent (`NaN`, integers of more
    /// than 64 bits). The provided version serialises the entries. One that overrides it begins with
    /// [`calls::lines`](calls::lines).
    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        Box::pin(self.scan(query).map(|found| encode_line(&found?)))
    }

    /// Whether each of `starts`, start entries of calls, has an end entry; see [`Phase`](crate::Phase). For
    /// queries with such a phase. The provided version scans from the oldest of them until all ends are
    /// found; a backend with an index of [`metadata::CALL`](crate::metadata::CALL) can do better.
    ///
    /// # Errors
    ///
    /// Any failure of the backend. A record that cannot be read is no end.
    async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
        calls::have_ended(self, starts).await
    }

    /// [`delete`](Self::delete) of several ids; returns for each, in their order, whether it existed. A
    /// backend can make this much cheaper than single deletions. The provided version calls `delete`.
    ///
    /// # Errors
    ///
    /// The first error. Some of the entries may have been deleted; calling it again is safe.
    async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        let mut existed = Vec::with_capacity(ids.len());
        for id in ids {
            existed.push(self.delete(id).await?);
        }
        Ok(existed)
    }

    /// Deletes every entry at or before `cutoff` and returns their number. Records that cannot be
    /// read are kept (the provided version fails on them, as [`list_entries`](Self::list_entries)
    /// does).
    ///
    /// # Errors
    ///
    /// Any failure of the backend. Some of the entries may have been deleted.
    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let mut deleted = 0;
        for entry in self.list_entries(Timestamp::MIN, cutoff).await? {
            deleted += u64::from(self.delete(&entry.id).await?);
        }
        Ok(deleted)
    }

    /// About how many entries [`delete_at_or_before`](Self::delete_at_or_before) would delete: an estimate,
    /// from which a caller sees that a cutoff is wrong. A backend that can tell without reading entries
    /// does so, and may be wrong by the entries of one day. The provided version reads them.
    ///
    /// # Errors
    ///
    /// Any failure of the backend.
    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        Ok(self.list_entries(Timestamp::MIN, cutoff).await?.len() as u64)
    }

    /// Reclaims the space of deleted entries and returns the number of bytes. Writers may have to
    /// wait meanwhile. The provided version does nothing.
    ///
    /// # Errors
    ///
    /// Any failure of the backend. No entry is lost; calling it again resumes.
    async fn compact(&self) -> Result<u64, StorageError> {
        Ok(0)
    }

    /// Returns once everything acknowledged so far is on stable storage, whatever durability the
    /// backend was opened with.
    ///
    /// # Errors
    ///
    /// Any failure of the backend.
    async fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Finishes pending operations, flushes, and releases locks and threads. Later calls that write
    /// fail with [`StorageError::Closed`]; closing again does nothing. A backend without resources
    /// need not override it. Dropping a backend without closing it loses no acknowledged entry.
    ///
    /// # Errors
    ///
    /// Any failure of the backend while flushing.
    async fn close(&self) -> Result<(), StorageError> {
        self.flush().await
    }

    /// What this backend has done since it was opened, in numbers. Cheap: it does no I/O and waits for no
    /// pending call. `None` means that the backend counts nothing, which the provided version returns; a
    /// wrapper returns what the backend behind it does. [`StorageCounters`] does the counting.
    ///
    /// [`StorageCounters`]: crate::metrics::StorageCounters
    fn metrics(&self) -> Option<StorageMetrics> {
        None
    }

    /// The backend itself, for callers that need what only it can do, such as the evidence of a file
    /// store. A backend that is `'static` returns `Some(self)`, a wrapper what the backend behind it
    /// returns. `None` means that the backend offers nothing beyond this trait.
    ///
    /// ```
    /// # use attestry_core::StorageBackend;
    /// # struct Special;
    /// fn special(backend: &dyn StorageBackend) -> Option<&Special> {
    ///     backend.as_any()?.downcast_ref()
    /// }
    /// ```
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

impl<S: StorageBackend + ?Sized> calls::Source for S {
    fn scan(&self, query: Query) -> EntryStream<'_> {
        StorageBackend::scan(self, query)
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        StorageBackend::scan_lines(self, query)
    }

    fn have_ended<'a>(
        &'a self,
        starts: &'a [Cursor],
    ) -> BoxFuture<'a, Result<Vec<bool>, StorageError>> {
        StorageBackend::have_ended(self, starts)
    }
}

/// The line of `entry` without its line break.
fn encode_line(entry: &AuditEntry) -> Result<Vec<u8>, StorageError> {
    let mut line = line::encode(entry)?;
    line.pop();
    Ok(line)
}
