//! Which day an id was last seen on, for the ids seen most recently.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use attestry_core::EntryId;
use lru::LruCache;

use crate::key::Day;

/// A hint and nothing more: others may delete what is in it.
pub(crate) struct Recent(Option<Mutex<LruCache<EntryId, Day>>>);

impl Recent {
    /// Remembers at most `capacity` ids; none with 0.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(NonZeroUsize::new(capacity).map(|capacity| Mutex::new(LruCache::new(capacity))))
    }

    pub(crate) fn get(&self, id: &EntryId) -> Option<Day> {
        self.with(|cache| cache.get(id).copied()).flatten()
    }

    pub(crate) fn put(&self, id: &EntryId, day: Day) {
        self.with(|cache| cache.put(id.clone(), day));
    }

    pub(crate) fn remove(&self, id: &EntryId) {
        self.with(|cache| cache.pop(id));
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut LruCache<EntryId, Day>) -> T) -> Option<T> {
        let mut cache = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(use_it(&mut cache))
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
}
