//! Selecting entries in the order of time, and streaming them in bounded memory.

mod merge;
mod stream;

use attestry_core::{AuditEntry, Cursor, Query, StorageError, Timestamp};

use crate::reader::catalog::Catalog;
use crate::segment::{LONG_LINE_BYTES, SegmentName};
use merge::{Found, Merge};
pub(crate) use stream::stream;

/// All entries from `start` to `end`, in order; fails on the first record that cannot be read.
pub(crate) fn list(
    catalog: &Catalog,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<AuditEntry>, StorageError> {
    let mut entries = Vec::new();
    let query = Query::range(start, end);
    run(catalog, &query, |selected| {
        let Selected { found, entry } = selected?;
        let entry = match entry {
            Some(entry) => Some(entry),
            None => found.entry(catalog)?,
        };
        entries.extend(entry.filter(|entry| query.matches(entry)));
        Ok(true)
    })?;
    Ok(entries)
}

/// A line that a query selects.
struct Selected<'m> {
    found: Found<'m>,
    /// What it holds, where that had to be known for selecting it, or takes long to find out.
    entry: Option<AuditEntry>,
}

/// Hands the lines that `query` selects to `take`, in order, until that says no or fails.
fn run(
    catalog: &Catalog,
    query: &Query,
    mut take: impl FnMut(Result<Selected<'_>, StorageError>) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    query.validate()?;
    let Some((start, end)) = query.time_range() else { return Ok(()) };
    let segments = catalog.snapshot()?;
    // A line that cannot be read has no time that could place it; they come first.
    for error in catalog.corrupt_records(&segments)? {
        if !take(Err(error))? {
            return Ok(());
        }
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    let by_time_alone = query.is_by_time_alone();
    // Says whether there is more to do.
    let mut hand_on = |found: Found<'_>| {
        let is_long = found.bytes.len() > LONG_LINE_BYTES as usize;
        let entry = if by_time_alone && !is_long && !found.may_be_gone() {
            None
        } else {
            match found.entry(catalog) {
                Ok(Some(entry)) if query.matches(&entry) => Some(entry),
                Ok(_) => return Ok(true),
                Err(error @ StorageError::Corrupt(_)) => return take(Err(error)),
                Err(error) => return Err(error),
            }
        };
        left -= 1;
        Ok(take(Ok(Selected { found, entry }))? && left > 0)
    };
    let mut merge = Merge::new(catalog, &segments, start, end, query.order);
    if let Some(cursor) = &query.after {
        for held in behind_cursor(catalog, &mut merge, cursor)? {
            if !hand_on(held.found())? {
                return Ok(());
            }
        }
    }
    while let Some(found) = merge.next()? {
        if !hand_on(found)? {
            break;
        }
    }
    Ok(())
}

/// A line on its own, as [`Found`] has it.
struct Held {
    segment: SegmentName,
    offset: u64,
    bytes: Vec<u8>,
}

impl Held {
    fn found(&self) -> Found<'_> {
        Found { segment: self.segment, offset: self.offset, bytes: &self.bytes }
    }
}

/// What comes behind `cursor` among the lines of its moment, which stand first, and the first of a
/// later one; all of them when its entry is not there.
fn behind_cursor(
    catalog: &Catalog,
    merge: &mut Merge<'_>,
    cursor: &Cursor,
) -> Result<Vec<Held>, StorageError> {
    let mut ties = Vec::new();
    while let Some(found) = merge.next()? {
        let (same_moment, is_it) = match found.entry(catalog) {
            Ok(Some(entry)) => {
                let same_moment = entry.timestamp == cursor.timestamp;
                (same_moment, same_moment && entry.id == cursor.id)
            }
            _ => (true, false),
        };
        let Found { segment, offset, bytes } = found;
        ties.push(Held { segment, offset, bytes: bytes.to_vec() });
        if is_it {
            ties.clear();
        }
        if !same_moment {
            break;
        }
    }
    Ok(ties)
}
