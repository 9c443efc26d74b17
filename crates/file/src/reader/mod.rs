//! Reading: finds entries by id and by time, without taking the store lock.
//!
//! The [`Catalog`] caches which segments the folder has, with their indexes. Each read first compares the
//! folder's [`Stamp`] with that of the cache and refreshes what is stale.

mod cached;
mod check;
mod corrupt;
mod index_files;
mod lookup;
mod progress;
mod refresh;
mod run_filters;
pub(crate) mod scan;
mod snapshot;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestry_core::StorageError;

use crate::fs::clock::Clock;
use crate::fs::epoch::{Stamp, StampFiles};
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
use crate::segment::{IndexKeys, Segment};

pub(crate) use index_files::may_lack_in_index;
pub(crate) use lookup::Found;
pub use progress::IndexingProgress;
pub(crate) use progress::Listener;
use run_filters::RunFilters;

/// The segments of a store and their indexes. Shared by readers and the writer thread; methods block on file
/// I/O unless they say otherwise.
#[derive(Debug)]
pub(crate) struct Catalog {
    folder: Folder,
    /// `None` if the store is read-only; then no index file is written.
    lock: Option<Arc<StoreLock>>,
    cache: Mutex<Cache>,
    listener: Listener,
    /// Of the indexes that are made. Index files that other processes have written may have others.
    keys: IndexKeys,
    clock: Clock,
    run_filters: RunFilters,
}

#[derive(Debug, Default)]
struct Cache {
    /// The folder's stamp when the cache was refreshed; `None` if the cache is invalid.
    stamp: Option<Stamp>,
    /// Open files that the stamp is read from.
    stamp_files: StampFiles,
    /// In write order.
    segments: Arc<[Segment]>,
    /// Those of `segments` with an index in memory: they may grow.
    growing: Vec<Segment>,
    /// May hold the last open handles of unlinked segments.
    unlinked: Vec<Arc<[Segment]>>,
    indexes_made: usize,
}

impl Catalog {
    pub(crate) fn new(folder: Folder, lock: Option<Arc<StoreLock>>, listener: Listener) -> Self {
        let (keys, clock) = (IndexKeys::default(), Clock::default());
        let (cache, run_filters) = (Mutex::default(), RunFilters::default());
        Self { folder, lock, cache, listener, keys, clock, run_filters }
    }

    pub(crate) fn with_keys(self, keys: IndexKeys) -> Self {
        Self { keys, ..self }
    }

    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str, segment: &Segment, source: io::Error) -> StorageError {
        StorageError::io(action, self.folder.segment(segment.name), source)
    }
}

#[cfg(test)]
mod tests;
