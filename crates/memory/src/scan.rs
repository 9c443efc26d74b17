//! Streaming a query, one page under the lock at a time.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use attestry_core::{AuditEntry, EntryStream, Order, Query, StorageError};
use futures_util::stream;

use crate::MemoryStorage;
use crate::store::Key;

/// How many entries are looked at under one lock, and held at most.
const PAGE: usize = 256;

pub(crate) fn stream(storage: &MemoryStorage, query: Query) -> EntryStream<'_> {
    let scan = Scan { storage, query, place: Place::Unopened, page: VecDeque::new() };
    Box::pin(stream::unfold(scan, |mut scan| async move {
        let item = scan.next()?;
        Some((item, scan))
    }))
}

struct Scan<'a> {
    storage: &'a MemoryStorage,
    /// Its limit counts down.
    query: Query,
    place: Place,
    /// Entries of the page last taken that were not handed out yet.
    page: VecDeque<Arc<AuditEntry>>,
}

enum Place {
    Unopened,
    /// What lies between the bounds is left, but for entries numbered `end` or above: they were
    /// written after the scan began, and whoever writes while reading would never come to an end.
    Within {
        bounds: (Bound<Key>, Bound<Key>),
        end: u64,
    },
    Finished,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<Result<AuditEntry, StorageError>> {
        if let Place::Unopened = self.place {
            if let Err(error) = self.query.validate() {
                self.place = Place::Finished;
                return Some(Err(error.into()));
            }
            self.open();
        }
        if self.query.limit == Some(0) {
            return None;
        }
        loop {
            while let Some(entry) = self.page.pop_front() {
                if self.query.matches(&entry) {
                    if let Some(left) = &mut self.query.limit {
                        *left -= 1;
                    }
                    return Some(Ok(Arc::unwrap_or_clone(entry)));
                }
            }
            if !self.take_page() {
                return None;
            }
        }
    }

    fn open(&mut self) {
        let Some((start, end)) = self.query.time_range() else {
            self.place = Place::Finished;
            return;
        };
        let mut bounds = (Bound::Included((start, 0)), Bound::Included((end, u64::MAX)));
        let store = self.storage.lock();
        // Where the cursor's moment lies outside the range, the range alone decides.
        let cursor = self.query.after.as_ref().and_then(|cursor| store.find(cursor));
        match (self.query.order, cursor) {
            (Order::Ascending, Some(key)) if key.0 == start => bounds.0 = Bound::Excluded(key),
            (Order::Descending, Some(key)) if key.0 == end => bounds.1 = Bound::Excluded(key),
            _ => {}
        }
        self.place = Place::Within { bounds, end: store.next_number() };
    }

    /// Whether there was another page.
    fn take_page(&mut self) -> bool {
        let Place::Within { bounds, end } = &mut self.place else { return false };
        let page = self.storage.lock().page(*bounds, self.query.order, PAGE);
        let Some((last, _)) = page.last() else {
            self.place = Place::Finished;
            return false;
        };
        match self.query.order {
            Order::Ascending => bounds.0 = Bound::Excluded(*last),
            Order::Descending => bounds.1 = Bound::Excluded(*last),
        }
        self.page = page
            .into_iter()
            .filter_map(|((_, number), entry)| (number < *end).then_some(entry))
            .collect();
        true
    }
}
