//! Deleting the entries that a query selects.

use attestry_core::{CorruptRecord, EntryId, Query, StorageBackend, StorageError};
use futures_util::StreamExt;

/// Entries that are read before they are deleted together.
const BATCH: usize = 1_000;

/// What [`AuditLogger::delete_matching`](crate::AuditLogger::delete_matching) does with the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // There is nothing between.
pub enum DeleteMode {
    /// Deletes them.
    Delete,
    /// Deletes nothing: reports what would be deleted.
    DryRun,
}

/// The result of [`AuditLogger::delete_matching`](crate::AuditLogger::delete_matching).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Deletion {
    /// The number of entries that were deleted, or would be.
    pub entries: u64,
    /// Records that cannot be read. They may have matched, and were kept.
    pub unreadable: Vec<CorruptRecord>,
}

pub(crate) async fn delete_matching(
    storage: &dyn StorageBackend,
    query: Query,
    mode: DeleteMode,
    mut on_entry: impl FnMut(&EntryId),
) -> Result<Deletion, StorageError> {
    let mut deletion = Deletion::default();
    // Fused: the last batch polls again after the end.
    let mut found = storage.scan(query).fuse();
    loop {
        let mut ids = Vec::new();
        while ids.len() < BATCH
            && let Some(record) = found.next().await
        {
            match record {
                Ok(entry) => ids.push(entry.id),
                Err(StorageError::Corrupt(record)) => deletion.unreadable.push(record),
                Err(error) => return Err(error),
            }
        }
        if ids.is_empty() {
            return Ok(deletion);
        }
        let existed = match mode {
            DeleteMode::Delete => storage.delete_batch(&ids).await?,
            DeleteMode::DryRun => vec![true; ids.len()],
        };
        for (id, _) in ids.iter().zip(existed).filter(|(_, existed)| *existed) {
            deletion.entries += 1;
            on_entry(id);
        }
    }
}
