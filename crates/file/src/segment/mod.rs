//! A segment: one JSONL file, its lines and its index.

mod bloom;
mod cursor;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/segment/mod.rs"]
pub(crate) mod fuzzing;
mod index;
mod index_file;
mod lines;
mod postings;
mod run_filter;
mod terms;
mod unparsed;

use std::fs::File;
use std::io;
use std::sync::{
    Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

use attestry_core::Timestamp;

use crate::fs::sys::{FileId, IoMode};

pub(crate) use crate::fs::segment_name::SegmentName;
pub(crate) use bloom::{HashedId, hash_id_text};
pub(crate) use cursor::{LineCursor, LineSelection};
pub(crate) use index::{AppendedLine, CorruptLine, Line, MemoryIndex};
pub(crate) use index_file::{
    IndexFile, TemporaryIndex, load as load_index_file, write as write_index_file,
};
pub(crate) use lines::{
    LONG_LINE_BYTES, RawLine, for_each_line, may_be_erased, read_line, tail_start,
};
pub(crate) use run_filter::{Candidates, RunFilter};
pub(crate) use terms::{Condition, IndexKeys, Term};
pub(crate) use unparsed::{contains_id, id_in, timestamp_in};

/// A segment under its name at the time of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) file: Arc<SegmentFile>,
}

/// A segment's open file with its index. A rotation changes the name, not this.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) id: FileId,
    pub(crate) handle: Arc<File>,
    pub(crate) index: SegmentIndex,
    /// The filter of a run that the segment is one of, once there is one.
    run: OnceLock<Arc<RunFilter>>,
}

/// Which lines a segment has, and where.
#[derive(Debug)]
pub(crate) enum SegmentIndex {
    /// Of a segment that may grow or has no index file yet.
    InMemory(RwLock<MemoryIndex>),
    /// An index file, of a sealed segment.
    OnDisk(IndexFile),
}

impl Segment {
    /// The same segment with another index.
    pub(crate) fn with_new_index(&self, index: SegmentIndex) -> Self {
        let file = SegmentFile::new(self.file.id, self.file.handle.clone(), index);
        Self { name: self.name, file: Arc::new(file) }
    }
}

impl SegmentIndex {
    pub(crate) fn in_memory(index: MemoryIndex) -> Self {
        Self::InMemory(RwLock::new(index))
    }
}

impl SegmentFile {
    pub(crate) fn new(id: FileId, handle: Arc<File>, index: SegmentIndex) -> Self {
        Self { id, handle, index, run: OnceLock::new() }
    }

    pub(crate) fn run_filter(&self) -> Option<&RunFilter> {
        self.run.get().map(|run| &**run)
    }

