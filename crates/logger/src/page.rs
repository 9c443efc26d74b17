//! Pages of query results.

use attestry_core::{AuditEntry, CorruptRecord, Cursor, Query, StorageBackend, StorageError};
use futures_util::StreamExt;

/// One page of a query's result; returned by [`AuditLogger::page`](crate::AuditLogger::page).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The entries, in the order of the query; at most as many as its limit.
    pub entries: Vec<AuditEntry>,
    /// The position after the last entry if more entries match, otherwise `None`. For
    /// [`Query::after`] of the next page.
    pub next: Option<Cursor>,
    /// Records that the scan of this page could not read. Each unreadable record that the query may
    /// select is reported on at least one page; it may be reported on several.
    pub corrupt: Vec<CorruptRecord>,
}

impl Page {
    pub(crate) async fn read(
        backend: &dyn StorageBackend,
        mut query: Query,
    ) -> Result<Self, StorageError> {
        let size = query.limit.unwrap_or(usize::MAX);
        // One entry more than the page holds shows whether there is a next page.
        query.limit = query.limit.map(|limit| limit.saturating_add(1));
        let mut page = Self { entries: Vec::new(), next: None, corrupt: Vec::new() };
        let mut found = backend.scan(query);
        while let Some(result) = found.next().await {
            match result {
                Ok(_) if page.entries.len() >= size => {
                    page.next = page.entries.last().map(Cursor::from);
                    break;
                }
                Ok(entry) => page.entries.push(entry),
                Err(StorageError::Corrupt(record)) => page.corrupt.push(record),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}
