//! A backend that fails on demand.
#![deny(clippy::missing_trait_methods)]

use std::any::Any;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::metrics::StorageMetrics;
use attestry_core::{
    AppendFuture, AuditEntry, Cursor, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp, async_trait,
};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};

/// Wraps a backend and fails chosen calls, to test how an application handles storage errors.
///
/// Every call is forwarded to the inner backend until [`fail`](Self::fail) adds a [`Failure`], and
/// again after [`recover`](Self::recover).
///
/// ```
/// use std::sync::Arc;
/// use attestry_conformance::{FailingBackend, Failure, Operation};
/// use attestry_logger::{AuditLogger, Interaction};
/// use attestry_memory::MemoryStorage;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
/// let logger = AuditLogger::builder(Arc::clone(&storage)).build();
///
/// storage.fail(Failure::disk_full().on(Operation::WRITES));
/// assert!(logger.log(Interaction::new("question", "answer")).await.is_err());
///
/// storage.recover();
/// logger.log(Interaction::new("question", "answer")).await?;
/// # Ok::<_, attestry_logger::AuditError>(())
/// # }).expect("the disk is no longer full");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// The example `failure_policy` of this crate tests both failure policies of the logger.
#[derive(Debug)]
pub struct FailingBackend<S> {
    inner: S,
    failures: Mutex<Vec<Active>>,
}

/// A failure, with the number of calls it has matched so far.
#[derive(Debug)]
struct Active {
    failure: Failure,
    calls: u64,
}

impl<S: StorageBackend> FailingBackend<S> {
    /// Wraps `inner`. No call fails yet.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, failures: Mutex::default() }
    }

    /// Adds a failure, from the next call on. Where several apply to one call, the one added first
    /// decides the error.
    pub fn fail(&self, failure: Failure) {
        self.with_failures(|failures| failures.push(Active { failure, calls: 0 }));
    }

    /// Removes all failures: calls succeed again.
    pub fn recover(&self) {
        self.with_failures(Vec::clear);
    }

    /// The wrapped backend, to look at what was stored.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn with_failures<T>(&self, change: impl FnOnce(&mut Vec<Active>) -> T) -> T {
        change(&mut self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a call of `operation` and returns the failure that applies to it.
    fn next_failure(&self, operation: Operation) -> Option<Failure> {
        self.with_failures(|failures| {
            let mut applicable = None;
            for Active { failure, calls } in failures {
                if failure.operations.contains(&operation) {
                    *calls += 1;
                    if applicable.is_none() && failure.call.is_none_or(|call| call == *calls) {
                        applicable = Some(failure.clone());
                    }
                }
            }
            applicable
        })
    }

    async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let Some(failure) = self.next_failure(operation) else { return call.await };
        if failure.after_call {
            call.await?;
        }
        Err((failure.error)())
    }

    fn stream<'a, T: Send + 'a>(
        &self,
        operation: Operation,
        inner: BoxStream<'a, Result<T, StorageError>>,
    ) -> BoxStream<'a, Result<T, StorageError>> {
        let Some(failure) = self.next_failure(operation) else { return inner };
        let error = stream::once(async move { Err((failure.error)()) });
        if failure.after_call { inner.chain(error).boxed() } else { error.boxed() }
    }
}

/// Which calls of a [`FailingBackend`] fail, and how.
///
/// By default every call of every operation fails without reaching the inner backend.
///
/// ```
/// use attestry_conformance::{Failure, Operation};
/// use attestry_core::StorageError;
///
/// // The third write fails, although its entry was stored: the response was lost.
/// let lost_response = Failure::unreachable().on([Operation::Write]).nth_call(3).after_call();
/// // Any error can be given.
/// let closed = Failure::new(|| StorageError::Closed).on(Operation::ALL);
/// ```
#[derive(Clone)]
#[must_use = "a failure has an effect once it is given to `FailingBackend::fail`"]
pub struct Failure {
    error: Arc<dyn Fn() -> StorageError + Send + Sync>,
    operations: Vec<Operation>,
    /// Counted from 1; `None` for every call.
    call: Option<u64>,
    after_call: bool,
}

impl Failure {
    /// Fails with the error that `error` returns. It is called once for each failed call.
    pub fn new(error: impl Fn() -> StorageError + Send + Sync + 'static) -> Self {
        Self {
            error: Arc::new(error),
            operations: Operation::ALL.to_vec(),
            call: None,
            after_call: false,
        }
    }

    /// Fails as a full disk does: [`StorageError::Io`], which
    /// [is retryable](StorageError::is_retryable).
    pub fn disk_full() -> Self {
        Self::new(|| {
            StorageError::io("append to", "/failing-backend", ErrorKind::StorageFull.into())
        })
    }

    /// Fails as a disk with bad sectors does: [`StorageError::Io`], which is not
    /// [retryable](StorageError::is_retryable).
    pub fn broken_disk() -> Self {
        let error = || std::io::Error::other("input/output error");
        Self::new(move || StorageError::io("access", "/failing-backend", error()))
    }

