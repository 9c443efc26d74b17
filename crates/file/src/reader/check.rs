//! Compares the indexes with the segments.

use std::fs;
use std::path::PathBuf;

use attestry_core::StorageError;

use super::{Cache, Catalog};
use crate::segment::{MemoryIndex, Segment, SegmentIndex};

impl Catalog {
    /// Reads every segment and compares its index with it. Returns the segments whose index differs. They are
    /// indexed again; index files are replaced only if the store is writable. One index at a time is made.
    pub(crate) fn check_indexes(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut differing = Vec::new();
        for segment in self.snapshot()?.iter() {
            // A writer that appends or erases meanwhile makes them differ; then the second look is at a new
            // snapshot.
            if !self.has_equal_index(segment)? && !self.has_equal_index_now(segment)? {
                if self.lock.is_some() {
                    let _ = fs::remove_file(self.folder().index(segment.file.id));
                }
                differing.push(self.folder().segment(segment.name));
            }
        }
        if !differing.is_empty() {
            // Also the indexes in memory.
            *self.cache() = Cache::default();
            self.build_indexes()?;
        }
        Ok(differing)
    }

    fn has_equal_index_now(&self, segment: &Segment) -> Result<bool, StorageError> {
        let segments = self.snapshot()?;
        let same = segments.iter().find(|found| found.file.id == segment.file.id);
        same.map_or(Ok(true), |segment| self.has_equal_index(segment))
    }

    fn has_equal_index(&self, segment: &Segment) -> Result<bool, StorageError> {
        let keys = match &segment.file.index {
            SegmentIndex::OnDisk(index) => index.keys(),
            SegmentIndex::InMemory(_) => self.keys.clone(),
        };
        let made = segment.with_new_index(SegmentIndex::in_memory(MemoryIndex::new(keys)));
        self.extend(&made, None)?;
        let Some(made) = made.file.memory_index() else { return Ok(true) };
        match &segment.file.index {
            // An unreadable index file differs.
            SegmentIndex::OnDisk(index) => Ok(index.equals(&made).unwrap_or(false)),
            SegmentIndex::InMemory(_) => {
                Ok(segment.file.memory_index().is_none_or(|index| index.equals(&made)))
            }
        }
    }
}
