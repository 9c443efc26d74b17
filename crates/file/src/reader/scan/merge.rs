//! Merges the lines of all segments into one time order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use attestry_core::{AuditEntry, Order, StorageError};

use crate::reader::Catalog;
use crate::segment::{Line, LineCursor, LineSelection, Segment, SegmentName, may_be_erased};

/// Merges the selected lines of segments in time order; ties come in write order, or reversed when descending. A segment is opened
/// when the merge reaches its first timestamp, and dropped after its last line.
pub(super) struct Merge<'a> {
    catalog: &'a Catalog,
    selection: LineSelection<'a>,
    /// Segments not opened yet, the next one last.
    unopened: Vec<Unopened>,
    /// By the number of the segment.
    open: Vec<Option<Open>>,
    /// The key of the next line of each open segment, with its number.
    next: BinaryHeap<Reverse<(Key, usize)>>,
    /// Whether the line at the top of `next` was returned already.
    returned: bool,
}

struct Open {
    segment: Segment,
    cursor: LineCursor,
    /// The line returned last.
    last: Option<Key>,
}

struct Unopened {
    /// The time of its first line; negated when descending.
    from: i64,
    number: usize,
    segment: Segment,
}

/// Timestamp, segment number, offset; negated when descending.
pub(super) type Key = (i64, i64, i64);

impl<'a> Merge<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        segments: &[Segment],
        selection: LineSelection<'a>,
    ) -> Self {
        let LineSelection { start, end, order, .. } = selection;
        let mut unopened: Vec<_> = segments
            .iter()
            .enumerate()
            .filter_map(|(number, segment)| {
                let (earliest, latest) = segment.file.time_bounds()?;
                let from = match order {
                    Order::Ascending => earliest.unix_micros(),
                    Order::Descending => -latest.unix_micros(),
                };
                let in_range = earliest <= end && latest >= start;
                in_range.then(|| Unopened { from, number, segment: segment.clone() })
            })
            .collect();
        unopened.sort_by_key(|unopened| Reverse(unopened.from));
        let (open, next) = (Vec::new(), BinaryHeap::new());
        Self { catalog, selection, unopened, open, next, returned: false }
    }

    /// Returns the next line. After an error the merge must not be used.
    pub(super) fn next(&mut self) -> Result<Option<ScannedLine<'_>>, StorageError> {
        self.skip_returned()?;
        self.open_due()?;
        let Some(&Reverse((key, number))) = self.next.peek() else { return Ok(None) };
        let Some(Open { segment, cursor, last }) = &mut self.open[number] else { return Ok(None) };
        *last = Some(key);
        self.returned = true;
        let line = cursor.peek().map_err(|source| index_failed(self.catalog, segment, source))?;
        let Some(line) = line else { return Ok(None) };
        let bytes = self.catalog.unless_truncated(segment, cursor.read(line))?;
        Ok(Some(ScannedLine {
            segment: segment.name,
            offset: line.offset,
            bytes: bytes.unwrap_or_default(),
        }))
    }

    /// The key of the line returned last.
    pub(super) fn key(&self) -> Option<Key> {
        self.next.peek().filter(|_| self.returned).map(|Reverse((key, _))| *key)
    }

    /// Skips all lines up to that with `key`, without reading them.
    pub(super) fn skip_through(&mut self, key: Key) -> Result<(), StorageError> {
        loop {
            self.skip_returned()?;
            self.open_due()?;
            match self.next.peek() {
                Some(&Reverse((next, number))) if next <= key => {
                    if let Some(open) = &mut self.open[number] {
                        open.last = Some(next);
                    }
                    self.returned = true;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Advances the segment whose line was returned last.
    fn skip_returned(&mut self) -> Result<(), StorageError> {
        if !std::mem::take(&mut self.returned) {
            return Ok(());
        }
        let Some(&Reverse((_, number))) = self.next.peek() else { return Ok(()) };
        let key = self.next_key(number)?;
        if let Some(top) = self.next.peek_mut() {
            match key {
                Some(key) => *{ top } = Reverse((key, number)),
                None => drop(PeekMut::pop(top)),
            }
        }
        Ok(())
    }

    /// Opens every segment that may have a line before the next known one.
    fn open_due(&mut self) -> Result<(), StorageError> {
        while let Some(first) = self.unopened.last() {
            if self.next.peek().is_some_and(|Reverse(((time, _, _), _))| *time < first.from) {
                break;
            }
            let Some(Unopened { number, segment, .. }) = self.unopened.pop() else { break };
            if self.open.len() <= number {
                self.open.resize_with(number + 1, || None);
            }
            self.open[number] = Some(self.open_segment(&segment, None)?);
            if let Some(key) = self.next_key(number)? {
                self.next.push(Reverse((key, number)));
            }
        }
        Ok(())
    }

    fn open_segment(&self, segment: &Segment, last: Option<Key>) -> Result<Open, StorageError> {
        let (segment, cursor) = self
            .catalog
            .read_index(segment, |segment| LineCursor::new(segment.file.clone(), self.selection))?;
        Ok(Open { segment, cursor, last })
    }

    /// The key of the next line of an open segment. Drops the segment if it has none.
    fn next_key(&mut self, number: usize) -> Result<Option<Key>, StorageError> {
        let order = self.selection.order;
        let key_of = |line: Line| {
            let sign = if order == Order::Ascending { 1 } else { -1 };
            // Offsets and segment numbers are far below 2^63.
            (
                line.timestamp.unix_micros() * sign,
                number as i64 * sign,
                line.offset.cast_signed() * sign,
            )
        };
        loop {
            let Some(Open { segment, cursor, last }) = &mut self.open[number] else {
                return Ok(None);
            };
            match cursor.peek() {
                // Returned already; after a damaged index was replaced, there may be several.
                Ok(Some(line)) if last.is_some_and(|last| key_of(line) <= last) => cursor.advance(),
                Ok(Some(line)) => return Ok(Some(key_of(line))),
                Ok(None) => {
                    self.open[number] = None;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let (segment, last) = (self.catalog.replace_damaged(segment)?, *last);
                    self.open[number] = Some(self.open_segment(&segment, last)?);
                }
                Err(source) => return Err(index_failed(self.catalog, segment, source)),
            }
        }
    }
}

/// A line of a segment, without its line break; empty if the file ends before it.
#[derive(Clone, Copy)]
pub(super) struct ScannedLine<'m> {
    pub(super) segment: SegmentName,
    pub(super) offset: u64,
    pub(super) bytes: &'m [u8],
}

impl ScannedLine<'_> {
    /// Its entry; `None` if it is gone or has been erased since it was indexed.
    pub(super) fn entry(&self, catalog: &Catalog) -> Result<Option<AuditEntry>, StorageError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        catalog.decode(self.segment, self.offset, self.bytes)
    }

    /// Whether [`entry`](Self::entry) may return `None`.
    pub(super) fn may_be_gone(&self) -> bool {
        self.bytes.is_empty() || may_be_erased(self.bytes)
    }
}

fn index_failed(catalog: &Catalog, segment: &Segment, source: io::Error) -> StorageError {
    StorageError::io("read the index of", catalog.folder().segment(segment.name), source)
}
