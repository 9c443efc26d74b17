//! [`StorageBackend`] for backends behind pointers. Provided methods are forwarded too: one that is
//! missing here would fall back to the slow default without a warning.
#![deny(clippy::missing_trait_methods)]

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

use crate::metrics::StorageMetrics;
use crate::{
    AppendFuture, AuditEntry, Cursor, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp,
};

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<S: StorageBackend + ?Sized> StorageBackend for $pointer {
            async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
                (**self).write(entry).await
            }
            async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
                (**self).read(id).await
            }
            async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
                (**self).read_line(id).await
            }
            async fn list_entries(
                &self,
                start: Timestamp,
                end: Timestamp,
            ) -> Result<Vec<AuditEntry>, StorageError> {
                (**self).list_entries(start, end).await
            }
            async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
                (**self).delete(id).await
            }
            async fn count(&self) -> Result<u64, StorageError> {
                (**self).count().await
            }
            async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
                (**self).write_batch(entries).await
            }
            async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
                (**self).write_new(entries).await
            }
            fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
                (**self).append(entries)
            }
            fn scan(&self, query: Query) -> EntryStream<'_> {
                (**self).scan(query)
            }
            fn scan_lines(&self, query: Query) -> LineStream<'_> {
                (**self).scan_lines(query)
            }
            async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
                (**self).have_ended(starts).await
            }
            async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
                (**self).delete_batch(ids).await
            }
            async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
                (**self).delete_at_or_before(cutoff).await
            }
            async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
                (**self).estimate_at_or_before(cutoff).await
            }
            async fn compact(&self) -> Result<u64, StorageError> {
                (**self).compact().await
            }
            async fn flush(&self) -> Result<(), StorageError> {
                (**self).flush().await
            }
            async fn close(&self) -> Result<(), StorageError> {
                (**self).close().await
            }
            fn metrics(&self) -> Option<StorageMetrics> {
                (**self).metrics()
            }
            fn as_any(&self) -> Option<&dyn Any> {
                (**self).as_any()
            }
        }
    };
}

forward!(Arc<S>);
forward!(Box<S>);
