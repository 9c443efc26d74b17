//! The backend: what the trait asks for, handed to the parts that do it.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp, async_trait,
};
use futures_util::TryStreamExt;
use tokio::task::JoinSet;

use crate::bucket::Bucket;
use crate::key::Day;
use crate::options::ConditionalWrites;
use crate::recent::Recent;
use crate::sequence::Sequence;
use crate::turns::Turns;
use crate::write::{Ids, prepared};
use crate::{S3StorageBuilder, record, scan};

/// Audit entries in a bucket of S3, or of a server that speaks its protocol. See the
/// [crate's documentation](crate) for what it promises, and [`builder`](Self::builder) for how to
/// connect to one.
///
/// It must be used within a Tokio runtime with time and I/O enabled. Any number of processes may
/// use a bucket at once.
pub struct S3Storage {
    inner: Arc<Inner>,
}

/// What calls share, also those that go on after they were dropped.
pub(crate) struct Inner {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) recent: Recent,
    pub(crate) sequence: Sequence,
    pub(crate) turns: Arc<Turns>,
    /// How many bytes of bodies a scan may keep of one day.
    pub(crate) day_bytes: u64,
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn must_be_open(&self) -> Result<(), StorageError> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(StorageError::Closed),
            false => Ok(()),
        }
    }
}

impl S3Storage {
    /// A builder of a store in `bucket`; the specification's `S3Storage(bucket, prefix="audit/",
    /// region=None)`.
    pub fn builder(bucket: impl Into<String>) -> S3StorageBuilder {
        S3StorageBuilder::new(bucket.into())
    }

    pub(crate) fn new(bucket: Bucket, recent_ids: usize, day_bytes: u64) -> Self {
        let inner = Inner {
            bucket: Arc::new(bucket),
            recent: Recent::new(recent_ids),
            sequence: Sequence::default(),
            turns: Arc::default(),
            day_bytes,
            closed: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.inner.bucket.name()
    }

    /// What all keys of the store begin with: empty, or with a slash at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.inner.bucket.layout.prefix()
    }

    /// Whether the server itself keeps objects from being replaced, as far as is known yet: it
    /// comes out with the first write, or when connecting with
    /// [`probe_conditional_writes`](S3StorageBuilder::probe_conditional_writes).
    #[must_use]
    pub fn conditional_writes(&self) -> ConditionalWrites {
        self.inner.bucket.conditional_writes()
    }

    /// [`read`](StorageBackend::read) for a caller who knows about when the entry was: looks at the
    /// UTC day of `moment` first, then at the days around it, then at all others.
    ///
    /// # Errors
    ///
    /// As [`read`](StorageBackend::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn read_near(
        &self,
        id: &EntryId,
        moment: Timestamp,
    ) -> Result<Option<AuditEntry>, StorageError> {
        self.inner.find(id, Some(Day::of(moment))).await
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
        self.inner.write_all(prepared(std::slice::from_ref(entry))?, Ids::Unknown).await?;
        Ok(entry.id.clone())
    }

    /// Where a bucket written by another program holds an id on several days, the entry of the
    /// latest day; but first that of the day on which this store saw the id last, and of the day
    /// that an id of version 7 holds.
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.inner.find(id, None).await
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.scan(Query::range(start, end)).try_collect().await
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.inner.delete(id).await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        self.inner.bucket.count().await
    }

    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.inner.write_all(prepared(entries)?, Ids::Unknown).await
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let new = prepared(entries);
        Box::pin(async move { self.inner.write_all(new?, Ids::Fresh).await })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        let make =
            |bucket: &Bucket, day, id: &str, body: Vec<u8>| record::decode(bucket, day, id, &body);
        scan::stream(Arc::clone(&self.inner), query, make)
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        scan::stream(Arc::clone(&self.inner), query, |_, _, _, body| Ok(record::one_line(body)))
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.inner.delete_at_or_before(cutoff).await
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.turns.settled().await;
        Ok(())
    }
}

/// Runs `request` to its end even where the caller stops waiting: a change that was sent takes
/// effect in any case, and no later one may overtake it.
pub(crate) async fn detached<T: Send + 'static>(
    request: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    ended(tokio::spawn(request).await)
}

/// Runs `work` on a task of its own, which ends when the caller stops waiting.
pub(crate) async fn abortable<T: Send + 'static>(
    work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(outcome) => ended(outcome),
        None => Err(StorageError::Closed),
    }
}

fn ended<T>(
    outcome: Result<Result<T, StorageError>, tokio::task::JoinError>,
) -> Result<T, StorageError> {
    outcome.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(error) => {
            Err(StorageError::other("a request was cut short by the runtime's end", error))
        }
    })
}
