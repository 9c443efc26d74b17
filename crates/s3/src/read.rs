//! Finding an entry by its id: where it is likely to be first, then everywhere.

use std::sync::Arc;

use attestry_core::{AuditEntry, EntryId, StorageError};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::key::Day;
use crate::record;
use crate::storage::Inner;

/// What a body is taken to have where its size is not known: more than most.
const USUAL_BYTES: u64 = 4 << 10;

impl Inner {
    /// The entry of `id`; looks in `hint` first.
    pub(crate) async fn find(
        self: &Arc<Self>,
        id: &EntryId,
        hint: Option<Day>,
    ) -> Result<Option<AuditEntry>, StorageError> {
        if !self.bucket.layout.may_hold(id) {
            return Ok(None);
        }
        let within = Day::within(id);
        let mut tried = Vec::new();
        for day in [hint, self.recent.get(id), within].into_iter().flatten() {
            if !tried.contains(&day) {
                tried.push(day);
                if let Some(entry) = self.read_in(day, id).await? {
                    return Ok(Some(entry));
                }
            }
        }
        // An id made around midnight may be of an entry of the other day.
        let near: Vec<_> = hint.or(within).into_iter().flat_map(Day::neighbours).collect();
        if let Some(entry) = self.search(&near, id, &mut tried).await? {
            return Ok(Some(entry));
        }
        let mut days = self.bucket.days().await?;
        days.reverse();
        let found = self.search(&days, id, &mut tried).await?;
        if found.is_none() {
            self.recent.remove(id);
        }
        Ok(found)
    }

    /// Looks in `days`, many at once; the first of them that has it decides.
    async fn search(
        self: &Arc<Self>,
        days: &[Day],
        id: &EntryId,
        tried: &mut Vec<Day>,
    ) -> Result<Option<AuditEntry>, StorageError> {
        let left: Vec<_> = days.iter().filter(|day| !tried.contains(day)).copied().collect();
        tried.extend(&left);
        let reads = left.into_iter().map(|day| self.read_in(day, id));
        let mut reads = stream::iter(reads).buffered(self.bucket.concurrency());
        while let Some(found) = reads.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn read_in(&self, day: Day, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        let key = self.bucket.layout.key(day, id.as_str());
        let Some(object) = self.bucket.get(&key, USUAL_BYTES).await? else { return Ok(None) };
        let entry = record::decode(&self.bucket, day, id.as_str(), &object.body)?;
        self.recent.put(id, day);
        Ok(Some(entry))
    }
}
