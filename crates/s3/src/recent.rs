//! Which day an id was last seen on, for the ids seen most recently.

use std::sync::{Mutex, MutexGuard, PoisonError};

use attestry_core::EntryId;
use lru::LruCache;

use crate::key::Day;

/// A hint and nothing more: others may delete what is in it.
pub(crate) struct Recent {
    capacity: usize,
    /// Takes memory as it fills, whatever its capacity.
    days: Mutex<LruCache<EntryId, Day>>,
}

impl Recent {
    /// Remembers at most `capacity` ids.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, days: Mutex::new(LruCache::unbounded()) }
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<Day> {
        self.lock().get(id).copied()
    }

    pub(crate) fn put(&self, id: &EntryId, day: Day) {
        let mut days = self.lock();
        days.put(id.clone(), day);
        if days.len() > self.capacity {
            days.pop_lru();
        }
    }

    pub(crate) fn remove(&self, id: &EntryId) {
        self.lock().pop(id);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<EntryId, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestry_core::Timestamp;

    #[test]
    fn keeps_what_was_used_last() {
        let day = Day::of(Timestamp::UNIX_EPOCH);
        let id = |text: &str| -> EntryId { text.parse().unwrap() };
        let recent = Recent::new(2);
        recent.put(&id("a"), day);
        recent.put(&id("b"), day);
        assert_eq!(recent.get(&id("a")), Some(day));
        recent.put(&id("c"), day);
        assert_eq!(recent.get(&id("b")), None);
        recent.remove(&id("a"));
        assert_eq!(recent.get(&id("a")), None);
        assert_eq!(recent.get(&id("c")), Some(day));

        let none = Recent::new(0);
        none.put(&id("a"), day);
        assert_eq!(none.get(&id("a")), None);
    }

    #[test]
    fn any_number_may_be_allowed() {
        let day = Day::of(Timestamp::UNIX_EPOCH);
        let id: EntryId = "a".parse().unwrap();
        let all = Recent::new(usize::MAX);
        all.put(&id, day);
        assert_eq!(all.get(&id), Some(day));
    }
}
