//! Streams the result of a query, reading one page at a time under the lock.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use attestry_core::{AuditEntry, EntryStream, Order, Query, StorageError};
use futures_util::stream;

use crate::MemoryStorage;
use crate::store::Key;

/// The number of entries that are read under one lock, and the most that a scan holds.
const PAGE_SIZE: usize = 256;

pub(crate) fn stream(storage: &MemoryStorage, query: Query) -> EntryStream<'_> {
    let scan = Scan { storage, query, state: State::New, page: VecDeque::new() };
    Box::pin(stream::unfold(scan, |mut scan| async move {
        let item = scan.next()?;
        Some((item, scan))
    }))
}

struct Scan<'a> {
    storage: &'a MemoryStorage,
    /// Its limit is the number of entries still to yield.
    query: Query,
    state: State,
    /// Entries of the last page that were not yielded yet.
    page: VecDeque<Arc<AuditEntry>>,
}

enum State {
    New,
    /// The entries within `bounds` are left. Those with a sequence number of `end` or above were
    /// written after the scan started and are skipped; otherwise a task that writes for each entry it
    /// reads would never end.
    Reading {
        bounds: (Bound<Key>, Bound<Key>),
        end: u64,
    },
    Done,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<Result<AuditEntry, StorageError>> {
        if let State::New = self.state {
            if let Err(error) = self.query.validate() {
                self.state = State::Done;
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
            if !self.read_page() {
                return None;
            }
        }
    }

    fn open(&mut self) {
        let Some((start, end)) = self.query.time_range() else {
            self.state = State::Done;
            return;
        };
        let mut bounds = (Bound::Included((start, 0)), Bound::Included((end, u64::MAX)));
        let store = self.storage.lock();
        // A cursor outside the range has no effect beyond that of the range.
        let cursor = self.query.after.as_ref().and_then(|cursor| store.find(cursor));
        match (self.query.order, cursor) {
            (Order::Ascending, Some(key)) if key.0 == start => bounds.0 = Bound::Excluded(key),
            (Order::Descending, Some(key)) if key.0 == end => bounds.1 = Bound::Excluded(key),
            _ => {}
        }
        self.state = State::Reading { bounds, end: store.next_sequence() };
    }

    /// Reads the next page; returns whether there was one.
    fn read_page(&mut self) -> bool {
        let State::Reading { bounds, end } = &mut self.state else { return false };
        let page = self.storage.lock().page(*bounds, self.query.order, PAGE_SIZE);
        let Some((last, _)) = page.last() else {
            self.state = State::Done;
            return false;
        };
        match self.query.order {
            Order::Ascending => bounds.0 = Bound::Excluded(*last),
            Order::Descending => bounds.1 = Bound::Excluded(*last),
        }
        self.page = page
            .into_iter()
            .filter_map(|((_, sequence), entry)| (sequence < *end).then_some(entry))
            .collect();
        true
    }
}