    /// Fails as a service does that cannot be reached: [`StorageError::Remote`], which
    /// [is retryable](StorageError::is_retryable).
    pub fn unreachable() -> Self {
        Self::new(|| {
            StorageError::remote("reach", "failing-backend://", true, "connection refused")
        })
    }

    /// Restricts the failure to these operations. A call of any other is not counted.
    pub fn on(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.operations = operations.into_iter().collect();
        self
    }

    /// Fails only the `n`-th matching call, counted from 1 since the failure was added. Calls
    /// before and after it are forwarded.
    pub fn nth_call(mut self, n: u64) -> Self {
        self.call = Some(n);
        self
    }

    /// Lets the inner backend complete the call first, and fails then: entries are stored and
    /// deleted, but the caller gets the error. A stream yields its items and ends with the error.
    /// If the inner backend itself fails, its error is returned.
    pub fn after_call(mut self) -> Self {
        self.after_call = true;
        self
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("error", &(self.error)())
            .field("operations", &self.operations)
            .field("call", &self.call)
            .field("after_call", &self.after_call)
            .finish()
    }
}

/// A method of [`StorageBackend`].
///
/// A call of a method that returns a future counts when the future is first polled; a call of one
/// that returns a stream counts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`StorageBackend::write`].
    Write,
    /// [`StorageBackend::write_batch`].
    WriteBatch,
    /// [`StorageBackend::write_new`].
    WriteNew,
    /// [`StorageBackend::append`].
    Append,
    /// [`StorageBackend::read`].
    Read,
    /// [`StorageBackend::read_line`].
    ReadLine,
    /// [`StorageBackend::list_entries`].
    ListEntries,
    /// [`StorageBackend::scan`].
    Scan,
    /// [`StorageBackend::scan_lines`].
    ScanLines,
    /// [`StorageBackend::count`].
    Count,
    /// [`StorageBackend::delete`].
    Delete,
    /// [`StorageBackend::delete_batch`].
    DeleteBatch,
    /// [`StorageBackend::delete_at_or_before`].
    DeleteAtOrBefore,
    /// [`StorageBackend::compact`].
    Compact,
    /// [`StorageBackend::flush`].
    Flush,
    /// [`StorageBackend::close`].
    Close,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 16] = [
        Self::Write,
        Self::WriteBatch,
        Self::WriteNew,
        Self::Append,
        Self::Read,
        Self::ReadLine,
        Self::ListEntries,
        Self::Scan,
        Self::ScanLines,
        Self::Count,
        Self::Delete,
        Self::DeleteBatch,
        Self::DeleteAtOrBefore,
        Self::Compact,
        Self::Flush,
        Self::Close,
    ];
    /// The operations that store entries. The logger uses `append` for ids that it created, `write` and
    /// `write_batch` for ids that the caller set.
    pub const WRITES: [Self; 4] = [Self::Write, Self::WriteBatch, Self::WriteNew, Self::Append];
    /// The operations that return entries or their number.
    pub const READS: [Self; 6] =
        [Self::Read, Self::ReadLine, Self::ListEntries, Self::Scan, Self::ScanLines, Self::Count];
    /// The operations that delete entries.
    pub const DELETES: [Self; 3] = [Self::Delete, Self::DeleteBatch, Self::DeleteAtOrBefore];
}

#[async_trait]
impl<S: StorageBackend> StorageBackend for FailingBackend<S> {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.call(Operation::Write, self.inner.write(entry)).await
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.call(Operation::Read, self.inner.read(id)).await
    }

    async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
        self.call(Operation::ReadLine, self.inner.read_line(id)).await
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.call(Operation::ListEntries, self.inner.list_entries(start, end)).await
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.call(Operation::Delete, self.inner.delete(id)).await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        self.call(Operation::Count, self.inner.count()).await
    }

    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.call(Operation::WriteBatch, self.inner.write_batch(entries)).await
    }

    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        self.call(Operation::WriteNew, self.inner.write_new(entries)).await
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        self.call(Operation::Append, self.inner.append(entries)).boxed()
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        self.stream(Operation::Scan, self.inner.scan(query))
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        self.stream(Operation::ScanLines, self.inner.scan_lines(query))
    }

    /// Counts as [`Operation::Scan`].
    async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
        self.call(Operation::Scan, self.inner.have_ended(starts)).await
    }

    async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        self.call(Operation::DeleteBatch, self.inner.delete_batch(ids)).await
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.call(Operation::DeleteAtOrBefore, self.inner.delete_at_or_before(cutoff)).await
    }

    /// Counts as [`Operation::Count`].
    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.call(Operation::Count, self.inner.estimate_at_or_before(cutoff)).await
    }

    async fn compact(&self) -> Result<u64, StorageError> {
        self.call(Operation::Compact, self.inner.compact()).await
    }

    async fn flush(&self) -> Result<(), StorageError> {
        self.call(Operation::Flush, self.inner.flush()).await
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.call(Operation::Close, self.inner.close()).await
    }

    fn metrics(&self) -> Option<StorageMetrics> {
        self.inner.metrics()
    }

    fn as_any(&self) -> Option<&dyn Any> {
        self.inner.as_any()
    }
}
