//! Selects entries in time order and streams them in bounded memory.

mod ended;
mod merge;
mod stream;

use attestry_core::{AuditEntry, Cursor, Query, StorageError, Timestamp};

use super::Catalog;
use crate::segment::{Condition, LONG_LINE_BYTES, LineSelection};
pub(crate) use ended::have_ended;
use merge::{Key, Merge, ScannedLine};
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
    if !catalog.visit_corrupt(&segments, |error| visit(Err(error)))? {
        return Ok(());
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
    let conditions = Condition::of(query);
    let selection = LineSelection { start, end, order: query.order, conditions: &conditions };
    let mut merge = Merge::new(catalog, &segments, selection);
    if let Some(cursor) = &query.after {
        let time = cursor.timestamp;
        // Without conditions: the entry of the cursor need not match.
        let ties = LineSelection { start: time, end: time, conditions: &[], ..selection };
        let ties = Merge::new(catalog, &segments, ties);
        if let Some(key) = key_of(catalog, ties, cursor)? {
            merge.skip_through(key)?;
        }
    }
    while let Some(line) = merge.next()? {
        if !select(line)? {
            break;
        }
    }
    Ok(())
}

/// The key of the last line of the entry of `cursor` among those with its timestamp; `None` if it is gone.
fn key_of(
    catalog: &Catalog,
    mut ties: Merge<'_>,
    cursor: &Cursor,
) -> Result<Option<Key>, StorageError> {
    let mut found = None;
    while let Some(line) = ties.next()? {
        // Corrupt lines are reported by the scan itself.
        if line.entry(catalog).is_ok_and(|entry| entry.is_some_and(|entry| entry.id == cursor.id)) {
            found = ties.key();
        }
    }
    Ok(found)
}
