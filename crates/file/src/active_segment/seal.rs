//! Seals the active segment: renames it, so that the next append creates a new one.

use std::fs;

use attestry_core::StorageError;

use super::ActiveSegment;
use crate::erase::Erasures;
use crate::fs::{epoch, sys};
use crate::observer::LogObserver;

impl ActiveSegment {
    /// Renames the open segment to the next number of its day. An empty one is removed.
    pub(super) fn seal(
        &mut self,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<(), StorageError> {
        // The intent log, perhaps of a process that died, names segments: it is completed before a name
        // changes.
        erasures.notice_pending();
        erasures.finish_pending(observer)?;
        if self.open.as_ref().is_some_and(|open| !open.poisoned) {
            self.sync()?;
        }
        let Some(open) = &self.open else { return Ok(()) };
        let from = &open.path;
        self.folder_dirty = true;
        // Not `open.length`: another process may have appended since.
        let length = sys::length_of(&open.file)
            .map_err(|source| StorageError::io("examine", from, source))?;
        if length == 0 {
            fs::remove_file(from).map_err(|source| StorageError::io("remove", from, source))?;
            observer.segment_removed(open.name);
        } else {
            let taken = self.folder.list()?;
            let sealed = open.name.sealed(taken.iter().map(|listed| listed.name));
            observer.before_rename(open.name, sealed)?;
            if let Err(source) = fs::rename(from, self.folder.segment(sealed)) {
                observer.before_rename(sealed, open.name)?;
                return Err(StorageError::io("rename", from, source));
            }
        }
        self.open = None;
        epoch::bump_layout(&self.folder)?;
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
}
