//! Selects entries in time order and streams them in bounded memory.

mod merge;
mod stream;

use attestry_core::{AuditEntry, Cursor, Query, StorageError, Timestamp};

use super::Catalog;
use crate::segment::{LONG_LINE_BYTES, SegmentName};
use merge::{Merge, ScannedLine};
pub(crate) use stream::stream;

/// All entries from `start` to `end`, in order; fails on the first corrupt record.
pub(crate) fn list(
    catalog: &Catalog,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<AuditEntry>, StorageError> {
    let mut entries = Vec::new();
    let query = Query::range(start, end);
    run(catalog, &query, |selected| {
        let Selected { line, entry } = selected?;
        let entry = match entry {
            Some(entry) => Some(entry),
            None => line.entry(catalog)?,
        };
        entries.extend(entry.filter(|entry| query.matches(entry)));
        Ok(true)
    })?;
    Ok(entries)
}

/// A line that a query selects.
struct Selected<'m> {
    line: ScannedLine<'m>,
    /// Its entry, if selecting the line needed it or decoding it takes long.
    entry: Option<AuditEntry>,
}

/// Calls `visit` with each line that `query` selects, in order, until it returns false or fails.
fn run(
    catalog: &Catalog,
    query: &Query,
    mut visit: impl FnMut(Result<Selected<'_>, StorageError>) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    query.validate()?;
    let Some((start, end)) = query.time_range() else { return Ok(()) };
    let segments = catalog.snapshot()?;
    // Corrupt lines have no timestamp to sort by, so they come first.
    for error in catalog.corrupt_records(&segments)? {
        if !visit(Err(error))? {
            return Ok(());
        }
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    let by_time_alone = query.is_by_time_alone();
    // Returns false if the scan is complete.
    let mut select = |line: ScannedLine<'_>| {
        let is_long = line.bytes.len() > LONG_LINE_BYTES as usize;
        let entry = if by_time_alone && !is_long && !line.may_be_gone() {
            None
        } else {
            match line.entry(catalog) {
                Ok(Some(entry)) if query.matches(&entry) => Some(entry),
                Ok(_) => return Ok(true),
                Err(error @ StorageError::Corrupt(_)) => return visit(Err(error)),
                Err(error) => return Err(error),
            }
        };
        left -= 1;
        Ok(visit(Ok(Selected { line, entry }))? && left > 0)
    };
    let mut merge = Merge::new(catalog, &segments, start, end, query.order);
    if let Some(cursor) = &query.after {
        for line in skip_to(catalog, &mut merge, cursor)? {
            if !select(line.as_scanned())? {
                return Ok(());
            }
        }
    }
    while let Some(line) = merge.next()? {
        if !select(line)? {
            break;
        }
    }
    Ok(())
}

/// A [`ScannedLine`] that owns its bytes.
struct OwnedLine {
    segment: SegmentName,
    offset: u64,
    bytes: Vec<u8>,
}

impl OwnedLine {
    fn as_scanned(&self) -> ScannedLine<'_> {
        ScannedLine { segment: self.segment, offset: self.offset, bytes: &self.bytes }
    }
}

/// Reads the lines with the timestamp of `cursor`, which come first, and one more. Returns those after the
/// entry of the cursor, or all if that entry is gone.
fn skip_to(
    catalog: &Catalog,
    merge: &mut Merge<'_>,
    cursor: &Cursor,
) -> Result<Vec<OwnedLine>, StorageError> {
    let mut ties = Vec::new();
    while let Some(line) = merge.next()? {
        let (is_tie, is_cursor) = match line.entry(catalog) {
            Ok(Some(entry)) => {
                let is_tie = entry.timestamp == cursor.timestamp;
                (is_tie, is_tie && entry.id == cursor.id)
            }
            _ => (true, false),
        };
        let ScannedLine { segment, offset, bytes } = line;
        ties.push(OwnedLine { segment, offset, bytes: bytes.to_vec() });
        if is_cursor {
            ties.clear();
        }
        if !is_tie {
            break;
        }
    }
    Ok(ties)
}
