//! The counters behind a snapshot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::histogram::HistogramCounter;
use super::{LastCheckpoint, LastError, StorageMetrics};
use crate::{ErrorKind, StorageError, Timestamp};

/// Counts what a backend does, for its [`metrics`](crate::StorageBackend::metrics). All methods may be
/// called from many threads at once and take a few instructions; failures and checkpoints take a lock.
///
/// ```
/// use attestry_core::metrics::StorageCounters;
/// use attestry_core::{ErrorKind, StorageError};
///
/// let counters = StorageCounters::default();
/// let writing = counters.writing(5);
/// assert_eq!(counters.snapshot().queue_depth, 5);
/// let failed: Result<(), _> = writing.end(Err(StorageError::Closed));
///
/// assert!(failed.is_err());
/// let metrics = counters.snapshot();
/// assert_eq!((metrics.refused, metrics.queue_depth), (5, 0));
/// assert_eq!(metrics.last_error.map(|error| error.kind), Some(ErrorKind::Closed));
/// ```
#[derive(Debug, Default)]
pub struct StorageCounters {
    entries: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
    queue_depth: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
    failed_checkpoints: AtomicU64,
    syncs: HistogramCounter,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    checkpoint: Option<LastCheckpoint>,
    error: Option<LastError>,
}

impl StorageCounters {
    /// A call begins to store `entries` entries. They count as queued until the returned guard is
    /// dropped.
    #[must_use = "the entries are queued until it is dropped"]
    pub fn writing(&self, entries: usize) -> Writing<'_> {
        self.queue_depth.fetch_add(entries as u64, Ordering::Relaxed);
        Writing { counters: self, entries: entries as u64 }
    }

    /// Remembers the failure of a call that changes the store and writes no entries; returns `result`.
    ///
    /// # Errors
    ///
    /// That of `result`.
    pub fn observe<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        result.inspect_err(|error| self.failed(error.kind()))
    }

    /// A batch was stored that has `entries` entries and takes `bytes` bytes.
    pub fn stored(&self, entries: usize, bytes: usize) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch was synced, which took `duration`.
    pub fn synced(&self, duration: Duration) {
        self.syncs.record(duration);
    }

    /// A request is repeated.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A checkpoint of a tree of `size` leaves was signed at `time`.
    pub fn checkpoint(&self, time: Timestamp, size: u64) {
        self.last().checkpoint = Some(LastCheckpoint { time, size });
    }

    /// A checkpoint was due and could not be signed.
    pub fn checkpoint_failed(&self, kind: ErrorKind) {
        self.failed_checkpoints.fetch_add(1, Ordering::Relaxed);
        self.failed(kind);
    }

    /// Something failed that refuses no entry.
    pub fn failed(&self, kind: ErrorKind) {
        self.last().error = Some(LastError::now(kind));
    }

    /// The numbers of now.
    #[must_use]
    pub fn snapshot(&self) -> StorageMetrics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Last { checkpoint, error } = *self.last();
        StorageMetrics {
            entries: load(&self.entries),
            bytes: load(&self.bytes),
            batches: load(&self.batches),
            queue_depth: load(&self.queue_depth),
            syncs: self.syncs.snapshot(),
            retries: load(&self.retries),
            refused: load(&self.refused),
            last_checkpoint: checkpoint,
            failed_checkpoints: load(&self.failed_checkpoints),
            last_error: error,
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that stores entries; returned by [`StorageCounters::writing`].
#[derive(Debug)]
pub struct Writing<'a> {
    counters: &'a StorageCounters,
    entries: u64,
}

impl Writing<'_> {
    /// The call ends with `result`, which is returned. Its entries count as refused if it failed.
    ///
    /// # Errors
    ///
    /// That of `result`.
    pub fn end<T>(self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        result.inspect_err(|error| {
            self.counters.refused.fetch_add(self.entries, Ordering::Relaxed);
            self.counters.failed(error.kind());
        })
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.counters.queue_depth.fetch_sub(self.entries, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_call_leaves_the_queue() {
        let counters = StorageCounters::default();
        let (first, second) = (counters.writing(3), counters.writing(2));
        assert_eq!(counters.snapshot().queue_depth, 5);
        drop(first);
        assert_eq!(counters.snapshot().queue_depth, 2);
        second.end(Ok(())).unwrap();
        let metrics = counters.snapshot();
        assert_eq!((metrics.queue_depth, metrics.refused, metrics.last_error), (0, 0, None));
    }

    #[test]
    fn failed_change_refuses_no_entry() {
        let counters = StorageCounters::default();
        assert!(counters.observe(Err::<(), _>(StorageError::Closed)).is_err());
        assert_eq!(counters.snapshot().last_error.unwrap().kind, ErrorKind::Closed);
        counters.checkpoint(Timestamp::UNIX_EPOCH, 7);
        counters.checkpoint_failed(ErrorKind::Io);
        let metrics = counters.snapshot();
        assert_eq!((metrics.refused, metrics.failed_checkpoints), (0, 1));
        assert_eq!(metrics.last_error.unwrap().kind, ErrorKind::Io);
        let json = serde_json::to_value(&metrics).unwrap();
        assert_eq!(json["last_error"]["kind"], "io");
        assert_eq!(json["last_checkpoint"]["size"], 7);
    }
}