    /// The index, if it is in memory.
    pub(crate) fn memory_index(&self) -> Option<RwLockReadGuard<'_, MemoryIndex>> {
        match &self.index {
            SegmentIndex::InMemory(index) => {
                Some(index.read().unwrap_or_else(PoisonError::into_inner))
            }
            SegmentIndex::OnDisk(_) => None,
        }
    }

    pub(crate) fn memory_index_mut(&self) -> Option<RwLockWriteGuard<'_, MemoryIndex>> {
        match &self.index {
            SegmentIndex::InMemory(index) => {
                Some(index.write().unwrap_or_else(PoisonError::into_inner))
            }
            SegmentIndex::OnDisk(_) => None,
        }
    }

    /// How many lines hold a record, valid or corrupt.
    pub(crate) fn records(&self, mode: IoMode) -> io::Result<u64> {
        match &self.index {
            SegmentIndex::InMemory(index) => Ok(read_lock(index, mode)?.records()),
            SegmentIndex::OnDisk(index) => Ok(index.records()),
        }
    }

    /// Whether its index file proves that it has no blank lines. False if only reading the segment could tell.
    pub(crate) fn has_no_holes(&self) -> bool {
        match &self.index {
            SegmentIndex::InMemory(_) => false,
            SegmentIndex::OnDisk(index) => index.has_no_holes().unwrap_or(false),
        }
    }

    /// How many bytes are indexed.
    pub(crate) fn indexed_len(&self) -> u64 {
        match &self.index {
            SegmentIndex::InMemory(index) => {
                index.read().unwrap_or_else(PoisonError::into_inner).indexed_len()
            }
            SegmentIndex::OnDisk(index) => index.indexed_len(),
        }
    }

    /// [`indexed_len`](Self::indexed_len); `None` if another thread is changing the index.
    pub(crate) fn try_indexed_len(&self) -> Option<u64> {
        match &self.index {
            SegmentIndex::InMemory(index) => {
                Some(read_lock(index, IoMode::Cached).ok()?.indexed_len())
            }
            SegmentIndex::OnDisk(index) => Some(index.indexed_len()),
        }
    }

    /// False if the id is certainly not in this segment, by what is in memory.
    #[inline]
    pub(crate) fn may_contain(&self, id: &HashedId) -> bool {
        match &self.index {
            SegmentIndex::InMemory(_) => true,
            SegmentIndex::OnDisk(index) => index.may_contain(id),
        }
    }

    /// Lines whose id may be this one, in write order.
    pub(crate) fn lookup(&self, id: &HashedId, mode: IoMode) -> io::Result<Vec<Line>> {
        match &self.index {
            SegmentIndex::InMemory(index) => Ok(read_lock(index, mode)?.lookup(id)),
            SegmentIndex::OnDisk(index) => index.lookup(id, mode),
        }
    }

    /// Whether its secondary index has the key of `condition`.
    pub(crate) fn can_answer(&self, condition: &Condition) -> io::Result<bool> {
        let conditions = std::slice::from_ref(condition);
        match &self.index {
            SegmentIndex::InMemory(index) => {
                Ok(read_lock(index, IoMode::Blocking)?.matching(conditions).is_some())
            }
            SegmentIndex::OnDisk(index) => Ok(index.matching(conditions)?.is_some()),
        }
    }

    /// Whether it has corrupt lines, by what is in memory.
    pub(crate) fn has_corrupt_lines(&self, mode: IoMode) -> io::Result<bool> {
        match &self.index {
            SegmentIndex::InMemory(index) => Ok(!read_lock(index, mode)?.corrupt().is_empty()),
            SegmentIndex::OnDisk(index) => Ok(index.has_corrupt()),
        }
    }

    pub(crate) fn corrupt_lines(&self) -> io::Result<Vec<CorruptLine>> {
        match &self.index {
            SegmentIndex::InMemory(index) => {
                Ok(read_lock(index, IoMode::Blocking)?.corrupt().to_vec())
            }
            SegmentIndex::OnDisk(index) => index.corrupt(),
        }
    }

    /// How many valid lines have a timestamp of `cutoff` or earlier, possibly with erased ones.
    pub(crate) fn lines_at_or_before(&self, cutoff: Timestamp) -> io::Result<u64> {
        match &self.index {
            SegmentIndex::InMemory(_) => {
                let index = self.memory_index();
                let lines = index.iter().flat_map(|index| index.lines());
                Ok(lines.filter(|line| line.timestamp <= cutoff).count() as u64)
            }
            SegmentIndex::OnDisk(index) => {
                match Timestamp::from_unix_micros(cutoff.unix_micros().saturating_add(1)) {
                    Ok(after) => index.first_at_or_after(after),
                    Err(_) => Ok(index.lines()),
                }
            }
        }
    }

    /// The earliest and the latest timestamp of its lines, possibly of erased ones; `None` without lines.
    pub(crate) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        match &self.index {
            SegmentIndex::InMemory(_) => self.memory_index()?.time_bounds(),
            SegmentIndex::OnDisk(index) => index.time_bounds(),
        }
    }
}

/// Locks an index for reading; with [`IoMode::Cached`], fails with `WouldBlock` instead of waiting. A poisoned
/// lock is fine: no update leaves the index inconsistent when it panics.
fn read_lock(
    index: &RwLock<MemoryIndex>,
    mode: IoMode,
) -> io::Result<RwLockReadGuard<'_, MemoryIndex>> {
    match index.try_read() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) if mode == IoMode::Cached => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(TryLockError::WouldBlock) => Ok(index.read().unwrap_or_else(PoisonError::into_inner)),
    }
}
