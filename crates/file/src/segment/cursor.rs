//! Iterates over a segment's lines in time order and reads them, in bounded memory.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use attestry_core::{Order, Timestamp};

use super::{Line, SegmentFile, SegmentIndex};
use crate::fs::sys;

/// How many lines are looked up in an index file at once.
const LOOKUP_LINES: u64 = 1_024;
/// How many bytes of the segment one read returns when lines are read in file order.
const WINDOW_BYTES: usize = 128 << 10;
/// A line at most this many bytes after the previous one counts as in file order.
const MAX_GAP_BYTES: u64 = 4 << 10;

/// The lines of a segment in a time range.
#[derive(Debug)]
pub(crate) struct LineCursor {
    segment: Arc<SegmentFile>,
    order: Order,
    lines: VecDeque<Line>,
    /// The numbers of the lines in the index file that are not in `lines` yet; empty for an index in memory.
    pending: Range<u64>,
    window: Window,
}

impl LineCursor {
    /// Both ends of the range are inclusive.
    pub(crate) fn new(
        segment: Arc<SegmentFile>,
        start: Timestamp,
        end: Timestamp,
        order: Order,
    ) -> io::Result<Self> {
        let (lines, pending) = match &segment.index {
            SegmentIndex::InMemory(_) => {
                let index = segment.memory_index();
                let lines = index.iter().flat_map(|index| index.lines());
                let mut lines: Vec<_> =
                    lines.filter(|line| (start..=end).contains(&line.timestamp)).collect();
                lines.sort_by_key(|line| line.timestamp); // stable: ties stay in write order
                if order == Order::Descending {
                    lines.reverse();
                }
                (lines.into(), 0..0)
            }
            SegmentIndex::OnDisk(index) => {
                let first = index.first_at_or_after(start)?;
                let after = match Timestamp::from_unix_micros(end.unix_micros() + 1) {
                    Ok(after) => index.first_at_or_after(after)?,
                    Err(_) => index.lines(),
                };
                (VecDeque::new(), first..after)
            }
        };
        Ok(Self { segment, order, lines, pending, window: Window::default() })
    }

    /// The next line; [`advance`](Self::advance) moves past it.
    pub(crate) fn peek(&mut self) -> io::Result<Option<Line>> {
        if self.lines.is_empty()
            && let SegmentIndex::OnDisk(index) = &self.segment.index
        {
            let Range { start, end } = self.pending;
            let count = LOOKUP_LINES.min(end.saturating_sub(start));
            match self.order {
                Order::Ascending => {
                    self.lines = index.lines_from(start, count)?.into();
                    self.pending = start + count..end;
                }
                Order::Descending => {
                    let lines = index.lines_from(end - count, count)?;
                    self.lines = lines.into_iter().rev().collect();
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

/// A part of a segment, read ahead when lines are read in file order.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    last_end: Option<u64>,
}

impl Window {
    /// Reads `line`, without its line break.
    fn read(&mut self, segment: &SegmentFile, line: Line) -> io::Result<&[u8]> {
        let length = line.length as usize;
        let end = line.offset + u64::from(line.length);
        if line.offset < self.start || end > self.start + self.bytes.len() as u64 {
            let in_file_order = self
                .last_end
                .is_some_and(|last| line.offset >= last && line.offset - last <= MAX_GAP_BYTES);
            let wanted = if in_file_order { length.max(WINDOW_BYTES) } else { length };
            self.bytes.resize(wanted, 0);
            self.start = line.offset;
            let mut filled = 0;
            while filled < wanted {
                let buffer = &mut self.bytes[filled..];
                match sys::read_at(&segment.handle, buffer, line.offset + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            self.bytes.truncate(filled);
            if filled < length {
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
