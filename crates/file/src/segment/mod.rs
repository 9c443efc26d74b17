//! One segment: its name, its lines, its index, and appending to it.

mod bloom;
mod cursor;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/segment/mod.rs"]
pub(crate) mod fuzzing;
mod index;
mod index_file;
mod lines;
mod name;

use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use attestry_core::Timestamp;

use crate::fs::sys::{FileId, IoMode};

pub(crate) use bloom::Wanted;
pub(crate) use cursor::Cursor;
pub(crate) use index::{BadLine, Index, Line, hash_of};
pub(crate) use index_file::{IndexFile, load as load_index_file, write as write_index_file};
pub(crate) use lines::{
    LONG_LINE_BYTES, RawLine, for_each_line, may_be_erased, read_line, tail_start,
};
pub(crate) use name::SegmentName;

/// One segment with what is known of its lines.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) body: Arc<Body>,
}

/// A segment's file, whatever its name is by now.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) id: FileId,
    pub(crate) file: Arc<File>,
    pub(crate) lines: Lines,
}

/// Those of `segments` that may have the id, by the filters that are in memory, in their order. Others
/// have not.
pub(crate) fn likely<'s>(
    segments: &'s [Segment],
    wanted: &Wanted,
) -> impl Iterator<Item = &'s Segment> {
    /// So many are asked before any answer counts: the processor waits for their cache lines at once.
    const AT_ONCE: usize = 16;
    segments.chunks(AT_ONCE).flat_map(|some| {
        let answers = some.iter().map(|segment| u16::from(segment.body.may_have(wanted)));
        let likely = answers.zip(0..).fold(0, |likely, (answer, place)| likely | answer << place);
        some.iter()
            .zip(0..)
            .filter(move |(_, place)| likely >> place & 1 == 1)
            .map(|(some, _)| some)
    })
}

/// Where the lines of a segment are.
#[derive(Debug)]
pub(crate) enum Lines {
    /// In memory, for a segment that grows or has no index file yet.
    Live(RwLock<Index>),
    /// In its index file.
    Sealed(IndexFile),
}

impl Body {
    /// The index in memory, if it is there.
    pub(crate) fn live(&self) -> Option<RwLockReadGuard<'_, Index>> {
        match &self.lines {
            Lines::Live(index) => Some(index.read().unwrap_or_else(PoisonError::into_inner)),
            Lines::Sealed(_) => None,
        }
    }

    pub(crate) fn live_mut(&self) -> Option<RwLockWriteGuard<'_, Index>> {
        match &self.lines {
            Lines::Live(index) => Some(index.write().unwrap_or_else(PoisonError::into_inner)),
            Lines::Sealed(_) => None,
        }
    }

    /// How many lines hold a record, readable or not.
    pub(crate) fn records(&self, mode: IoMode) -> io::Result<u64> {
        match &self.lines {
            Lines::Live(index) => Ok(read_lock(index, mode)?.records()),
            Lines::Sealed(index) => Ok(index.records()),
        }
    }

    /// Whether its index file says that every byte is a line's that has not been erased. Where that is
    /// not known without reading the lines it is not said.
    pub(crate) fn is_dense(&self) -> bool {
        match &self.lines {
            Lines::Live(_) => false,
            Lines::Sealed(index) => index.is_dense().unwrap_or(false),
        }
    }

    /// Up to where its lines are known.
    pub(crate) fn covered(&self) -> u64 {
        match &self.lines {
            Lines::Live(index) => index.read().unwrap_or_else(PoisonError::into_inner).covered(),
            Lines::Sealed(index) => index.covered(),
        }
    }

    /// [`covered`](Self::covered), without waiting for the index in memory.
    pub(crate) fn covered_if_free(&self) -> Option<u64> {
        match &self.lines {
            Lines::Live(index) => Some(read_lock(index, IoMode::Cached).ok()?.covered()),
            Lines::Sealed(index) => Some(index.covered()),
        }
    }

    /// Whether lines may have the id, by what is in memory of an index file.
    #[inline]
    fn may_have(&self, wanted: &Wanted) -> bool {
        match &self.lines {
            Lines::Live(_) => true,
            Lines::Sealed(index) => index.may_have(wanted),
        }
    }

    /// Lines that may have the id, in the order written.
    pub(crate) fn candidates(&self, wanted: &Wanted, mode: IoMode) -> io::Result<Vec<Line>> {
        match &self.lines {
            Lines::Live(index) => Ok(read_lock(index, mode)?.candidates(wanted.hash)),
            Lines::Sealed(index) => index.candidates(wanted, mode),
        }
    }

    /// Lines that hold no entry.
    pub(crate) fn bad(&self, mode: IoMode) -> io::Result<Vec<BadLine>> {
        match &self.lines {
            Lines::Live(index) => Ok(read_lock(index, mode)?.bad().to_vec()),
            Lines::Sealed(index) if mode == IoMode::Cached && index.has_bad() => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Lines::Sealed(index) => index.bad(),
        }
    }

    /// The earliest and the latest time of its lines, if it has any; perhaps of erased ones.
    pub(crate) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        match &self.lines {
            Lines::Live(index) => {
                let index = index.read().unwrap_or_else(PoisonError::into_inner);
                let times = || index.lines().map(|line| line.timestamp);
                Some((times().min()?, times().max()?))
            }
            Lines::Sealed(index) => index.time_bounds(),
        }
    }
}

/// Locks an index for reading; fails with `WouldBlock` where that would have to wait and must not. A
/// thread that panicked left nothing half done under this lock.
fn read_lock(index: &RwLock<Index>, mode: IoMode) -> io::Result<RwLockReadGuard<'_, Index>> {
    match index.try_read() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) if mode == IoMode::Cached => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(TryLockError::WouldBlock) => Ok(index.read().unwrap_or_else(PoisonError::into_inner)),
    }
}
