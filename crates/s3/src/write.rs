//! Writing entries, each as one object.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use attestry_core::{AuditEntry, EntryId, StorageError, Timestamp};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::{JSON, NewObject, PutOutcome};
use crate::client::StoreClient;
use crate::key::Day;
use crate::key_lock::KeyGuard;
use crate::record;
use crate::task::detached;

/// Up to this number of ids, one HEAD for each takes less time than listing the day.
const MAX_HEADS: usize = 12;
/// How often a write is attempted whose object exists at the write and is gone at the read after it.
const MAX_VANISHED: usize = 5;

/// Where to look for an object of the same id before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdCheck {
    /// On the day of the entry, which the conditional write covers. For ids that were just created.
    SameKey,
    /// On every day.
    AllDays,
}

/// An entry that was validated and encoded.
pub(crate) struct PreparedEntry {
    id: EntryId,
    day: Day,
    timestamp: Timestamp,
    body: Bytes,
}

/// Validates and encodes `entries`. Fails if any of them is invalid, so that none is written.
pub(crate) fn prepare(entries: &[AuditEntry]) -> Result<Vec<PreparedEntry>, StorageError> {
    dedup(entries)?.into_iter().map(PreparedEntry::new).collect()
}

/// [`prepare`] without the entries whose id an earlier one has.
pub(crate) fn prepare_distinct(entries: &[AuditEntry]) -> Result<Vec<PreparedEntry>, StorageError> {
    entries.iter().try_for_each(AuditEntry::validate)?;
    let mut ids = HashSet::with_capacity(entries.len());
    entries.iter().filter(|entry| ids.insert(&entry.id)).map(PreparedEntry::new).collect()
}

impl PreparedEntry {
    fn new(entry: &AuditEntry) -> Result<Self, StorageError> {
        let (id, timestamp) = (entry.id.clone(), entry.timestamp);
        Ok(Self { id, day: Day::of(timestamp), timestamp, body: record::encode(entry)?.into() })
    }
}

impl StoreClient {
    /// Writes `entries` concurrently.
    pub(crate) async fn write_all(
        self: &Arc<Self>,
        entries: Vec<PreparedEntry>,
        id_check: IdCheck,
    ) -> Result<(), StorageError> {
        self.check_open()?;
        if entries.is_empty() {
            return Ok(());
        }
        let ids = entries.iter().map(|entry| entry.id.clone()).collect();
        let guard = Arc::new(self.key_locks.lock(ids).await);
        self.check_open()?;
        if id_check == IdCheck::AllDays {
            self.check_other_days(&entries).await?;
        }
        self.put_all(entries, guard, |_, written| written).await.map(drop)
    }

    /// Writes those of `entries` whose ids are not stored, and returns these ids. No id occurs twice.
    pub(crate) async fn write_new(
        self: &Arc<Self>,
        mut entries: Vec<PreparedEntry>,
    ) -> Result<HashSet<EntryId>, StorageError> {
        self.check_open()?;
        let ids: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
        let guard = Arc::new(self.key_locks.lock(ids.clone()).await);
        self.check_open()?;
        let stored = self.stored_ids(ids.into()).await?;
        entries.retain(|entry| !stored.contains(&entry.id));
        let written = self.put_all(entries, guard, |id, written| match written {
            Ok(()) => Ok(Some(id)),
            // Another process was faster.
            Err(StorageError::AlreadyExists { .. }) => Ok(None),
            Err(error) => Err(error),
        });
        Ok(written.await?.into_iter().flatten().collect())
    }

