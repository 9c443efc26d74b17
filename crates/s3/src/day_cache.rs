//! LRU cache from an entry id to the day of its object.

use std::sync::{Mutex, MutexGuard, PoisonError};

use attestry_core::EntryId;
use lru::LruCache;

use crate::key::Day;

/// A hint only: another process may have deleted the object since.
pub(crate) struct DayCache {
    capacity: usize,
    /// Unbounded, because `LruCache::new` allocates for its whole capacity.
    days: Mutex<LruCache<EntryId, Day>>,
}

impl DayCache {
    /// An empty cache for at most `capacity` ids.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, days: Mutex::new(LruCache::unbounded()) }
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<Day> {
        self.days().get(id).copied()
    }

    pub(crate) fn put(&self, id: &EntryId, day: Day) {
        let mut days = self.days();
        days.put(id.clone(), day);
        if days.len() > self.capacity {
            days.pop_lru();
        }
    }

    pub(crate) fn remove(&self, id: &EntryId) {
        self.days().pop(id);
    }

    fn days(&self) -> MutexGuard<'_, LruCache<EntryId, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestry_core::Timestamp;

    #[test]
    fn least_recently_used_id_is_evicted() {
        let day = Day::of(Timestamp::UNIX_EPOCH);
        let id = |text: &str| -> EntryId { text.parse().unwrap() };
        let cache = DayCache::new(2);
        cache.put(&id("a"), day);
        cache.put(&id("b"), day);
        assert_eq!(cache.get(&id("a")), Some(day));
        cache.put(&id("c"), day);
        assert_eq!(cache.get(&id("b")), None);
        cache.remove(&id("a"));
        assert_eq!(cache.get(&id("a")), None);
        assert_eq!(cache.get(&id("c")), Some(day));

        let disabled = DayCache::new(0);
        disabled.put(&id("a"), day);
        assert_eq!(disabled.get(&id("a")), None);
    }

    #[test]
    fn any_capacity_is_accepted() {
        let day = Day::of(Timestamp::UNIX_EPOCH);
        let id: EntryId = "a".parse().unwrap();
        let unlimited = DayCache::new(usize::MAX);
        unlimited.put(&id, day);
        assert_eq!(unlimited.get(&id), Some(day));
    }
}
