//! Puts lines on stable storage, and remembers where that failed.

use attestry_core::StorageError;

use super::ActiveSegment;
use crate::durability::{Durability, LinesMayBeLost};
use crate::fs::sys::{self, FileId};
use crate::segment::Segment;

impl ActiveSegment {
    /// Makes the lines of `segment` as durable as the store promises; the process that wrote them may
    /// have died before it synced them. Returns false if a sync of the segment has failed before: its
    /// lines cannot be acknowledged, only appended again.
    pub(crate) fn confirm(&mut self, segment: &Segment) -> Result<bool, StorageError> {
        let Segment { name, file } = segment;
        if self.durability == Durability::Buffered {
            return Ok(true);
        }
        if self.sync_failed.contains(&file.id) {
            return Ok(false);
        }
        if let Err(source) = (self.sync_data)(&file.handle) {
            self.distrust(file.id);
            return Err(StorageError::io("sync", self.folder.segment(*name), source));
        }
        self.folder_dirty = true;
        self.sync_folder().map(|()| true)
    }

    /// Remembers that a sync of the file `id` has failed.
    pub(super) fn distrust(&mut self, id: FileId) {
        self.sync_failed.insert(id);
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.poisoned = true;
            if self.durability == Durability::Buffered {
                self.lost.get_or_insert_with(|| open.path.clone());
            }
        }
    }

    /// Puts everything appended so far on stable storage. Fails if acknowledged lines may be lost since an
    /// earlier sync failed.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        self.sync_open()?;
        self.sync_folder()?;
        match &self.lost {
            None => Ok(()),
            Some(path) => Err(StorageError::io("sync", path, LinesMayBeLost.into())),
        }
    }

    /// Syncs the open segment, unless that has failed before: then what was acknowledged on it either was
    /// synced at once or is known as lost.
    pub(super) fn sync_open(&mut self) -> Result<(), StorageError> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.poisoned)
            && let Err(source) = (self.sync_data)(&open.file)
        {
            let error = StorageError::io("sync", &open.path, source);
            self.distrust(open.id);
            return Err(error);
        }
        Ok(())
    }

    /// Syncs the open segment, unless every append does that.
    pub(super) fn sync_open_if_buffered(&mut self) -> Result<(), StorageError> {
        if self.durability == Durability::Buffered { self.sync_open() } else { Ok(()) }
    }

    /// [`sync`](Self::sync), unless every append does that.
    pub(crate) fn sync_if_buffered(&mut self) -> Result<(), StorageError> {
        if self.durability == Durability::Buffered { self.sync() } else { Ok(()) }
    }

    /// Makes changed names durable.
    pub(super) fn sync_folder(&mut self) -> Result<(), StorageError> {
        if self.folder_dirty {
            sys::sync_folder(self.folder.path())
                .map_err(|source| StorageError::io("sync", self.folder.path(), source))?;
            self.folder_dirty = false;
        }
        Ok(())
    }
}
