//! Deleting an entry's lines.

use std::sync::Arc;

use attestry_core::{EntryId, StorageError};

use super::Changes;
use crate::erase::{Plan, Record};
use crate::fs::lock::Held;
use crate::observer::EraseReason;
use crate::segment::{Line, Segment};

impl Changes {
    pub(super) fn delete(
        &mut self,
        id: &EntryId,
        note: EraseReason,
        held: &Held<'_>,
    ) -> Result<bool, StorageError> {
        let segments = self.before_deleting(held)?;
        let found = self.catalog.find_all(&segments, id)?;
        let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
        self.erase(&lines, note)?;
        Ok(!found.is_empty())
    }

    /// What there is to delete from, with nothing left over that could be in the way.
    pub(super) fn before_deleting(
        &mut self,
        held: &Held<'_>,
    ) -> Result<Arc<[Segment]>, StorageError> {
        self.erasures.finish_pending(&mut *self.observer)?;
        self.observer.catch_up()?;
        if self.observer.leaf_hasher().is_some() {
            // An erasure puts the tree on stable storage, and no leaf may get there before its line.
            self.active.sync_if_buffered()?;
        }
        self.catalog.snapshot_locked(held)
    }

    pub(super) fn erase(
        &mut self,
        lines: &[(&Segment, Line)],
        note: EraseReason,
    ) -> Result<(), StorageError> {
        let records = lines.iter().map(|(segment, line)| Record {
            segment: segment.name,
            offset: line.offset,
            length: u64::from(line.length),
            sums: Vec::new(),
            leaf: None,
        });
        let lines_of = Plan { lines: records.collect(), note: Some(note), ..Plan::default() };
        let erased = self.erasures.erase(lines_of, &mut *self.observer);
        match &erased {
            Ok(()) => self.catalog.mark_erased(lines)?,
            // What was overwritten until then is gone; nothing else, until the journal is done.
            Err(_) => self.catalog.invalidate(),
        }
        erased
    }
}
