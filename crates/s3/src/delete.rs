//! Deleting one entry on every day, or all entries up to a cutoff.

use std::sync::Arc;

use attestry_core::{EntryId, Query, StorageError, Timestamp};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::bucket::locked_until;
use crate::client::StoreClient;
use crate::error::{DeleteFailure, DeleteFailures};
use crate::key::Day;
use crate::scan::{self, MemoryBudget};
use crate::task::detached;

/// The limit of `DeleteObjects`.
const BATCH: usize = 1_000;
const CONCURRENT_BATCHES: usize = 4;

impl StoreClient {
    /// Deletes the objects of `id` on all days.
    pub(crate) async fn delete(self: &Arc<Self>, id: &EntryId) -> Result<bool, StorageError> {
        self.check_open()?;
        if !self.bucket.layout.may_contain(id) {
            return Ok(false);
        }
        let guard = self.key_locks.lock(vec![id.clone()]).await;
        self.check_open()?;
        let days = self.bucket.days().await?;
        let heads = days.into_iter().map(async |day| {
            let key = self.bucket.layout.key(day, id.as_str());
            let found = self.bucket.head(&key).await?;
            Ok::<_, StorageError>(found.map(|object| (key, locked_until(&object))))
        });
        let found: Vec<_> = stream::iter(heads)
            .buffer_unordered(self.bucket.concurrency())
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await?;
        if found.is_empty() {
            return Ok(false);
        }
        let location = self.bucket.location(self.bucket.layout.prefix());
        let (client, id) = (Arc::clone(self), id.clone());
        detached(async move {
            let _guard = guard;
            let mut outcome = DeleteFailures::new();
            for (key, locked) in found {
                if let Some(message) = locked {
                    outcome.add(0, vec![locked_failure(key, message)]);
                    continue;
                }
                client.bucket.delete(&key).await?;
                outcome.add(1, Vec::new());
            }
            client.day_cache.remove(&id);
            outcome.into_result(&location).map(|deleted| deleted > 0)
        })
        .await
    }

    /// Deletes the entries with a timestamp of `cutoff` or earlier. Days that end by then are deleted
    /// by their keys, without reading a body.
    pub(crate) async fn delete_at_or_before(
        self: &Arc<Self>,
        cutoff: Timestamp,
    ) -> Result<u64, StorageError> {
        self.check_open()?;
        // A write whose caller stopped waiting must not complete after this deletion.
        self.key_locks.wait_for_earlier().await;
        let days = self.bucket.days().await?;
        let expired_days = days.into_iter().filter(|day| day.start() <= cutoff);
        let client = Arc::clone(self);
        let expired =
            stream::iter(expired_days).flat_map(move |day| client.expired_in(day, cutoff)).boxed();
        let client = Arc::clone(self);
        let deletions = expired
            .try_chunks(BATCH)
            .map_err(|error| error.1)
            .map_ok(move |batch| Arc::clone(&client).delete_batch(batch))
            .try_buffer_unordered(CONCURRENT_BATCHES);
        let total = deletions.try_fold(DeleteFailures::new(), |mut total, (deleted, failures)| {
            total.add(deleted, failures);
            std::future::ready(Ok(total))
        });
        let outcome = total.await;
        if outcome.is_err() {
            // The other batches in flight complete before the caller can look at what is left.
            self.key_locks.wait_for_earlier().await;
        }
        outcome?.into_result(&self.bucket.location(self.bucket.layout.prefix()))
    }

    /// The ids in `day` whose entries expire by `cutoff`.
    fn expired_in(
        self: &Arc<Self>,
        day: Day,
        cutoff: Timestamp,
    ) -> BoxStream<'static, Result<(Day, String), StorageError>> {
        if day.end() <= cutoff {
            let pages = self.bucket.list_day(day, None);
            let ids = pages.map_ok(move |page| {
                stream::iter(page.entries.into_iter().map(move |(id, _)| Ok((day, id))))
            });
            return ids.try_flatten().boxed();
        }
        let client = Arc::clone(self);
        let expired = async move {
            let query = Arc::new(Query::new().until(cutoff));
            let no_bodies = MemoryBudget { bytes: 0 };
            let loaded = scan::load_day(client, day, query, |_, _| (), no_bodies).await?;
            let ids = loaded.rows.into_iter().map(move |row| Ok((day, row.id.into_string())));
            Ok::<_, StorageError>(stream::iter(ids))
        };
        stream::once(expired).try_flatten().boxed()
    }

    /// Returns the number of deleted objects, and the failures.
    async fn delete_batch(
        self: Arc<Self>,
        batch: Vec<(Day, String)>,
    ) -> Result<(u64, Vec<DeleteFailure>), StorageError> {
        let mut ids: Vec<_> = batch.iter().map(|(_, id)| EntryId::new_unchecked(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let guard = self.key_locks.lock(ids.clone()).await;
        self.check_open()?;
        let keys: Vec<_> = batch.iter().map(|(day, id)| self.bucket.layout.key(*day, id)).collect();
        let (unlocked, mut failures) = if self.bucket.may_lock_objects().await? {
            self.split_locked(keys).await?
        } else {
            (keys, Vec::new())
        };
        if unlocked.is_empty() {
            return Ok((0, failures));
        }
        detached(async move {
            let _guard = guard;
            let requested = unlocked.len();
            let refused = self.bucket.delete_many(unlocked).await?;
            ids.iter().for_each(|id| self.day_cache.remove(id));
            let deleted = requested.saturating_sub(refused.len()) as u64;
            failures.extend(refused);
            Ok((deleted, failures))
        })
        .await
    }

    /// Splits `keys` into those that may be deleted and a failure for each that is locked. Deleting a
    /// locked object succeeds on S3, but only hides the object behind a delete marker.
    async fn split_locked(
        &self,
        keys: Vec<String>,
    ) -> Result<(Vec<String>, Vec<DeleteFailure>), StorageError> {
        let heads = keys.into_iter().map(async |key| {
            let found = self.bucket.head(&key).await?;
            Ok::<_, StorageError>(found.map(|object| (key, locked_until(&object))))
        });
        let mut heads = stream::iter(heads).buffer_unordered(self.bucket.concurrency());
        let (mut unlocked, mut locked) = (Vec::new(), Vec::new());
        while let Some(found) = heads.try_next().await? {
            match found {
                Some((key, None)) => unlocked.push(key),
                Some((key, Some(message))) => locked.push(locked_failure(key, message)),
                None => {}
            }
        }
        Ok((unlocked, locked))
    }
}

fn locked_failure(key: String, message: String) -> DeleteFailure {
    DeleteFailure { key, code: "ObjectLocked".to_owned(), message }
}
