//! A backend that refuses every change.
#![deny(clippy::missing_trait_methods)]

use std::any::Any;

use async_trait::async_trait;

use crate::metrics::StorageMetrics;
use crate::{
    AppendFuture, AuditEntry, Cursor, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp,
};

/// Makes any backend read-only: every method that would change it fails with
/// [`StorageError::ReadOnly`], and the others are forwarded.
///
/// This protects against mistakes of a program, not against the program: it still holds the
/// backend's credentials. [`as_any`](StorageBackend::as_any) is not forwarded, because the backend
/// behind it could be changed.
///
/// ```
/// use attestry_core::{ReadOnly, StorageBackend, StorageError};
/// # use attestry_core::{AuditEntry, EntryId, Timestamp, async_trait};
/// # async fn example(backend: impl StorageBackend) -> Result<(), Box<dyn std::error::Error>> {
/// let backend = ReadOnly::new(backend, "s3://bucket/audit");
/// let error = backend.delete(&"order-4711".parse()?).await.unwrap_err();
/// assert!(matches!(error, StorageError::ReadOnly { .. }));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ReadOnly<S> {
    backend: S,
    name: String,
}

impl<S> ReadOnly<S> {
    /// Wraps `backend`. `name` names the store in errors.
    pub fn new(backend: S, name: impl Into<String>) -> Self {
        Self { backend, name: name.into() }
    }

    fn refuse<T>(&self) -> Result<T, StorageError> {
        Err(StorageError::read_only(&self.name))
    }
}

#[async_trait]
impl<S: StorageBackend> StorageBackend for ReadOnly<S> {
    async fn write(&self, _entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.refuse()
    }
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.backend.read(id).await
    }
    async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
        self.backend.read_line(id).await
    }
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.backend.list_entries(start, end).await
    }
    async fn delete(&self, _id: &EntryId) -> Result<bool, StorageError> {
        self.refuse()
    }
    async fn count(&self) -> Result<u64, StorageError> {
        self.backend.count().await
    }
    async fn write_batch(&self, _entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.refuse()
    }
    async fn write_new(&self, _entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        self.refuse()
    }
    fn append(&self, _entries: &[AuditEntry]) -> AppendFuture<'_> {
        Box::pin(std::future::ready(self.refuse()))
    }
    fn scan(&self, query: Query) -> EntryStream<'_> {
        self.backend.scan(query)
    }
    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        self.backend.scan_lines(query)
    }
    async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
        self.backend.have_ended(starts).await
    }
    async fn delete_batch(&self, _ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        self.refuse()
    }
    async fn delete_at_or_before(&self, _cutoff: Timestamp) -> Result<u64, StorageError> {
        self.refuse()
    }
    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.backend.estimate_at_or_before(cutoff).await
    }
    async fn compact(&self) -> Result<u64, StorageError> {
        self.refuse()
    }
    async fn flush(&self) -> Result<(), StorageError> {
        self.backend.flush().await
    }
    async fn close(&self) -> Result<(), StorageError> {
        self.backend.close().await
    }
    fn metrics(&self) -> Option<StorageMetrics> {
        self.backend.metrics()
    }
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}
