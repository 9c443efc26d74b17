//! Snapshots of the store: the cached segments, after a check that the cache is valid.

use std::collections::HashMap;
use std::sync::Arc;

use attestry_core::StorageError;

use super::progress::Progress;
use super::{Cache, Catalog};
use crate::fs::epoch::{Stamp, StampFiles};
use crate::fs::lock::LockGuard;
use crate::fs::sys::{self, FileId};
use crate::segment::{AppendedLine, Line, Segment, SegmentIndex};

/// How a snapshot gets the store lock, which writing an index file takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum LockMode {
    /// The caller holds it.
    Held,
    Wait,
    /// Without it, no index file is written.
    Try,
}

impl Catalog {
    /// All segments in write order, with current indexes.
    pub(crate) fn snapshot(&self) -> Result<Arc<[Segment]>, StorageError> {
        self.snapshot_with(LockMode::Try)
    }

    /// [`snapshot`](Self::snapshot) for a caller that holds the store lock. Writes missing index files.
    pub(crate) fn snapshot_locked(
        &self,
        _: &LockGuard<'_>,
    ) -> Result<Arc<[Segment]>, StorageError> {
        self.snapshot_with(LockMode::Held)
    }

    /// Writes missing index files when a store is opened. Waits for the store lock, but reads the segments,
    /// which takes longest, without it. Returns how many were written.
    pub(crate) fn build_indexes(&self) -> Result<usize, StorageError> {
        self.snapshot_with(LockMode::Wait)?;
        Ok(self.cache().indexes_made)
    }

    fn snapshot_with(&self, lock_mode: LockMode) -> Result<Arc<[Segment]>, StorageError> {
        let mut cache = self.cache();
        let mut stamp = Stamp::read_with(&self.folder, &mut cache.stamp_files)?;
        if cache.stamp != Some(stamp) {
            // The paths may name new files.
            cache.stamp_files = StampFiles::default();
            stamp = Stamp::read_with(&self.folder, &mut cache.stamp_files)?;
            self.refresh(&mut cache, stamp, lock_mode)?;
        }
        for segment in &cache.growing {
            self.extend(segment, None)?;
        }
        Ok(cache.segments.clone())
    }

    /// Indexes what was appended to a segment with an index in memory.
    pub(super) fn extend(
        &self,
        segment: &Segment,
        progress: Option<&Progress<'_>>,
    ) -> Result<(), StorageError> {
        let Some(mut index) = segment.file.memory_index_mut() else { return Ok(()) };
        // Read under the index lock: a stale, smaller length would look like a truncated file.
        let length = self.length_of(segment)?;
        let own_progress = self.listener.begin(length.saturating_sub(index.indexed_len()));
        let progress = progress.unwrap_or(&own_progress);
        let being_erased = |offset, length| self.is_being_erased(segment, offset, length);
        index
            .extend(&segment.file.handle, length, being_erased, |bytes| progress.add(bytes))
            .map_err(|source| self.failed("read", segment, source))
    }

    /// Adds lines of this process to the index in memory of the segment `id`, so that they need not be read.
    /// Lines that do not follow what is indexed are left to the next snapshot, which reads them.
    pub(crate) fn note_appended<'a>(
        &self,
        id: FileId,
        lines: impl Iterator<Item = AppendedLine<'a>>,
    ) {
        let cache = self.cache();
        let segment = cache.growing.iter().find(|segment| segment.file.id == id);
        let Some(mut index) = segment.and_then(|found| found.file.memory_index_mut()) else {
            return;
        };
        for appended in lines {
            if appended.line.offset == index.indexed_len() && !index.has_open_tail() {
                index.push_appended(appended);
            }
        }
    }

    pub(super) fn length_of(&self, segment: &Segment) -> Result<u64, StorageError> {
        let length = sys::length_of(&segment.file.handle);
        length.map_err(|source| self.failed("examine", segment, source))
    }

    /// Makes the next snapshot list the folder again.
    pub(crate) fn invalidate(&self) {
        self.cache().stamp = None;
    }

    /// Keeps the files of `snapshots` open until the next refresh, and makes the next snapshot refresh.
    /// Closing the last handle of an unlinked file waits until its blocks are freed.
    pub(crate) fn defer_close(&self, snapshots: Vec<Arc<[Segment]>>) {
        if !snapshots.is_empty() {
            let mut cache = self.cache();
            cache.unlinked.extend(snapshots);
            cache.stamp = None;
        }
    }

    /// Removes lines that this process has erased from the indexes, under the store lock, so that the next
    /// snapshot need not search the segments for them.
    pub(crate) fn mark_erased(&self, lines: &[(&Segment, Line)]) -> Result<(), StorageError> {
        for (segment, line) in lines {
            if let Some(mut index) = segment.file.memory_index_mut() {
                index.mark_erased(line.offset);
            }
        }
        let mut cache = self.cache();
        let now = Stamp::read(&self.folder)?;
        // Another value means that another process has changed something, too.
        let expected = cache.stamp.map(|stamp| stamp.after_one_erasure());
        let is_current = expected == Some(now) && self.are_current(&cache, lines);
        cache.stamp = is_current.then_some(now);
        Ok(())
    }

    /// Whether the cached indexes of the segments of `lines` are those that the lines were removed from.
    fn are_current(&self, cache: &Cache, lines: &[(&Segment, Line)]) -> bool {
        let erased_in: HashMap<_, _> =
            lines.iter().map(|(segment, _)| (segment.file.id, &segment.file)).collect();
        cache.segments.iter().all(|segment| {
            match (erased_in.get(&segment.file.id), &segment.file.index) {
                (None, _) => true,
                (Some(_), SegmentIndex::OnDisk(index)) => {
                    index.is_at(&self.folder.index(segment.file.id))
                        && index.reload_erased().is_ok()
                }
                // A reader may have refreshed the cache since the lines were found.
                (Some(file), SegmentIndex::InMemory(_)) => Arc::ptr_eq(file, &segment.file),
            }
        })
    }
}
