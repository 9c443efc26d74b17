//! Joining the segments' lines into one order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use attestry_core::{AuditEntry, Order, StorageError, Timestamp};

use crate::catalog::Catalog;
use crate::segment::{Cursor, Line, Segment};

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
        Self { catalog, start, end, order, waiting, open: Vec::new(), next: BinaryHeap::new() }
    }

    /// What `take` makes of the next record, of its line without the line break and of what that
    /// says; or why a line could not be read.
    pub(super) fn next<T>(
        &mut self,
        take: impl Fn(&[u8], AuditEntry) -> T,
    ) -> Option<Result<T, StorageError>> {
        loop {
            match self.step(&take) {
                Ok(Step::Over) => return None,
                Ok(Step::Erased) => {}
                Ok(Step::Record(taken)) => return Some(Ok(taken)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn step<T>(&mut self, take: &impl Fn(&[u8], AuditEntry) -> T) -> Result<Step<T>, StorageError> {
        self.open_due()?;
        let Some(Reverse((key, slot))) = self.next.pop() else { return Ok(Step::Over) };
        let Some(Open { segment, cursor, last }) = &mut self.open[slot] else {
            return Ok(Step::Erased);
        };
        *last = Some(key);
        let line = cursor.peek().map_err(|source| index_failed(self.catalog, segment, source))?;
        let Some(line) = line else { return Ok(Step::Erased) };
        cursor.advance();
        let bytes = cursor.read(line);
        let understood = self.catalog.understand(segment, line, bytes.as_deref());
        let step = understood.map(|entry| match (entry, bytes) {
            (Some(entry), Ok(bytes)) => Step::Record(take(bytes, entry)),
            _ => Step::Erased,
        });
        self.requeue(slot)?;
        step
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
            self.requeue(number)?;
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

    /// Puts a segment in line by its next line, or lets it go.
    fn requeue(&mut self, slot: usize) -> Result<(), StorageError> {
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
            let Some(Open { segment, cursor, last }) = &mut self.open[slot] else { return Ok(()) };
            match cursor.peek() {
                // Behind a damaged index, what was handed out already is passed over.
                Ok(Some(line)) if last.is_some_and(|last| key_of(line) <= last) => cursor.advance(),
                Ok(Some(line)) => {
                    self.next.push(Reverse((key_of(line), slot)));
                    return Ok(());
                }
                Ok(None) => {
                    self.open[slot] = None;
                    return Ok(());
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

#[allow(clippy::large_enum_variant)] // handed over once, never kept
enum Step<T> {
    Record(T),
    /// The line has been erased since it was indexed.
    Erased,
    Over,
}

fn index_failed(catalog: &Catalog, segment: &Segment, source: io::Error) -> StorageError {
    StorageError::io("read the index of", catalog.folder().segment(segment.name), source)
}
