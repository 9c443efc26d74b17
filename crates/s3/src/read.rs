//! Finding an entry by its id: likely days first, then all days.

use std::sync::Arc;

use attestry_core::{EntryId, StorageError};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::StoreClient;
use crate::key::Day;
use crate::record::{self, Keep};

/// Memory reserved for a body of unknown size; most are smaller.
const ASSUMED_BODY_BYTES: u64 = 4 << 10;

impl StoreClient {
    /// The entry of `id`, or its body, as `keep` selects; tries `hint` first.
    pub(crate) async fn find<T>(
        self: &Arc<Self>,
        id: &EntryId,
        hint: Option<Day>,
        keep: Keep<T>,
    ) -> Result<Option<T>, StorageError> {
        if !self.bucket.layout.may_contain(id) {
            return Ok(None);
        }
        let from_uuid = Day::from_uuid_v7(id);
        let mut tried = Vec::new();
        for day in [hint, self.day_cache.get(id), from_uuid].into_iter().flatten() {
            if !tried.contains(&day) {
                tried.push(day);
                if let Some(entry) = self.read_in(day, id, keep).await? {
                    return Ok(Some(entry));
                }
            }
        }
        // An id that was created around midnight may belong to an entry of the neighbouring day.
        let near: Vec<_> = hint.or(from_uuid).into_iter().flat_map(Day::neighbours).collect();
        if let Some(entry) = self.search(&near, id, &mut tried, keep).await? {
            return Ok(Some(entry));
        }
        let mut days = self.bucket.days().await?;
        days.reverse();
        let found = self.search(&days, id, &mut tried, keep).await?;
        if found.is_none() {
            self.day_cache.remove(id);
        }
        Ok(found)
    }

    /// Reads `days` concurrently and returns the entry of the first day in their order that has it.
    async fn search<T>(
        self: &Arc<Self>,
        days: &[Day],
        id: &EntryId,
        tried: &mut Vec<Day>,
        keep: Keep<T>,
    ) -> Result<Option<T>, StorageError> {
        let untried: Vec<_> = days.iter().filter(|day| !tried.contains(day)).copied().collect();
        tried.extend(&untried);
        let reads = untried.into_iter().map(|day| self.read_in(day, id, keep));
        let mut reads = stream::iter(reads).buffered(self.bucket.concurrency());
        while let Some(found) = reads.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn read_in<T>(
        &self,
        day: Day,
        id: &EntryId,
        keep: Keep<T>,
    ) -> Result<Option<T>, StorageError> {
        let key = self.bucket.layout.key(day, id.as_str());
        let Some(object) = self.bucket.get(&key, ASSUMED_BODY_BYTES).await? else {
            return Ok(None);
        };
        let entry = record::decode(&self.bucket, day, id.as_str(), &object.body)?;
        self.day_cache.put(id, day);
        Ok(Some(keep(object.body, entry)))
    }
}
