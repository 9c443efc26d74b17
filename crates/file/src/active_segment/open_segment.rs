//! The file that lines are appended to.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::indexer::{AppendedLines, Unindexed};
use super::newest::Newest;
use crate::fs::layout::Folder;
use crate::fs::lock::LockEpoch;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys::{self, FileId};
use crate::fs::{create, epoch, open};

#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) name: SegmentName,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) id: FileId,
    /// The length after the last append of this process; another program may have appended since.
    pub(super) length: u64,
    /// A sync failed. The kernel may have dropped the dirty pages, and would report success on a
    /// retry: nothing on this file is acknowledged again.
    pub(super) poisoned: bool,
    /// The observer has not seen the file since it was opened.
    pub(super) reopened: bool,
    /// When `path` was last found to lead to `file`.
    pub(super) checked_at: LockEpoch,
    pub(super) newest: Newest,
    /// What its index needs to know of the lines of this process.
    pub(super) appended: AppendedLines,
}

impl OpenSegment {
    /// What is left to do once it is not appended to any more, under the name `name`.
    pub(super) fn unindexed(self, name: SegmentName, length: u64) -> Unindexed {
        let Self { id, file, appended, .. } = self;
        Unindexed { name, id, file, length, appended }
    }

    /// Cuts off what a failed append has left: half a line, or lines whose append was reported as failed.
    /// Returns whether that succeeded. A file system that has become read-only cannot be cut, but there
    /// nothing was written either.
    pub(super) fn undo_append(&self, folder: &Folder) -> bool {
        if sys::length_of(&self.file).is_ok_and(|length| length == self.length) {
            return true;
        }
        // Readers may have indexed the lines.
        self.file.set_len(self.length).is_ok() && epoch::bump_layout(folder).is_ok()
    }
}

/// Opens the segment `name`. A new one gets owner, group and mode of the one before, which it replaces for
/// the programs that append to and read the store, but no permission for others. A file that is there
/// already keeps what it has: this process may not know where else it is linked.
pub(super) fn open(folder: &Folder, name: SegmentName) -> io::Result<File> {
    let path = folder.segment(name);
    let file = loop {
        match open::append(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match open::append_new(&path) {
            // By another process, just now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => break created?,
        }
    };
    if let Ok(listed) = folder.list()
        && let Some(before) = listed.iter().rfind(|listed| listed.name < name)
        && let Ok(replaced) = open::metadata(&folder.segment(before.name))
    {
        // Without the owner's right to write, no process could append.
        create::like(&replaced, replaced.mode() & 0o660 | 0o600, &file)?;
    }
    Ok(file)
}