    /// Writes `entries` concurrently, and collects what `outcome` returns for the result of each.
    async fn put_all<T: Send + 'static>(
        self: &Arc<Self>,
        entries: Vec<PreparedEntry>,
        guard: Arc<KeyGuard>,
        outcome: fn(EntryId, Result<(), StorageError>) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let first = self.sequence.reserve(entries.len());
        let writes = (first..).zip(entries).map(|(sequence, entry)| {
            let (client, guard) = (Arc::clone(self), Arc::clone(&guard));
            // The task holds the guard until the response, even if the caller's future is dropped.
            detached(async move {
                let _guard = guard;
                let id = entry.id.clone();
                outcome(id, client.write_one(entry, sequence).await)
            })
        });
        let written =
            stream::iter(writes).buffer_unordered(self.bucket.concurrency()).try_collect().await;
        if written.is_err() {
            // The other requests in flight complete before the caller can look at what is stored.
            drop(guard);
            self.key_locks.wait_for_earlier().await;
        }
        written
    }

    /// Those of `ids` that are stored on any day.
    async fn stored_ids(
        self: &Arc<Self>,
        ids: Arc<[EntryId]>,
    ) -> Result<HashSet<EntryId>, StorageError> {
        let searches = self.bucket.days().await?.into_iter().map(|day| {
            let (client, ids) = (Arc::clone(self), Arc::clone(&ids));
            async move { client.bucket.stored_ids(day, ids.to_vec()).await }
        });
        stream::iter(searches)
            .buffer_unordered(self.bucket.concurrency())
            .try_fold(HashSet::new(), async |mut all, found| {
                all.extend(found);
                Ok(all)
            })
            .await
    }

    async fn write_one(&self, entry: PreparedEntry, sequence: u64) -> Result<(), StorageError> {
        let key = self.bucket.layout.key(entry.day, entry.id.as_str());
        let object = NewObject {
            body: entry.body.clone(),
            content_type: JSON,
            sequence,
            timestamp: entry.timestamp,
        };
        for _ in 0..MAX_VANISHED {
            if self.bucket.put(&key, &object).await? == PutOutcome::Stored {
                self.day_cache.put(&entry.id, entry.day);
                return Ok(());
            }
            // Written by another process, or by an earlier attempt whose response was lost.
            let Some(object) = self.bucket.get(&key, entry.body.len() as u64).await? else {
                continue;
            };
            let stored = record::decode(&self.bucket, entry.day, entry.id.as_str(), &object.body)?;
            self.day_cache.put(&entry.id, entry.day);
            let new = record::decode(&self.bucket, entry.day, entry.id.as_str(), &entry.body)?;
            if stored == new {
                return Ok(());
            }
            return Err(StorageError::already_exists(entry.id));
        }
        let cause = "the object is repeatedly created and deleted by another process";
        Err(StorageError::remote("write", self.bucket.location(&key), true, cause))
    }

    /// Fails if an id is stored on another day: its entry has another timestamp, so it differs.
    async fn check_other_days(
        self: &Arc<Self>,
        entries: &[PreparedEntry],
    ) -> Result<(), StorageError> {
        let ids: Arc<[(Day, EntryId)]> =
            entries.iter().map(|entry| (entry.day, entry.id.clone())).collect();
        let days = self.bucket.days().await?;
        let searches = days.into_iter().map(|day| {
            let (client, ids) = (Arc::clone(self), Arc::clone(&ids));
            async move {
                let of_other_days = ids.iter().filter(|(own_day, _)| *own_day != day);
                client.first_in(day, of_other_days.map(|(_, id)| id.clone()).collect()).await
            }
        });
        let mut found = stream::iter(searches).buffer_unordered(self.bucket.concurrency());
        while let Some(taken) = found.try_next().await? {
            if let Some(id) = taken {
                return Err(StorageError::already_exists(id));
            }
        }
        Ok(())
    }

    /// One of `ids` that is stored in `day`.
    async fn first_in(&self, day: Day, ids: Vec<EntryId>) -> Result<Option<EntryId>, StorageError> {
        if ids.len() > MAX_HEADS {
            return Ok(self.bucket.stored_ids(day, ids).await?.into_iter().next());
        }
        let heads = ids.into_iter().map(async |id| {
            let key = self.bucket.layout.key(day, id.as_str());
            Ok::<_, StorageError>(self.bucket.head(&key).await?.map(|_| id))
        });
        let mut heads = stream::iter(heads).buffer_unordered(MAX_HEADS);
        while let Some(found) = heads.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Drops repetitions of equal entries. Two different entries of one id are an error.
fn dedup(entries: &[AuditEntry]) -> Result<Vec<&AuditEntry>, StorageError> {
    let mut by_id = HashMap::with_capacity(entries.len());
    let mut distinct = Vec::with_capacity(entries.len());
    for entry in entries {
        match by_id.entry(&entry.id) {
            Entry::Vacant(vacant) => {
                vacant.insert(entry);
                distinct.push(entry);
            }
            Entry::Occupied(first) if *first.get() == entry => {}
            Entry::Occupied(_) => {
                return Err(StorageError::already_exists(entry.id.clone()));
            }
        }
    }
    Ok(distinct)
}
