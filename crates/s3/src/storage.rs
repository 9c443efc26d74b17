//! The storage backend: implements the trait by delegating to [`StoreClient`].

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use attestry_core::metrics::{StorageCounters, StorageMetrics};
use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp, async_trait, calls, event,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::Bucket;
use crate::client::StoreClient;
use crate::key::Day;
use crate::options::ConditionalWrites;
use crate::write::{IdCheck, PreparedEntry, prepare, prepare_distinct};
use crate::{record, scan};

/// Audit entries in an S3 bucket, on AWS or on a compatible server. See the [crate's
/// documentation](crate) for its promises, and [`builder`](Self::builder) for how to connect.
///
/// Must be used within a Tokio runtime with time and I/O enabled. Any number of processes may use a
/// bucket at the same time.
pub struct S3Storage {
    client: Arc<StoreClient>,
}

impl S3Storage {
    pub(crate) fn new(client: StoreClient) -> Self {
        Self { client: Arc::new(client) }
    }

    /// The name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.client.bucket.name()
    }

    /// The common prefix of all keys of the store: empty, or with a trailing slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.client.bucket.layout.prefix()
    }

    /// Whether the server supports conditional writes, as far as known. Assumed until a write fails, or
    /// until connecting with [`probe_conditional_writes`](crate::S3StorageBuilder::probe_conditional_writes)
    /// shows the contrary.
    #[must_use]
    pub fn conditional_writes(&self) -> ConditionalWrites {
        self.client.bucket.conditional_writes()
    }

    /// As [`read`](StorageBackend::read), for callers that know the approximate timestamp of the entry:
    /// reads the UTC day of `timestamp` first, then the days next to it, then all others.
    ///
    /// # Errors
    ///
    /// As [`read`](StorageBackend::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn read_near(
        &self,
        id: &EntryId,
        timestamp: Timestamp,
    ) -> Result<Option<AuditEntry>, StorageError> {
        self.client.find(id, Some(Day::of(timestamp)), |_, entry| entry).await
    }

    fn counters(&self) -> &StorageCounters {
        &self.client.bucket.counters
    }

    async fn write_prepared(
        &self,
        entries: Result<Vec<PreparedEntry>, StorageError>,
        id_check: IdCheck,
    ) -> Result<(), StorageError> {
        self.client.write_all(entries?, id_check).await
    }

    /// Writes `entries` after looking their ids up on every day.
    async fn write_checked(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let writing = self.counters().writing(entries.len());
        writing.end(self.write_prepared(prepare(entries), IdCheck::AllDays).await)
    }
}

impl fmt::Debug for S3Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Storage")
            .field("bucket", &self.bucket())
            .field("prefix", &self.prefix())
            .field("conditional_writes", &self.conditional_writes())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageBackend for S3Storage {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.write_checked(std::slice::from_ref(entry)).await?;
        Ok(entry.id.clone())
    }

    /// If the bucket holds an id on several days, which only another program can write, returns the
    /// entry of the latest day. The day on which this store saw the id last, and the day in a UUID of
    /// version 7, take precedence.
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.client.find(id, None, |_, entry| entry).await
    }

    async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
        self.client.find(id, None, |body, _| record::to_line(body)).await
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.scan(Query::range(start, end)).try_collect().await
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.counters().observe(self.client.delete(id).await)
    }

    async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        // Two concurrent deletions of an id may both find it.
        let mut distinct = HashSet::new();
        let deletions: Vec<_> = ids.iter().map(|id| (id.clone(), distinct.insert(id))).collect();
        let deletions = deletions.into_iter().map(|(id, is_first)| async move {
            if is_first { self.delete(&id).await } else { Ok(false) }
        });
        stream::iter(deletions).buffered(self.client.bucket.concurrency()).try_collect().await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        self.client.bucket.count().await
    }

    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.write_checked(entries).await
    }

    /// Lists every day of the bucket once a call, so large batches cost fewer requests per entry.
    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        let writing = self.counters().writing(entries.len());
        let written = match prepare_distinct(entries) {
            Ok(prepared) => self.client.write_new(prepared).await,
            Err(error) => Err(error),
        };
        let mut written = writing.end(written)?;
        Ok(entries.iter().map(|entry| written.remove(&entry.id)).collect())
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let (count, prepared) = (entries.len(), prepare(entries));
        Box::pin(async move {
            let writing = self.counters().writing(count);
            writing.end(self.write_prepared(prepared, IdCheck::SameKey).await)
        })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        if let Some(entries) = calls::entries(self, &query) {
            return entries;
        }
        let decode =
            |bucket: &Bucket, day, id: &str, body: Vec<u8>| record::decode(bucket, day, id, &body);
        scan::stream(Arc::clone(&self.client), query, decode)
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        if let Some(lines) = calls::lines(self, &query) {
            return lines;
        }
        scan::stream(Arc::clone(&self.client), query, |_, _, _, body| Ok(record::to_line(body)))
    }

    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.client.bucket.count_until(cutoff).await
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.counters().observe(self.client.delete_at_or_before(cutoff).await)
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.client.close().await;
        event!(INFO, bucket = self.bucket(), prefix = self.prefix(), "store closed");
        Ok(())
    }

    fn metrics(&self) -> Option<StorageMetrics> {
        Some(self.counters().snapshot())
    }
}
