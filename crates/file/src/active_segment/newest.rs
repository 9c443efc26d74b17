//! Whether a segment is the newest one.

use std::fs::File;

use attestry_core::StorageError;

use crate::fs::epoch::{self, LayoutDigits};
use crate::fs::layout::Folder;
use crate::fs::segment_name::SegmentName;

/// Whether a segment is the newest of its folder. Readers look for new lines in that one. A segment with
/// later days behind it, because a clock jumped back or that of another process is ahead, counts as
/// sealed for them.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) is_newest: bool,
    /// The result is valid while the layout epoch is this.
    layout: Option<LayoutDigits>,
    epochs: Option<File>,
}

impl Newest {
    /// Lists the folder again if the layout epoch has changed.
    pub(super) fn refresh(
        &mut self,
        folder: &Folder,
        name: SegmentName,
    ) -> Result<(), StorageError> {
        let layout = epoch::layout(folder, &mut self.epochs)?;
        if self.layout != Some(layout) {
            self.is_newest = folder.list()?.last().is_none_or(|last| last.name <= name);
            self.layout = Some(layout);
        }
        Ok(())
    }
}
