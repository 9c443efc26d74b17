//! Deletion of single entries, by query and by age.

use attestry_core::{CorruptRecord, EntryId, Query, StorageBackend, StorageError, Timestamp};
use futures_util::StreamExt;

use crate::{AuditError, AuditLogger};

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

impl AuditLogger {
    /// Deletes the entry with this id and returns whether it existed.
    ///
    /// # Errors
    ///
    /// [`AuditError::InvalidId`] if a text is not a valid id; [`AuditError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the entry is either stored or deleted.
    pub async fn delete<I>(&self, id: I) -> Result<bool, AuditError>
    where
        I: TryInto<EntryId> + Send,
        AuditError: From<I::Error>,
    {
        let id = id.try_into()?;
        Ok(self.backend().delete(&id).await?)
    }

    /// Deletes the entries that `query` selects, for instance all entries of a user, and calls
    /// `on_entry` for each, in the order of the query. With [`DeleteMode::DryRun`] it deletes nothing.
    /// Reads and deletes in batches, so memory stays bounded; entries that are written meanwhile may or
    /// may not be deleted. A query without conditions selects everything.
    ///
    /// A file store with evidence records each deletion as [`delete`](Self::delete) does.
    ///
    /// ```
    /// # use attestry_core::Query;
    /// # use attestry_logger::{AuditLogger, DeleteMode};
    /// # async fn example(logger: AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// let of_user = Query::new().metadata_equals("user.id", "u-17");
    /// let deletion = logger.delete_matching(of_user, DeleteMode::DryRun, |id| println!("{id}")).await?;
    /// println!("{} entries, {} unreadable records", deletion.entries, deletion.unreadable.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`], with [`StorageError::InvalidQuery`] if the query contradicts itself.
    /// Some of the entries may have been deleted; calling it again resumes. A record that cannot be
    /// read is no error: it is reported in the result and kept.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each entry is either stored or deleted.
    pub async fn delete_matching(
        &self,
        query: Query,
        mode: DeleteMode,
        on_entry: impl FnMut(&EntryId),
    ) -> Result<Deletion, AuditError> {
        Ok(delete_matching(self.backend(), query, mode, on_entry).await?)
    }

    /// Deletes every entry whose age is at least `retention_days`, and returns their number.
    ///
    /// # Errors
    ///
    /// [`AuditError::LargeCleanup`] if that would be more than half of the entries, unless
    /// [`allow_large_cleanup`](crate::AuditLoggerBuilder::allow_large_cleanup) is set: nothing is deleted
    /// then. [`AuditError::Storage`]; some of the entries may have been deleted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each entry is either stored or deleted. Calling it again resumes.
    pub async fn cleanup_expired(&self) -> Result<u64, AuditError> {
        let cutoff = self.expiry_cutoff();
        if !self.policy().allow_large_cleanup {
            let expired = self.backend().estimate_at_or_before(cutoff).await?;
            let entries = if expired == 0 { 0 } else { self.backend().count().await? };
            if expired > entries / 2 {
                return Err(AuditError::LargeCleanup { expired, entries, cutoff });
            }
        }
        Ok(self.backend().delete_at_or_before(cutoff).await?)
    }

    /// The time at or before which an entry has expired by now.
    #[must_use]
    pub fn expiry_cutoff(&self) -> Timestamp {
        Timestamp::now().saturating_sub_days(self.policy().retention_days)
    }

    /// Reclaims the space of deleted entries, and returns the number of bytes; see
    /// [`StorageBackend::compact`].
    ///
    /// # Errors
    ///
    /// [`AuditError::Storage`]. No entry is lost; calling it again resumes.
    pub async fn compact(&self) -> Result<u64, AuditError> {
        Ok(self.backend().compact().await?)
    }
}

async fn delete_matching(
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
