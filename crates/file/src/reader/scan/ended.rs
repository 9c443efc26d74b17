//! Looks up the end entries of calls in the secondary index.

use attestry_core::{Cursor, Query, StorageError, metadata};

use super::run;
use crate::reader::Catalog;
use crate::segment::Condition;

/// Whether each of `starts` has an end entry; `None` if a segment has no index of the calls that entries end, so
/// that each look-up would read the segment.
pub(crate) fn have_ended(
    catalog: &Catalog,
    starts: &[Cursor],
) -> Result<Option<Vec<bool>>, StorageError> {
    let queries = starts.iter().map(|start| {
        let ends = Query::new().metadata_equals(metadata::CALL, start.id.as_str());
        ends.since(start.timestamp).limit(1)
    });
    let queries: Vec<Query> = queries.collect();
    let conditions = queries.first().map(Condition::of).unwrap_or_default();
    let segments = catalog.snapshot()?;
    // An index that cannot be read does not answer either.
    let can_answer = |condition: &Condition| {
        segments.iter().all(|segment| segment.file.can_answer(condition).unwrap_or(false))
    };
    if !conditions.iter().all(can_answer) {
        return Ok(None);
    }
    let has_end = |query: &Query| {
        let mut found = false;
        run(catalog, query, |selected| match selected {
            Ok(_) => {
                found = true;
                Ok(false)
            }
            // Reported by the scan that asks.
            Err(StorageError::Corrupt(_)) => Ok(true),
            Err(error) => Err(error),
        })?;
        Ok(found)
    };
    queries.iter().map(has_end).collect::<Result<_, StorageError>>().map(Some)
}
