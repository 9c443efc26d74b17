//! Deletions, and the long-running jobs: expiry and compaction, executed in bounded steps. Batches of
//! this process and other processes get the store lock between two steps.

mod compact;
mod delete;
mod expire;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry_core::{StorageError, Timestamp, event};

use crate::active_segment::ActiveSegment;
use crate::erase::Erasures;
use crate::fs::lock::LockGuard;
use crate::fs::segment_name::SegmentName;
use crate::observer::{EraseReason, LogObserver};
use crate::reader::Catalog;
use compact::Compaction;
pub(crate) use delete::delete;
use expire::Expiry;

/// A step ends with the first erasure or segment after this time.
const STEP: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(20) };

/// The parts of a log that are changed under the store lock.
#[derive(Debug)]
pub(crate) struct LogParts {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) active: ActiveSegment,
    pub(crate) erasures: Erasures,
    pub(crate) observer: Box<dyn LogObserver>,
}

/// The segments that the system did not let a job change. The job continues with the others, and fails at
/// its end.
#[derive(Debug, Default)]
struct RefusedSegments {
    names: HashSet<SegmentName>,
    first: Option<StorageError>,
}

impl RefusedSegments {
    fn add(&mut self, segment: SegmentName, error: StorageError) {
        self.names.insert(segment);
        self.first.get_or_insert(error);
    }

    fn contains(&self, segment: SegmentName) -> bool {
        self.names.contains(&segment)
    }

    /// The result of the job: the first error, if there was one.
    fn finish(&mut self, result: u64) -> Result<Progress, StorageError> {
        self.first.take().map_or(Ok(Progress::Done(result)), Err)
    }
}

/// A job that takes as long as the store is large.
#[derive(Debug)]
pub(crate) enum MaintenanceJob {
    Compact(Compaction),
    Expire(Expiry),
}

/// Whether a job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Pending,
    /// With its result: the bytes freed or the entries deleted.
    Done(u64),
}

impl MaintenanceJob {
    /// Returns the space of erased lines to the file system.
    pub(crate) fn compact() -> Self {
        Self::Compact(Compaction::default())
    }

    /// Deletes the entries at or before `cutoff`.
    pub(crate) fn expire(cutoff: Timestamp, reason: EraseReason) -> Self {
        Self::Expire(Expiry::new(cutoff, reason))
    }

    /// Executes the next step. After an error the job is over.
    pub(crate) fn step(
        &mut self,
        log: &mut LogParts,
        guard: &LockGuard<'_>,
    ) -> Result<Progress, StorageError> {
        let deadline = Instant::now() + STEP;
        let progress = match self {
            Self::Compact(compaction) => compaction.step(deadline, log, guard),
            Self::Expire(expiry) => expiry.step(deadline, log, guard),
        }?;
        match (&*self, progress) {
            (_, Progress::Pending) => event!(TRACE, "maintenance step done"),
            (Self::Compact(_), Progress::Done(bytes)) => {
                event!(INFO, bytes = bytes, "store compacted")
            }
            (Self::Expire(_), Progress::Done(count)) => {
                event!(INFO, entries = count, "entries expired")
            }
        }
        Ok(progress)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::durability::Durability;
    use crate::fs::layout::Folder;
    use crate::fs::lock::StoreLock;
    use crate::observer::NoObserver;
    use crate::reader::Listener;
    use crate::recovery;

    /// Creates a store in `folder`; its parts, and its lock.
    pub(crate) fn parts_in(folder: &Folder) -> (LogParts, Arc<StoreLock>) {
        recovery::create(folder).unwrap();
        let lock = Arc::new(StoreLock::open(folder).unwrap());
        let mut observer = NoObserver;
        let erasures = Erasures::recover(folder.clone(), &mut observer).0;
        let catalog = Catalog::new(folder.clone(), Some(lock.clone()), Listener::default());
        let parts = LogParts {
            catalog: Arc::new(catalog),
            active: ActiveSegment::new(folder.clone(), 1 << 20, Durability::Sync),
            erasures,
            observer: Box::new(observer),
        };
        (parts, lock)
    }
}
