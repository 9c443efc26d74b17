//! Deleting: one entry's lines, or all that expired.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use attestry_core::{EntryId, Order, StorageError, Timestamp};

use super::Changes;
use crate::erasure::{Note, Plan, Record, WholeSegment, is_full};
use crate::lock::Held;
use crate::segment::{Cursor, Line, Segment, SegmentName};

/// So many lines share a journal; its size stays bounded whatever expires at once.
const ERASURES_AT_ONCE: usize = 4_096;
/// How often it is tried on a full disk whether files that were unlinked have made room.
const LOOKS_FOR_ROOM: u32 = 20;
/// Between two of these.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

impl Changes {
    /// What there is to delete from, with nothing left over that could be in the way.
    fn before_deleting(&mut self, held: &Held<'_>) -> Result<Arc<[Segment]>, StorageError> {
        self.erasures.finish_pending(&mut self.ledger)?;
        self.ledger.catch_up()?;
        if self.ledger.is_kept() {
            // An erasure puts the tree on stable storage, and no leaf may get there before its line.
            self.active.sync_if_buffered()?;
        }
        self.catalog.snapshot_locked(held)
    }

    pub(super) fn delete(
        &mut self,
        id: &EntryId,
        note: Note,
        held: &Held<'_>,
    ) -> Result<bool, StorageError> {
        let segments = self.before_deleting(held)?;
        let found = self.catalog.find_all(&segments, id)?;
        let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
        self.erase(&lines, note)?;
        Ok(!found.is_empty())
    }

    pub(super) fn delete_until(
        &mut self,
        cutoff: Timestamp,
        note: &Note,
        held: &Held<'_>,
    ) -> Result<u64, StorageError> {
        let mut segments = self.before_deleting(held)?;
        let mut deleted = 0;
        let (mut expired, mut in_part) = (Vec::new(), Vec::new());
        for segment in segments.iter() {
            let Some((earliest, latest)) = segment.body.time_bounds() else { continue };
            if latest <= cutoff && self.holds_entries_only(segment)? {
                deleted += self.catalog.count(std::slice::from_ref(segment))?;
                expired.push(segment);
            } else if earliest <= cutoff {
                in_part.push(segment.name);
            }
        }
        // First what makes room: erasing lines takes some for the journal.
        self.unlink(&expired, note)?;
        let mut looks = if expired.is_empty() { 0 } else { LOOKS_FOR_ROOM };
        drop(expired);
        loop {
            match self.erase_in(&segments, &in_part, cutoff, note, &mut deleted) {
                // Files that were unlinked take their room until nobody has them open: we by what we
                // knew of the folder, a reader by the same, and for a moment each process that this
                // one starts, until it is another program.
                Err(error) if looks > 0 && is_full(&error) => {
                    segments = self.catalog.snapshot_locked(held)?;
                    if looks < LOOKS_FOR_ROOM {
                        std::thread::sleep(ROOM_PAUSE);
                    }
                    looks -= 1;
                }
                done => break done?,
            }
        }
        Ok(deleted)
    }

    fn erase_in(
        &mut self,
        segments: &[Segment],
        names: &[SegmentName],
        cutoff: Timestamp,
        note: &Note,
        deleted: &mut u64,
    ) -> Result<(), StorageError> {
        for segment in segments.iter().filter(|segment| names.contains(&segment.name)) {
            *deleted += self.erase_until(segment, cutoff, note)?;
        }
        Ok(())
    }

    /// Whether every byte of a segment is accounted for by lines that can be read.
    fn holds_entries_only(&self, segment: &Segment) -> Result<bool, StorageError> {
        let path = || self.catalog.folder().segment(segment.name);
        let metadata = segment.body.file.metadata();
        let length = metadata.map_err(|source| StorageError::io("examine", path(), source))?.len();
        let bad = self.catalog.bad_lines(std::slice::from_ref(segment))?;
        Ok(bad.is_empty() && length == segment.body.covered())
    }

    fn unlink(&mut self, expired: &[&Segment], note: &Note) -> Result<(), StorageError> {
        let mut segments = Vec::with_capacity(expired.len());
        for segment in expired {
            self.active.forget(segment.body.id);
            let path = || self.catalog.folder().segment(segment.name);
            let whole = WholeSegment::new(segment.name, &segment.body.file);
            segments.push(whole.map_err(|source| StorageError::io("examine", path(), source))?);
        }
        let plan = Plan { segments, note: Some(note.clone()), ..Plan::default() };
        self.erasures.erase(plan, &mut self.ledger)
    }

    /// Erases what is due in a segment; behind a damaged index file by what the segment itself says.
    fn erase_until(
        &mut self,
        segment: &Segment,
        cutoff: Timestamp,
        note: &Note,
    ) -> Result<u64, StorageError> {
        let mut deleted = 0;
        match self.erase_indexed(segment, cutoff, note, &mut deleted) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::InvalidData => {
                let replaced = self.catalog.replace_damaged(segment)?;
                self.erase_indexed(&replaced, cutoff, note, &mut deleted)?;
            }
            done => done?,
        }
        Ok(deleted)
    }

    fn erase_indexed(
        &mut self,
        segment: &Segment,
        cutoff: Timestamp,
        note: &Note,
        deleted: &mut u64,
    ) -> Result<(), StorageError> {
        let path = self.catalog.folder().segment(segment.name);
        let failed = |source| StorageError::io("read the index of", &path, source);
        let mut cursor =
            Cursor::new(segment.body.clone(), Timestamp::MIN, cutoff, Order::Ascending)
                .map_err(failed)?;
        let mut lines = Vec::new();
        loop {
            let line = cursor.peek().map_err(failed)?;
            cursor.advance();
            if let Some(line) = line {
                // Only what still is the line that was indexed is overwritten.
                let bytes = self.catalog.still_there(segment, cursor.read(line))?;
                let entry = match bytes {
                    Some(bytes) => self.catalog.understand(segment.name, line.offset, bytes)?,
                    None => None,
                };
                if entry.is_some_and(|entry| entry.timestamp == line.timestamp) {
                    lines.push((segment, line));
                }
            }
            if lines.len() == ERASURES_AT_ONCE || (line.is_none() && !lines.is_empty()) {
                self.erase(&lines, note.clone())?;
                *deleted += lines.len() as u64;
                lines.clear();
            }
            if line.is_none() {
                return Ok(());
            }
        }
    }

    fn erase(&mut self, lines: &[(&Segment, Line)], note: Note) -> Result<(), StorageError> {
        let records = lines.iter().map(|(segment, line)| Record {
            segment: segment.name,
            offset: line.offset,
            length: u64::from(line.length),
            sums: Vec::new(),
            leaf: None,
        });
        let lines_of = Plan { lines: records.collect(), note: Some(note), ..Plan::default() };
        let erased = self.erasures.erase(lines_of, &mut self.ledger);
        match &erased {
            Ok(()) => self.catalog.note_erased(lines)?,
            // What was overwritten until then is gone; nothing else, until the journal is done.
            Err(_) => self.catalog.look_anew(),
        }
        erased
    }
}
