//! Iterates over a segment's lines in time order and reads them, in bounded memory.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use attestry_core::{Order, Timestamp};

use super::index_file::Matches;
use super::{Condition, IndexFile, Line, SegmentFile, SegmentIndex};
use crate::fs::sys;

/// How many lines are looked up in an index file at once.
const LOOKUP_LINES: u64 = 1_024;
/// How many bytes of the segment one read returns when lines are read in file order.
const WINDOW_BYTES: usize = 128 << 10;
/// A line at most this many bytes after the previous one counts as in file order.
const MAX_GAP_BYTES: u64 = 4 << 10;

/// Which lines of a segment to iterate over, and in which order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineSelection<'a> {
    /// The first and the last timestamp, both inclusive.
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) order: Order,
    /// Lines are left out if the index tells that they do not meet one of these. Others may not meet them, too.
    pub(crate) conditions: &'a [Condition],
}

/// The selected lines of a segment.
#[derive(Debug)]
pub(crate) struct LineCursor {
    segment: Arc<SegmentFile>,
    order: Order,
    lines: VecDeque<Line>,
    /// The records of the index file whose lines are not in `lines` yet; empty for an index in memory.
    pending: Range<u64>,
    /// What `pending` are records of; `None`: all lines, by time.
    matches: Option<Matches>,
    window: Window,
}

impl LineCursor {
    pub(crate) fn new(segment: Arc<SegmentFile>, selection: LineSelection<'_>) -> io::Result<Self> {
        let LineSelection { start, end, order, conditions } = selection;
        let (mut lines, mut pending, mut matches) = (VecDeque::new(), 0..0, None);
        match &segment.index {
            SegmentIndex::InMemory(_) => {
                let is_in_range = |line: &Line| (start..=end).contains(&line.timestamp);
                let mut found = segment.memory_index().map_or_else(Vec::new, |index| {
                    match index.matching(conditions) {
                        Some(found) => found.into_iter().filter(is_in_range).collect(),
                        None => index.lines().filter(is_in_range).collect(),
                    }
                });
                found.sort_by_key(|line| line.timestamp); // stable: ties stay in write order
                if order == Order::Descending {
                    found.reverse();
                }
                lines = found.into();
            }
            SegmentIndex::OnDisk(index) => match index.matching(conditions)? {
                Some(found) if found.records.is_empty() => {}
                Some(found) => {
                    let found = index.with_lines(&found, in_range(index, start, end)?)?;
                    pending = found.records.clone();
                    matches = Some(found);
                }
                None => pending = in_range(index, start, end)?,
            },
        }
        Ok(Self { segment, order, lines, pending, matches, window: Window::default() })
    }

    /// The next line; [`advance`](Self::advance) moves past it.
    pub(crate) fn peek(&mut self) -> io::Result<Option<Line>> {
        if self.lines.is_empty()
            && let SegmentIndex::OnDisk(index) = &self.segment.index
        {
            let Range { start, end } = self.pending;
            let count = LOOKUP_LINES.min(end.saturating_sub(start));
            let load = |first| match &self.matches {
                Some(matches) => index.lines_of(matches, first..first + count),
                None => index.lines_from(first, count),
            };
            match self.order {
                Order::Ascending => {
                    self.lines = load(start)?.into();
                    self.pending = start + count..end;
                }
                Order::Descending => {
                    self.lines = load(end - count)?.into_iter().rev().collect();
                    self.pending = start..end - count;
                }
            }
        }
        Ok(self.lines.front().copied())
    }

    pub(crate) fn advance(&mut self) {
        self.lines.pop_front();
    }

    /// Reads the bytes of a line of this segment.
    pub(crate) fn read(&mut self, line: Line) -> io::Result<&[u8]> {
        self.window.read(&self.segment, line)
    }
}

/// The numbers by time of the lines from `start` to `end`, both inclusive.
fn in_range(index: &IndexFile, start: Timestamp, end: Timestamp) -> io::Result<Range<u64>> {
    let first = index.first_at_or_after(start)?;
    let after = match Timestamp::from_unix_micros(end.unix_micros() + 1) {
        Ok(after) => index.first_at_or_after(after)?,
        Err(_) => index.lines(),
    };
    Ok(first..after)
}

/// A part of a segment, read ahead when lines are read in file order.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    /// The first `filled` bytes are of the segment.
    bytes: Vec<u8>,
    filled: usize,
    last_end: Option<u64>,
}

impl Window {
    /// Reads `line`, without its line break.
    fn read(&mut self, segment: &SegmentFile, line: Line) -> io::Result<&[u8]> {
        let length = line.length as usize;
        let end = line.offset + u64::from(line.length);
        if line.offset < self.start || end > self.start + self.filled as u64 {
            let in_file_order = self
                .last_end
                .is_some_and(|last| line.offset >= last && line.offset - last <= MAX_GAP_BYTES);
            let wanted = if in_file_order { length.max(WINDOW_BYTES) } else { length };
            if self.bytes.len() < wanted {
                // Zeroed by the allocator, which is cheaper than `resize` does it.
                self.bytes = vec![0; wanted];
            }
            (self.start, self.filled) = (line.offset, 0);
            while self.filled < wanted {
                let buffer = &mut self.bytes[self.filled..wanted];
                match sys::read_at(&segment.handle, buffer, line.offset + self.filled as u64)? {
                    0 => break,
                    count => self.filled += count,
                }
            }
            if self.filled < length {
                self.last_end = None;
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.last_end = Some(end);
        // An offset within the window fits into usize.
        let at = (line.offset - self.start) as usize;
        Ok(&self.bytes[at..at + length])
    }
}
