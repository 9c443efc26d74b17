//! Whether a segment is the last one.

use std::fs::File;

use attestry_core::StorageError;

use crate::fs::epoch::{self, LayoutDigits};
use crate::fs::layout::Folder;
use crate::segment::SegmentName;

/// Where a segment stands among the others. The last is where everybody looks for new lines; one behind
/// which there are later days, since the clock jumped back or that of another process is ahead, is
/// taken by others for done with.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) is_last: bool,
    /// This holds as long as the counter of changed names stays the same.
    layout: Option<LayoutDigits>,
    counters: Option<File>,
}

impl Place {
    /// Looks again, if names have changed.
    pub(super) fn look(&mut self, folder: &Folder, name: SegmentName) -> Result<(), StorageError> {
        let layout = epoch::layout(folder, &mut self.counters)?;
        if self.layout != Some(layout) {
            self.is_last = folder.list()?.last().is_none_or(|last| last.name <= name);
            self.layout = Some(layout);
        }
        Ok(())
    }
}
