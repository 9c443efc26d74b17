//! Finds entries by id.

use std::io;

use attestry_core::{AuditEntry, EntryId, StorageError, Timestamp, line};

use super::Catalog;
use crate::fs::sys::IoMode;
use crate::segment::{Candidates, HashedId, Line, Segment, SegmentName, may_be_erased, read_line};

/// An entry, its bytes and its location.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: Segment,
    pub(crate) line: Line,
    /// Without the line break.
    pub(crate) bytes: Vec<u8>,
    pub(crate) entry: AuditEntry,
}

impl Catalog {
    /// How many records `segments` hold, valid or corrupt.
    pub(crate) fn count(&self, segments: &[Segment]) -> Result<u64, StorageError> {
        let records = |segment: &Segment| {
            let records = segment.file.records(IoMode::Blocking);
            records.map_err(|source| self.failed("read the index of", segment, source))
        };
        segments.iter().map(records).sum()
    }

    /// About how many records have a timestamp of `cutoff` or earlier: of a segment that also has later ones,
    /// erased lines are counted, too.
    pub(crate) fn estimate_at_or_before(
        &self,
        segments: &[Segment],
        cutoff: Timestamp,
    ) -> Result<u64, StorageError> {
        let mut sum = 0;
        for segment in segments {
            let Some((earliest, latest)) = segment.file.time_bounds() else { continue };
            if earliest > cutoff {
                continue;
            }
            let records = self.count(std::slice::from_ref(segment))?;
            sum += if latest <= cutoff {
                records
            } else {
                let counted = |segment: &Segment| segment.file.lines_at_or_before(cutoff);
                self.read_index(segment, counted)?.1.min(records)
            };
        }
        Ok(sum)
    }

    /// Finds the first written entry with this id.
    ///
    /// # Errors
    ///
    /// `Corrupt` if there is none, but a corrupt line contains the id.
    pub(crate) fn find(
        &self,
        segments: &[Segment],
        id: &EntryId,
    ) -> Result<Option<Found>, StorageError> {
        let hashed = HashedId::new(id);
        let mut candidates = Candidates::new(segments, &hashed);
        for segment in &mut candidates {
            if let Some(found) = self.find_in(segment, id, &hashed)?.into_iter().next() {
                return Ok(Some(found));
            }
        }
        self.run_filters.note(segments, candidates.tested_alone);
        self.fail_if_in_corrupt_line(segments, id)?;
        Ok(None)
    }

    /// Finds every entry with this id, in write order. Errors are those of [`find`](Self::find).
    pub(crate) fn find_all(
        &self,
        segments: &[Segment],
        id: &EntryId,
    ) -> Result<Vec<Found>, StorageError> {
        let hashed = HashedId::new(id);
        let mut found = Vec::new();
        for segment in Candidates::new(segments, &hashed) {
            found.extend(self.find_in(segment, id, &hashed)?);
        }
        if found.is_empty() {
            self.fail_if_in_corrupt_line(segments, id)?;
        }
        Ok(found)
    }

    fn find_in(
        &self,
        segment: &Segment,
        id: &EntryId,
        hashed: &HashedId,
    ) -> Result<Vec<Found>, StorageError> {
        let (segment, lines) =
            self.read_index(segment, |segment| segment.file.lookup(hashed, IoMode::Blocking))?;
        let mut found = Vec::new();
        for line in lines {
            let bytes = read_line(&segment.file.handle, line.offset, line.length);
            let Some(bytes) = self.unless_truncated(&segment, bytes)? else { continue };
            let entry = self.decode(segment.name, line.offset, &bytes)?;
            if let Some(entry) = entry.filter(|entry| entry.id == *id) {
                let line = Line { timestamp: entry.timestamp, ..line };
                found.push(Found { segment: segment.clone(), line, bytes, entry });
            }
        }
        Ok(found)
    }

    /// The result of reading a line; `None` if the file ends before it, as after a failed append was undone
    /// or the Python package has rewritten the file.
    pub(crate) fn unless_truncated<B>(
        &self,
        segment: &Segment,
        read: io::Result<B>,
    ) -> Result<Option<B>, StorageError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(self.failed("read", segment, source)),
        }
    }

    /// Decodes the indexed line at `offset`; `None` if it has been erased since it was indexed.
    #[inline]
    pub(crate) fn decode(
        &self,
        segment: SegmentName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Option<AuditEntry>, StorageError> {
        match line::decode(bytes) {
            Ok(entry) => Ok(Some(entry)),
            // It was valid when it was indexed.
            Err(_) if may_be_erased(bytes) => Ok(None),
            Err(error) => Err(self.corrupt(segment, offset, error.to_string())),
        }
    }
}
