//! Lines that are not valid entries: corrupt lines, torn tails, and lines in the middle of an erasure.

use std::slice;

use attestry_core::{CorruptRecord, EntryId, StorageError, line};

use super::Catalog;
use crate::erase::{self, ErasedLine};
use crate::fs::lock::{self, LockGuard};
use crate::fs::sys::IoMode;
use crate::segment::{CorruptLine, Segment, SegmentIndex, SegmentName, contains_id, read_line};

impl Catalog {
    /// Every corrupt line, with its segment.
    pub(crate) fn corrupt_lines(
        &self,
        segments: &[Segment],
    ) -> Result<Vec<(Segment, CorruptLine)>, StorageError> {
        let mut found = Vec::new();
        for segment in segments {
            let (segment, lines) =
                self.read_index(segment, |segment| segment.file.corrupt_lines())?;
            found.extend(lines.into_iter().map(|line| (segment.clone(), line)));
        }
        Ok(found)
    }

    /// Calls `visit` with an error for each corrupt line and torn tail until it returns false; returns what it
    /// returned last. Holds the corrupt lines of one segment at a time.
    pub(crate) fn visit_corrupt(
        &self,
        segments: &[Segment],
        mut visit: impl FnMut(StorageError) -> Result<bool, StorageError>,
    ) -> Result<bool, StorageError> {
        for segment in segments {
            for (segment, corrupt) in self.corrupt_lines(slice::from_ref(segment))? {
                let bytes = self.read_corrupt(&segment, corrupt)?;
                let reason = reason(corrupt, &bytes);
                if !visit(self.corrupt(segment.name, corrupt.offset, reason))? {
                    return Ok(false);
                }
            }
        }
        for segment in segments {
            if let Some((offset, length)) = self.torn_tail(segment)? {
                let reason = format!(
                    "the last line is torn: {length} bytes without a line break; opening the store for writing moves them to quarantine"
                );
                if !visit(self.corrupt(segment.name, offset, reason))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The segments whose last line is a whole entry without a line break, and that no process is writing.
    pub(crate) fn open_tails(&self) -> Result<Vec<SegmentName>, StorageError> {
        let Some(_excluded) = lock::try_exclude_writers(&self.folder)? else {
            return Ok(Vec::new());
        };
        let segments = self.snapshot()?;
        let has_open_tail = |segment: &&Segment| {
            segment.file.memory_index().is_some_and(|index| index.has_open_tail())
        };
        Ok(segments.iter().filter(has_open_tail).map(|segment| segment.name).collect())
    }

    /// Fails if a corrupt line contains the id: reporting it absent would be wrong. Called for each new id of a write that
    /// checks ids, so a segment without corrupt lines costs one comparison.
    pub(super) fn fail_if_in_corrupt_line(
        &self,
        segments: &[Segment],
        id: &EntryId,
    ) -> Result<(), StorageError> {
        for segment in segments {
            if matches!(segment.file.has_corrupt_lines(IoMode::Blocking), Ok(false)) {
                continue;
            }
            for (segment, corrupt) in self.corrupt_lines(slice::from_ref(segment))? {
                let bytes = self.read_corrupt(&segment, corrupt)?;
                if contains_id(&bytes, id) {
                    return Err(self.corrupt(
                        segment.name,
                        corrupt.offset,
                        reason(corrupt, &bytes),
                    ));
                }
            }
        }
        Ok(())
    }

    fn read_corrupt(&self, segment: &Segment, line: CorruptLine) -> Result<Vec<u8>, StorageError> {
        // Of an oversized line, the beginning is enough.
        let length = line.length.min(line::MAX_LINE_BYTES as u64);
        read_line(&segment.file.handle, line.offset, u32::try_from(length).unwrap_or(0))
            .map_err(|source| self.failed("read", segment, source))
    }

    /// Name and length of each segment whose last line is cut short. While the store lock is held, no process
    /// is writing it.
    pub(crate) fn torn_segments(
        &self,
        guard: &LockGuard<'_>,
    ) -> Result<Vec<(SegmentName, u64)>, StorageError> {
        let mut torn = Vec::new();
        for segment in self.snapshot_locked(guard)?.iter() {
            // Index files are of whole segments.
            if matches!(segment.file.index, SegmentIndex::InMemory(_)) {
                let length = self.length_of(segment)?;
                if length > segment.file.indexed_len() {
                    torn.push((segment.name, length));
                }
            }
        }
        Ok(torn)
    }

    /// Offset and length of an unterminated last line that no process is writing.
    fn torn_tail(&self, segment: &Segment) -> Result<Option<(u64, u64)>, StorageError> {
        let tail = || -> Result<_, StorageError> {
            let (start, end) = (segment.file.indexed_len(), self.length_of(segment)?);
            Ok((end > start).then(|| (start, end - start)))
        };
        if tail()?.is_none() {
            return Ok(None);
        }
        let Some(_excluded) = lock::try_exclude_writers(&self.folder)? else {
            return Ok(None); // a writer is appending the line
        };
        // No process writes now. An append that was in progress before is complete.
        self.extend(segment, None)?;
        let Some((offset, length)) = tail()? else { return Ok(None) };
        let line = CorruptLine { offset, length };
        // A blank one was erased.
        let is_blank = self.read_corrupt(segment, line)?.trim_ascii().is_empty();
        Ok((!is_blank).then_some((offset, length)))
    }

    /// Whether the line at `offset`, which is partly blank, is in the middle of an erasure.
    pub(super) fn is_being_erased(&self, segment: &Segment, offset: u64, length: usize) -> bool {
        let named = |line: &ErasedLine| line.segment == segment.name && line.offset == offset;
        let is_pending =
            erase::pending(&self.folder).is_ok_and(|intent| intent.lines.iter().any(named));
        // If the erasure has finished since, the whole line is blank.
        let is_blank = || {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            let bytes = read_line(&segment.file.handle, offset, length);
            bytes.is_ok_and(|bytes| bytes.trim_ascii().is_empty())
        };
        is_pending || is_blank()
    }

    pub(super) fn corrupt(
        &self,
        segment: SegmentName,
        offset: u64,
        reason: String,
    ) -> StorageError {
        let location = self.folder.segment(segment).display().to_string();
        CorruptRecord::new(location, reason).at_offset(offset).into()
    }
}

fn reason(corrupt: CorruptLine, bytes: &[u8]) -> String {
    if corrupt.length > line::MAX_LINE_BYTES as u64 {
        return format!(
            "the line has {} bytes; at most {} are allowed",
            corrupt.length,
            line::MAX_LINE_BYTES
        );
    }
    match line::decode(bytes) {
        Err(error) => error.to_string(),
        Ok(_) => "the line was corrupt when it was indexed".to_owned(),
    }
}
