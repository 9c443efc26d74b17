//! The indexed collection: entries by time, by id, and by when they were written.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use attestry_core::{AuditEntry, Cursor, EntryId, Order, StorageError, Timestamp};

/// An entry's place in the order of time: its moment, then its number in the order of writing.
pub(crate) type Key = (Timestamp, u64);

/// Entries with three indexes that always agree. Numbers are given out once and never again.
#[derive(Default)]
pub(crate) struct Store {
    by_time: BTreeMap<Key, Arc<AuditEntry>>,
    by_id: HashMap<EntryId, Key>,
    /// The moment of each number, for the oldest written.
    written: BTreeMap<u64, Timestamp>,
    next_number: u64,
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The number that the next entry gets; what is stored already has lesser ones.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Adds `entry`, or finds it there already.
    pub(crate) fn insert(&mut self, entry: Arc<AuditEntry>) -> Result<(), StorageError> {
        if let Some(stored) = self.by_id.get(&entry.id).and_then(|key| self.by_time.get(key)) {
            return if **stored == *entry {
                Ok(())
            } else {
                Err(StorageError::AlreadyExists { id: entry.id.clone() })
            };
        }
        let key = (entry.timestamp, self.next_number);
        self.next_number += 1;
        self.by_id.insert(entry.id.clone(), key);
        self.written.insert(key.1, key.0);
        self.by_time.insert(key, entry);
        Ok(())
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<Arc<AuditEntry>> {
        self.by_time.get(self.by_id.get(id)?).cloned()
    }

    /// Everything from `start` to `end`, both inclusive; `start` must not lie after `end`.
    pub(crate) fn range(&self, start: Timestamp, end: Timestamp) -> Vec<Arc<AuditEntry>> {
        self.by_time
            .range((start, 0)..=(end, u64::MAX))
            .map(|(_, entry)| Arc::clone(entry))
            .collect()
    }

    /// The place of the entry that `cursor` names, if it is still there.
    pub(crate) fn find(&self, cursor: &Cursor) -> Option<Key> {
        self.by_id.get(&cursor.id).copied().filter(|key| key.0 == cursor.timestamp)
    }

    /// The first `size` entries between the bounds, seen from the end where `order` begins.
    pub(crate) fn page(
        &self,
        bounds: (Bound<Key>, Bound<Key>),
        order: Order,
        size: usize,
    ) -> Vec<(Key, Arc<AuditEntry>)> {
        let found = self.by_time.range(bounds).map(|(key, entry)| (*key, Arc::clone(entry)));
        match order {
            Order::Ascending => found.take(size).collect(),
            Order::Descending => found.rev().take(size).collect(),
        }
    }

    pub(crate) fn remove(&mut self, id: &EntryId) -> Option<Arc<AuditEntry>> {
        let key = self.by_id.remove(id)?;
        self.written.remove(&key.1);
        self.by_time.remove(&key)
    }

    /// Removes all at or before `cutoff`, looking at no other.
    pub(crate) fn remove_until(&mut self, cutoff: Timestamp) -> Vec<Arc<AuditEntry>> {
        let mut removed = Vec::new();
        while let Some(first) = self.by_time.first_entry()
            && first.key().0 <= cutoff
        {
            let ((_, number), entry) = first.remove_entry();
            self.written.remove(&number);
            self.by_id.remove(&entry.id);
            removed.push(entry);
        }
        removed
    }

    /// Removes those written first until at most `most` are left.
    pub(crate) fn evict_down_to(&mut self, most: usize) {
        while self.len() > most
            && let Some((number, moment)) = self.written.pop_first()
            && let Some(entry) = self.by_time.remove(&(moment, number))
        {
            self.by_id.remove(&entry.id);
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
