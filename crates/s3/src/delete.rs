//! Deleting: one entry wherever it lies, or whole days by their keys.

use std::sync::Arc;

use attestry_core::{EntryId, Query, StorageError, Timestamp};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::bucket::locked_until;
use crate::error::{DeleteFailure, DeleteFailures};
use crate::key::Day;
use crate::scan::{self, Share};
use crate::storage::{Inner, detached};

/// S3 takes no more keys in one request.
const BATCH: usize = 1_000;
/// Requests to delete a batch that are under way at once.
const BATCHES_AT_ONCE: usize = 4;

impl Inner {
    /// Deletes every object of `id`, on whatever day.
    pub(crate) async fn delete(self: &Arc<Self>, id: &EntryId) -> Result<bool, StorageError> {
        self.must_be_open()?;
        if !self.bucket.layout.may_hold(id) {
            return Ok(false);
        }
        let turn = Arc::new(self.turns.take(vec![id.clone()]).await);
        self.must_be_open()?;
        let days = self.bucket.days().await?;
        let looks = days.into_iter().map(async |day| {
            let key = self.bucket.layout.key(day, id.as_str());
            let found = self.bucket.head(&key).await?;
            Ok::<_, StorageError>(found.map(|object| (key, locked_until(&object))))
        });
        let found: Vec<_> = stream::iter(looks)
            .buffer_unordered(self.bucket.concurrency())
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await?;
        if found.is_empty() {
            return Ok(false);
        }
        let location = self.bucket.location(self.bucket.layout.prefix());
        let (inner, id) = (Arc::clone(self), id.clone());
        detached(async move {
            let _turn = turn;
            let mut outcome = DeleteFailures::new();
            for (key, locked) in found {
                if let Some(message) = locked {
                    outcome.add(0, vec![locked_failure(key, message)]);
                    continue;
                }
                inner.bucket.delete(&key).await?;
                outcome.add(1, Vec::new());
            }
            inner.recent.remove(&id);
            outcome.into_result(&location).map(|deleted| deleted > 0)
        })
        .await
    }

    /// Deletes what is of `cutoff` or before; days that are wholly so without reading a body.
    pub(crate) async fn delete_at_or_before(
        self: &Arc<Self>,
        cutoff: Timestamp,
    ) -> Result<u64, StorageError> {
        self.must_be_open()?;
        // A write that was dropped and is still under way comes before this.
        self.turns.settled().await;
        let days = self.bucket.days().await?;
        let doomed = days.into_iter().filter(|day| day.start() <= cutoff);
        let inner = Arc::clone(self);
        let ids = stream::iter(doomed).flat_map(move |day| inner.doomed_in(day, cutoff)).boxed();
        let inner = Arc::clone(self);
        let deletions = ids
            .try_chunks(BATCH)
            .map_err(|error| error.1)
            .map_ok(move |batch| Arc::clone(&inner).delete_batch(batch))
            .try_buffer_unordered(BATCHES_AT_ONCE);
        let added =
            deletions.try_fold(DeleteFailures::new(), |mut outcome, (deleted, failures)| {
                outcome.add(deleted, failures);
                std::future::ready(Ok(outcome))
            });
        let outcome = added.await;
        if outcome.is_err() {
            // What was sent besides has ended too before the caller looks at what is left.
            self.turns.settled().await;
        }
        outcome?.into_result(&self.bucket.location(self.bucket.layout.prefix()))
    }

    fn doomed_in(
        self: &Arc<Self>,
        day: Day,
        cutoff: Timestamp,
    ) -> BoxStream<'static, Result<(Day, String), StorageError>> {
        if day.end() <= cutoff {
            let pages = self.bucket.day(day, None);
            let ids = pages.map_ok(move |page| {
                stream::iter(page.entries.into_iter().map(move |(id, _)| Ok((day, id))))
            });
            return ids.try_flatten().boxed();
        }
        let inner = Arc::clone(self);
        let found = async move {
            let query = Arc::new(Query::new().until(cutoff));
            let share = Share { bytes: 0 };
            let loaded = scan::load_day(inner, day, query, |_, _| (), share).await?;
            let ids = loaded.rows.into_iter().map(move |row| Ok((day, row.id.into_string())));
            Ok::<_, StorageError>(stream::iter(ids))
        };
        stream::once(found).try_flatten().boxed()
    }

    /// How many went, and what stays.
    async fn delete_batch(
        self: Arc<Self>,
        batch: Vec<(Day, String)>,
    ) -> Result<(u64, Vec<DeleteFailure>), StorageError> {
        let mut ids: Vec<_> = batch.iter().map(|(_, id)| EntryId::new_unchecked(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let turn = self.turns.take(ids.clone()).await;
        self.must_be_open()?;
        let keys: Vec<_> = batch.iter().map(|(day, id)| self.bucket.layout.key(*day, id)).collect();
        let (free, mut failures) = if self.bucket.may_lock().await? {
            self.without_locked(keys).await?
        } else {
            (keys, Vec::new())
        };
        if free.is_empty() {
            return Ok((0, failures));
        }
        detached(async move {
            let _turn = turn;
            let asked = free.len();
            let refused = self.bucket.delete_many(free).await?;
            ids.iter().for_each(|id| self.recent.remove(id));
            let deleted = asked.saturating_sub(refused.len()) as u64;
            failures.extend(refused);
            Ok((deleted, failures))
        })
        .await
    }

    /// Where a bucket locks objects, deleting one that is locked only hides it behind a marker, and
    /// S3 calls that a success.
    async fn without_locked(
        &self,
        keys: Vec<String>,
    ) -> Result<(Vec<String>, Vec<DeleteFailure>), StorageError> {
        let looks = keys.into_iter().map(async |key| {
            let found = self.bucket.head(&key).await?;
            Ok::<_, StorageError>(found.map(|object| (key, locked_until(&object))))
        });
        let mut looks = stream::iter(looks).buffer_unordered(self.bucket.concurrency());
        let (mut free, mut locked) = (Vec::new(), Vec::new());
        while let Some(found) = looks.try_next().await? {
            match found {
                Some((key, None)) => free.push(key),
                Some((key, Some(message))) => locked.push(locked_failure(key, message)),
                None => {}
            }
        }
        Ok((free, locked))
    }
}

fn locked_failure(key: String, message: String) -> DeleteFailure {
    DeleteFailure { key, code: "ObjectLocked".to_owned(), message }
}
