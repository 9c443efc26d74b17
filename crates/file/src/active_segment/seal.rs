//! Seals the active segment: renames it, so that the next append creates a new one. Closes it.

use std::fs;
use std::time::Instant;

use attestry_core::{StorageError, event};

use super::ActiveSegment;
use crate::erase::Erasures;
use crate::fs::{epoch, sys};
use crate::observer::LogObserver;
use crate::reader::may_lack_in_index;

impl ActiveSegment {
    /// Renames the open segment to the next number of its day. An empty one is removed.
    pub(super) fn seal(
        &mut self,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        // The intent log, perhaps of a process that died, names segments: it is completed before a name
        // changes.
        if let Some(open) = &self.open {
            erasures.finish_before_rename(open.name, observer)?;
        }
        if self.open.as_ref().is_some_and(|open| !open.poisoned) {
            self.sync_open()?;
            self.sync_folder()?;
        }
        let Some(open) = &self.open else { return Ok(()) };
        let from = &open.path;
        self.folder_dirty = true;
        // Not `open.length`: another process may have appended since.
        let length = sys::length_of(&open.file)
            .map_err(|source| StorageError::io("examine", from, source))?;
        let mut sealed = None;
        if length == 0 {
            fs::remove_file(from).map_err(|source| StorageError::io("remove", from, source))?;
            observer.segment_removed(open.name);
        } else {
            let taken = self.folder.list()?;
            let name = open.name.sealed(taken.iter().map(|listed| listed.name));
            observer.before_rename(open.name, name)?;
            if let Err(source) = fs::rename(from, self.folder.segment(name)) {
                observer.before_rename(name, open.name)?;
                return Err(StorageError::io("rename", from, source));
            }
            event!(INFO, segment = %name, bytes = length, "segment sealed");
            sealed = Some(name);
        }
        let sealed = sealed.zip(self.open.take());
        epoch::bump_layout(&self.folder)?;
        if let Some((name, open)) = sealed {
            self.indexer.index_sealed(open.unindexed(name, length));
        }
        Ok(())
    }

    /// Seals the open segment if it is poisoned.
    pub(crate) fn seal_poisoned(
        &mut self,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        let poisoned = self.open.as_ref().is_some_and(|open| open.poisoned);
        if poisoned && !self.wedged { self.seal(erasures, observer) } else { Ok(()) }
    }

    /// Syncs and closes the file.
    pub(crate) fn close(&mut self) -> Result<(), StorageError> {
        let synced = self.sync();
        if let Some(open) = self.open.take()
            && synced.is_ok()
            && !open.poisoned
        {
            let (name, length) = (open.name, open.length);
            self.indexer.set_closed(open.unindexed(name, length));
        }
        synced
    }

    /// Publishes the index of a sealed segment, if it has been written meanwhile.
    pub(crate) fn poll_index(&mut self) {
        self.indexer.poll();
    }

    /// When [`poll_index`](Self::poll_index) is to be called.
    pub(crate) fn index_deadline(&self) -> Option<Instant> {
        self.indexer.deadline()
    }

    /// Writes the indexes of what this process has sealed and closed. Returns whether each segment that it has
    /// sealed has an index file.
    pub(crate) fn finish_indexes(&mut self) -> bool {
        self.indexer.finish(may_lack_in_index(self.rotation_bytes))
    }
}
