//! What a storage backend has done since it was opened, in numbers.
//!
//! [`StorageMetrics`] is a snapshot that [`StorageBackend::metrics`](crate::StorageBackend::metrics)
//! returns; a backend counts with [`StorageCounters`]. Metrics never hold content, ids or paths.

mod counters;
mod histogram;

use serde::Serialize;

pub use counters::{StorageCounters, Writing};
pub use histogram::Histogram;

use crate::{ErrorKind, Timestamp};

/// What a storage backend has done since it was opened, in this process.
///
/// All numbers but [`queue_depth`](Self::queue_depth) only grow. They are read one after the other while
/// the backend works, so they may differ by what happens meanwhile. Serialises as JSON with the names of
/// the fields:
///
/// ```
/// use attestry_core::metrics::StorageCounters;
///
/// let counters = StorageCounters::default();
/// counters.stored(3, 1_920);
/// let json = serde_json::to_value(counters.snapshot())?;
/// assert_eq!((&json["entries"], &json["bytes"], &json["batches"]), (&3.into(), &1_920.into(), &1.into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct StorageMetrics {
    /// Entries that were stored. An entry that was stored already is not counted.
    pub entries: u64,
    /// Bytes that these entries take as stored; 0 for a backend that keeps them in memory.
    pub bytes: u64,
    /// How often entries were written: batches of a file, objects of S3.
    pub batches: u64,
    /// Entries of calls that wait to be stored now.
    pub queue_depth: u64,
    /// How long each sync of a batch took. Empty for a backend without syncs.
    pub syncs: Histogram,
    /// Requests that were repeated after a failure.
    pub retries: u64,
    /// Entries of calls that failed. Of a failed batch some entries may have been stored.
    pub refused: u64,
    /// The newest checkpoint that was signed.
    pub last_checkpoint: Option<LastCheckpoint>,
    /// Checkpoints that were due and could not be signed.
    pub failed_checkpoints: u64,
    /// The last failure of a call that changes the store, or of a checkpoint.
    pub last_error: Option<LastError>,
}

/// A signed checkpoint, without its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastCheckpoint {
    /// When it was signed.
    pub time: Timestamp,
    /// How many leaves its tree has.
    pub size: u64,
}

/// The kind of a failure and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastError {
    /// When it happened.
    pub time: Timestamp,
    /// The kind of failure.
    pub kind: ErrorKind,
}

impl LastError {
    /// A failure of this `kind`, now.
    #[must_use]
    pub fn now(kind: ErrorKind) -> Self {
        Self { time: Timestamp::now(), kind }
    }
}
