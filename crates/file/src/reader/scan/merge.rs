//! Joining the segments' lines into one order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use attestry_core::{AuditEntry, Order, StorageError, Timestamp};

use crate::reader::catalog::Catalog;
use crate::segment::{Cursor, Line, Segment, SegmentName, may_be_erased};

/// Lines of many segments in the order of time, ties in the order written (both reversed when
/// descending). A segment is opened when its time comes, and let go when it has no more.
pub(super) struct Merge<'a> {
    catalog: &'a Catalog,
    start: Timestamp,
    end: Timestamp,
    order: Order,
    /// Segments whose time has not come, the next one last.
    waiting: Vec<Waiting>,
    open: Vec<Option<Open>>,
    /// The next line of each open segment: its key, and which it is.
    next: BinaryHeap<Reverse<(Key, usize)>>,
    /// The first line of them was handed out, and is still the first.
    handed_out: bool,
}

struct Open {
    segment: Segment,
    cursor: Cursor,
    /// The line handed out last.
    last: Option<Key>,
}

struct Waiting {
    from: i64,
    number: usize,
    segment: Segment,
}

/// Time, number of the segment, offset; negated when descending.
type Key = (i64, i64, i64);

impl<'a> Merge<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        segments: &[Segment],
        start: Timestamp,
        end: Timestamp,
        order: Order,
    ) -> Self {
        let mut waiting: Vec<_> = segments
            .iter()
            .enumerate()
            .filter_map(|(number, segment)| {
                let (earliest, latest) = segment.body.time_bounds()?;
                let from = match order {
                    Order::Ascending => earliest.unix_micros(),
                    Order::Descending => -latest.unix_micros(),
                };
                let in_range = earliest <= end && latest >= start;
                in_range.then(|| Waiting { from, number, segment: segment.clone() })
            })
            .collect();
        waiting.sort_by_key(|waiting| Reverse(waiting.from));
        let (open, next) = (Vec::new(), BinaryHeap::new());
        Self { catalog, start, end, order, waiting, open, next, handed_out: false }
    }

    /// The next line. Whoever is told of an error has nothing more to expect.
    pub(super) fn next(&mut self) -> Result<Option<Found<'_>>, StorageError> {
        self.pass_over_last()?;
        self.open_due()?;
        let Some(&Reverse((key, slot))) = self.next.peek() else { return Ok(None) };
        let Some(Open { segment, cursor, last }) = &mut self.open[slot] else { return Ok(None) };
        *last = Some(key);
        self.handed_out = true;
        let line = cursor.peek().map_err(|source| index_failed(self.catalog, segment, source))?;
        let Some(line) = line else { return Ok(None) };
        let bytes = self.catalog.still_there(segment, cursor.read(line))?;
        Ok(Some(Found {
            segment: segment.name,
            offset: line.offset,
            bytes: bytes.unwrap_or_default(),
        }))
    }

    /// The segment whose line was handed out last still stands first; it goes where its next line
    /// belongs.
    fn pass_over_last(&mut self) -> Result<(), StorageError> {
        if !std::mem::take(&mut self.handed_out) {
            return Ok(());
        }
        let Some(&Reverse((_, slot))) = self.next.peek() else { return Ok(()) };
        let key = self.next_key(slot)?;
        if let Some(top) = self.next.peek_mut() {
            match key {
                Some(key) => *{ top } = Reverse((key, slot)),
                None => drop(PeekMut::pop(top)),
            }
        }
        Ok(())
    }

    /// Opens every segment that may hold a line before the next one known.
    fn open_due(&mut self) -> Result<(), StorageError> {
        while let Some(waiting) = self.waiting.last() {
            if self.next.peek().is_some_and(|Reverse(((time, _, _), _))| *time < waiting.from) {
                break;
            }
            let Some(Waiting { number, segment, .. }) = self.waiting.pop() else { break };
            if self.open.len() <= number {
                self.open.resize_with(number + 1, || None);
            }
            self.open[number] = Some(self.open_segment(segment, None)?);
            if let Some(key) = self.next_key(number)? {
                self.next.push(Reverse((key, number)));
            }
        }
        Ok(())
    }

    fn open_segment(&self, segment: Segment, last: Option<Key>) -> Result<Open, StorageError> {
        let cursor =
            |segment: &Segment| Cursor::new(segment.body.clone(), self.start, self.end, self.order);
        match cursor(&segment) {
            Ok(cursor) => Ok(Open { segment, cursor, last }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let segment = self.catalog.replace_damaged(&segment)?;
                let cursor = cursor(&segment)
                    .map_err(|source| index_failed(self.catalog, &segment, source))?;
                Ok(Open { segment, cursor, last })
            }
            Err(source) => Err(index_failed(self.catalog, &segment, source)),
        }
    }

    /// The key of the next line of an open segment, which is let go when it has none.
    fn next_key(&mut self, slot: usize) -> Result<Option<Key>, StorageError> {
        let order = self.order;
        let key_of = |line: Line| {
            let sign = if order == Order::Ascending { 1 } else { -1 };
            // Offsets and numbers of segments are far below 2^63.
            (
                line.timestamp.unix_micros() * sign,
                slot as i64 * sign,
                line.offset.cast_signed() * sign,
            )
        };
        loop {
            let Some(Open { segment, cursor, last }) = &mut self.open[slot] else {
                return Ok(None);
            };
            match cursor.peek() {
                // What was handed out already; behind a damaged index there may be more of it.
                Ok(Some(line)) if last.is_some_and(|last| key_of(line) <= last) => cursor.advance(),
                Ok(Some(line)) => return Ok(Some(key_of(line))),
                Ok(None) => {
                    self.open[slot] = None;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let segment = self.catalog.replace_damaged(segment)?;
                    let last = *last;
                    self.open[slot] = Some(self.open_segment(segment, last)?);
                }
                Err(source) => return Err(index_failed(self.catalog, segment, source)),
            }
        }
    }
}

/// A line of a segment, without its line break; empty when it is gone.
#[derive(Clone, Copy)]
pub(super) struct Found<'m> {
    pub(super) segment: SegmentName,
    pub(super) offset: u64,
    pub(super) bytes: &'m [u8],
}

impl Found<'_> {
    /// The entry it holds; `None` when it is gone, or has been erased since it was indexed.
    pub(super) fn entry(&self, catalog: &Catalog) -> Result<Option<AuditEntry>, StorageError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        catalog.understand(self.segment, self.offset, self.bytes)
    }

    /// Whether [`entry`](Self::entry) may find none.
    pub(super) fn may_be_gone(&self) -> bool {
        self.bytes.is_empty() || may_be_erased(self.bytes)
    }
}

fn index_failed(catalog: &Catalog, segment: &Segment, source: io::Error) -> StorageError {
    StorageError::io("read the index of", catalog.folder().segment(segment.name), source)
}
