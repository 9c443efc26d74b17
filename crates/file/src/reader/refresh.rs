//! Refreshes the cache after a change of the folder: segments that were created, renamed, unlinked or
//! rewritten, and lines that were erased, by any process.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;

use attestry_core::StorageError;

use super::snapshot::LockMode;
use super::{Cache, Catalog};
use crate::erase;
use crate::fs::epoch::Stamp;
use crate::fs::layout::Listed;
use crate::fs::open;
use crate::fs::sys::{FileId, FileState};
use crate::segment::{
    IndexFile, MemoryIndex, Segment, SegmentFile, SegmentIndex, SegmentName, load_index_file,
};

/// The memory budget for the Bloom filters of all segments, enough for 25 million entries. Filters beyond it
/// are read block by block.
const FILTER_BUDGET: usize = 44 << 20;

impl Catalog {
    pub(super) fn refresh(
        &self,
        cache: &mut Cache,
        stamp: Stamp,
        lock_mode: LockMode,
    ) -> Result<(), StorageError> {
        let erased = cache.stamp.is_none_or(|old| old.epochs.erasures != stamp.epochs.erasures);
        let cached: HashMap<FileId, Arc<SegmentFile>> =
            cache.segments.iter().map(|segment| (segment.file.id, segment.file.clone())).collect();
        let written_to = self.clock.written_to();
        loop {
            let listed = self.folder.list()?;
            let mut filter_budget = FILTER_BUDGET;
            let mut segments = Vec::with_capacity(listed.len());
            let mut missing = Vec::new();
            for (number, found) in listed.iter().enumerate() {
                // The clock may have jumped back, so today's segment need not be the newest.
                let grows = number + 1 == listed.len() || written_to.contains(&found.name);
                let file = match cached.get(&found.id) {
                    Some(file) if self.is_current(file, found, grows, erased)? => {
                        Some(file.clone())
                    }
                    _ => self.open(found, grows, filter_budget)?,
                };
                let Some(file) = file else { break };
                match &file.index {
                    SegmentIndex::OnDisk(index) => {
                        filter_budget = filter_budget.saturating_sub(index.filter_bytes());
                    }
                    SegmentIndex::InMemory(_) if !grows => missing.push(number),
                    SegmentIndex::InMemory(_) => {}
                }
                segments.push(Segment { name: found.name, file });
            }
            // A rotation during a listing can hide a segment from it, but not from two equal ones in a row.
            let same = |a: &[Listed], b: &[Listed]| {
                a.iter().map(|l| (l.name, l.id)).eq(b.iter().map(|l| (l.name, l.id)))
            };
            if segments.len() < listed.len() || !same(&listed, &self.folder.list()?) {
                continue;
            }
            cache.indexes_made += self.write_missing_indexes(
                &mut segments,
                &missing,
                stamp,
                lock_mode,
                filter_budget,
            )?;
            cache.stamp = Some(stamp);
            let grows =
                |segment: &&Segment| matches!(segment.file.index, SegmentIndex::InMemory(_));
            cache.growing = segments.iter().filter(grows).cloned().collect();
            cache.segments = segments.into();
            cache.unlinked.clear();
            return Ok(());
        }
    }

    /// Whether a cached segment still agrees with the folder.
    fn is_current(
        &self,
        file: &SegmentFile,
        found: &Listed,
        grows: bool,
        erased: bool,
    ) -> Result<bool, StorageError> {
        match &file.index {
            SegmentIndex::OnDisk(index) => Ok(!grows
                && index.indexed_len() == found.length
                && index.is_at(&self.folder.index(found.id))
                && index.reload_erased().is_ok()
                && self.agrees(index, found.name, found.state)),
            SegmentIndex::InMemory(_) => self.update_memory_index(found.name, file, erased),
        }
    }

    /// Whether the segment `name`, which was found in this state, agrees with its index file, as far as
    /// their states tell.
    pub(super) fn agrees(&self, index: &IndexFile, name: SegmentName, state: FileState) -> bool {
        // An erasure changes the segment before the index file.
        let is_being_erased =
            || erase::pending(&self.folder).is_ok_and(|intent| intent.names(name));
        // It may have come to its end since.
        let agrees_now = || {
            let now = open::metadata(&self.folder.segment(name));
            let now = now.map(|metadata| FileState::of(&metadata));
            index.reload_erased().is_ok() && now.is_ok_and(|now| index.agrees_with(now))
        };
        index.agrees_with(state) || is_being_erased() || agrees_now()
    }

    /// Marks erased lines in an index in memory, if `erased`. Returns false if the index is stale: an append
    /// that was undone may be indexed, and other lines may be in its place.
    pub(super) fn update_memory_index(
        &self,
        name: SegmentName,
        file: &SegmentFile,
        erased: bool,
    ) -> Result<bool, StorageError> {
        let failed = |source| StorageError::io("read", self.folder.segment(name), source);
        let Some(mut index) = file.memory_index_mut() else { return Ok(true) };
        if !index.is_current(&file.handle).map_err(failed)? {
            return Ok(false);
        }
        if erased {
            index.detect_erased(&file.handle).map_err(failed)?;
        }
        Ok(true)
    }

    /// Opens a segment, with its index file or with an index in memory that has yet to be extended. `None` if
    /// it was renamed or unlinked since it was listed.
    fn open(
        &self,
        found: &Listed,
        grows: bool,
        filter_budget: usize,
    ) -> Result<Option<Arc<SegmentFile>>, StorageError> {
        let path = self.folder.segment(found.name);
        let handle = match open::read(&path) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::io("open", path, source)),
        };
        let metadata =
            handle.metadata().map_err(|source| StorageError::io("examine", &path, source))?;
        if FileId::of(&metadata) != found.id {
            return Ok(None);
        }
        let (index_path, length) = (self.folder.index(found.id), metadata.len());
        let state = FileState::of(&metadata);
        let index_file = (!grows)
            .then(|| IndexFile::open(&index_path, found.id, length, filter_budget))
            .flatten()
            .filter(|index| self.agrees(index, found.name, state));
        let index = match index_file {
            Some(index) => SegmentIndex::OnDisk(index),
            None => {
                let saved =
                    load_index_file(&index_path, found.id, &handle, length, state, &self.keys);
                if saved.is_none() && self.lock.is_some() {
                    // The segment may grow, and the index file then look as if it had been appended to.
                    let _ = fs::remove_file(&index_path);
                }
                let new = || MemoryIndex::new(self.keys.clone());
                SegmentIndex::in_memory(saved.unwrap_or_else(new))
            }
        };
        Ok(Some(Arc::new(SegmentFile::new(found.id, Arc::new(handle), index))))
    }
}
