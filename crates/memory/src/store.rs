//! The indexed collection: entries by time, by id, and by order of writing.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use attestry_core::{AuditEntry, Cursor, EntryId, Order, StorageError, Timestamp};

/// The sort key of an entry: its timestamp, then its sequence number in the order of writing.
pub(crate) type Key = (Timestamp, u64);

/// Entries with three consistent indexes. Sequence numbers are never reused.
#[derive(Default)]
pub(crate) struct Store {
    by_time: BTreeMap<Key, Arc<AuditEntry>>,
    by_id: HashMap<EntryId, Key>,
    /// The timestamp of each sequence number, to find the entry that was written first.
    by_sequence: BTreeMap<u64, Timestamp>,
    next_sequence: u64,
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The sequence number of the next entry, above those of all stored entries.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Adds `entry` unless an equal entry is stored.
    pub(crate) fn insert(&mut self, entry: Arc<AuditEntry>) -> Result<(), StorageError> {
        if let Some(stored) = self.by_id.get(&entry.id).and_then(|key| self.by_time.get(key)) {
            return if **stored == *entry {
                Ok(())
            } else {
                Err(StorageError::already_exists(entry.id.clone()))
            };
        }
        let key = (entry.timestamp, self.next_sequence);
        self.next_sequence += 1;
        self.by_id.insert(entry.id.clone(), key);
        self.by_sequence.insert(key.1, key.0);
        self.by_time.insert(key, entry);
        Ok(())
    }

    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<Arc<AuditEntry>> {
        self.by_time.get(self.by_id.get(id)?).cloned()
    }

    /// All entries from `start` to `end`, both inclusive; `start` must not be after `end`.
    pub(crate) fn range(&self, start: Timestamp, end: Timestamp) -> Vec<Arc<AuditEntry>> {
        self.by_time
            .range((start, 0)..=(end, u64::MAX))
            .map(|(_, entry)| Arc::clone(entry))
            .collect()
    }

    /// The key of the entry at `cursor`, if it is stored.
    pub(crate) fn find(&self, cursor: &Cursor) -> Option<Key> {
        self.by_id.get(&cursor.id).copied().filter(|key| key.0 == cursor.timestamp)
    }

    /// The first `size` entries within the bounds, in `order`.
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
        self.by_sequence.remove(&key.1);
        self.by_time.remove(&key)
    }

    /// Counts the entries at or before `cutoff` without visiting others.
    pub(crate) fn count_at_or_before(&self, cutoff: Timestamp) -> usize {
        self.by_time.keys().take_while(|(timestamp, _)| *timestamp <= cutoff).count()
    }

    /// Removes all entries at or before `cutoff` without visiting others.
    pub(crate) fn remove_at_or_before(&mut self, cutoff: Timestamp) -> Vec<Arc<AuditEntry>> {
        let mut removed = Vec::new();
        while let Some(first) = self.by_time.first_entry()
            && first.key().0 <= cutoff
        {
            let ((_, sequence), entry) = first.remove_entry();
            self.by_sequence.remove(&sequence);
            self.by_id.remove(&entry.id);
            removed.push(entry);
        }
        removed
    }

    /// Removes the entries that were written first until at most `limit` are left.
    pub(crate) fn evict_to(&mut self, limit: usize) {
        while self.len() > limit
            && let Some((sequence, timestamp)) = self.by_sequence.pop_first()
            && let Some(entry) = self.by_time.remove(&(timestamp, sequence))
        {
            self.by_id.remove(&entry.id);
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
