//! Writing entries, each as an object of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use attestry_core::{AuditEntry, EntryId, StorageError, Timestamp};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::{New, Put};
use crate::key::Day;
use crate::record;
use crate::storage::{Inner, detached};

/// For so many ids it is cheaper to ask for each than to list a day.
const FEW_IDS: usize = 12;
/// How often an object may vanish between a refused write and the look at what is there.
const VANISHING: usize = 5;

/// Whether ids may be stored already, on another day too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    Fresh,
    Unknown,
}

pub(crate) struct Prepared {
    id: EntryId,
    day: Day,
    moment: Timestamp,
    body: Bytes,
}

/// What is to be sent for `entries`; nothing, when one of them is invalid.
pub(crate) fn prepared(entries: &[AuditEntry]) -> Result<Vec<Prepared>, StorageError> {
    distinct(entries)?.into_iter().map(Prepared::new).collect()
}

impl Prepared {
    fn new(entry: &AuditEntry) -> Result<Self, StorageError> {
        let (id, moment) = (entry.id.clone(), entry.timestamp);
        Ok(Self { id, day: Day::of(moment), moment, body: record::encode(entry)?.into() })
    }
}

impl Inner {
    /// Stores all of `new`, in parallel.
    pub(crate) async fn write_all(
        self: &Arc<Self>,
        new: Vec<Prepared>,
        ids: Ids,
    ) -> Result<(), StorageError> {
        self.must_be_open()?;
        if new.is_empty() {
            return Ok(());
        }
        let turn = Arc::new(self.turns.take(new.iter().map(|new| new.id.clone()).collect()).await);
        self.must_be_open()?;
        if ids == Ids::Unknown {
            self.must_be_new_on_other_days(&new).await?;
        }
        let first = self.sequence.reserve(new.len());
        let writes = (first..).zip(new).map(|(order, new)| {
            let (inner, turn) = (Arc::clone(self), Arc::clone(&turn));
            // The turn lasts until the request has ended, whoever waits for it.
            detached(async move {
                let _turn = turn;
                inner.write_one(new, order).await
            })
        });
        let written =
            stream::iter(writes).buffer_unordered(self.bucket.concurrency()).try_collect().await;
        if written.is_err() {
            // What was sent besides has ended too before the caller looks at what is stored.
            drop(turn);
            self.turns.settled().await;
        }
        written
    }

    async fn write_one(&self, new: Prepared, order: u64) -> Result<(), StorageError> {
        let key = self.bucket.layout.key(new.day, new.id.as_str());
        let object = New { body: new.body.clone(), order, moment: new.moment };
        for _ in 0..VANISHING {
            if self.bucket.put(&key, &object).await? == Put::Stored {
                self.recent.put(&new.id, new.day);
                return Ok(());
            }
            // Another writer's, or our own: a try whose answer was lost.
            let Some(object) = self.bucket.get(&key, new.body.len() as u64).await? else {
                continue;
            };
            let stored = record::decode(&self.bucket, new.day, new.id.as_str(), &object.body)?;
            self.recent.put(&new.id, new.day);
            let ours = record::decode(&self.bucket, new.day, new.id.as_str(), &new.body)?;
            if stored == ours {
                return Ok(());
            }
            return Err(StorageError::already_exists(new.id));
        }
        let cause =
            "the object exists when it is written and is missing when it is read, repeatedly";
        Err(StorageError::remote("write", self.bucket.location(&key), true, cause))
    }

    /// An id found on another day is another entry's, since an equal one would be of the same day.
    async fn must_be_new_on_other_days(
        self: &Arc<Self>,
        new: &[Prepared],
    ) -> Result<(), StorageError> {
        let ids: Arc<[(Day, EntryId)]> = new.iter().map(|new| (new.day, new.id.clone())).collect();
        let days = self.bucket.days().await?;
        let searches = days.into_iter().map(|day| {
            let (inner, ids) = (Arc::clone(self), Arc::clone(&ids));
            async move {
                let others = ids.iter().filter(|(its_day, _)| *its_day != day);
                inner.first_in(day, others.map(|(_, id)| id.clone()).collect()).await
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
        if ids.len() > FEW_IDS {
            return Ok(self.bucket.listed_of(day, ids).await?.into_iter().next());
        }
        let looks = ids.into_iter().map(async |id| {
            let key = self.bucket.layout.key(day, id.as_str());
            Ok::<_, StorageError>(self.bucket.head(&key).await?.map(|_| id))
        });
        let mut looks = stream::iter(looks).buffer_unordered(FEW_IDS);
        while let Some(found) = looks.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Each entry once; two that differ under one id are an error.
fn distinct(entries: &[AuditEntry]) -> Result<Vec<&AuditEntry>, StorageError> {
    let mut seen = HashMap::with_capacity(entries.len());
    let mut distinct = Vec::with_capacity(entries.len());
    for entry in entries {
        match seen.entry(&entry.id) {
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
