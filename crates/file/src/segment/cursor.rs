//! Walking a segment's lines in the order of time, and reading them, in bounded memory.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use attestry_core::{Order, Timestamp};

use super::{Body, Line, Lines};
use crate::fs::sys;

/// So many lines are looked up at once.
const LOOKED_UP: u64 = 1_024;
/// So much of the file is read at once where lines follow each other.
const WINDOW_BYTES: usize = 128 << 10;
/// Lines no further apart than this are read together.
const NEAR_BYTES: u64 = 4 << 10;

/// The lines of a segment in a range of time, one after the other.
#[derive(Debug)]
pub(crate) struct Cursor {
    body: Arc<Body>,
    order: Order,
    lines: VecDeque<Line>,
    /// Lines of the index file that are not looked up yet, by number; empty for one in memory.
    rest: (u64, u64),
    window: Window,
}

impl Cursor {
    pub(crate) fn new(
        body: Arc<Body>,
        start: Timestamp,
        end: Timestamp,
        order: Order,
    ) -> io::Result<Self> {
        let (lines, rest) = match &body.lines {
            Lines::Live(_) => {
                let index = body.live();
                let lines = index.iter().flat_map(|index| index.lines());
                let mut lines: Vec<_> =
                    lines.filter(|line| (start..=end).contains(&line.timestamp)).collect();
                lines.sort_by_key(|line| line.timestamp); // stable: ties stay as written
                if order == Order::Descending {
                    lines.reverse();
                }
                (lines.into(), (0, 0))
            }
            Lines::Sealed(index) => {
                let first = index.first_at_or_after(start)?;
                let behind = match Timestamp::from_unix_micros(end.unix_micros() + 1) {
                    Ok(behind) => index.first_at_or_after(behind)?,
                    Err(_) => index.lines(),
                };
                (VecDeque::new(), (first, behind))
            }
        };
        Ok(Self { body, order, lines, rest, window: Window::default() })
    }

    /// The next line, which stays the next until it is taken.
    pub(crate) fn peek(&mut self) -> io::Result<Option<Line>> {
        if self.lines.is_empty()
            && let Lines::Sealed(index) = &self.body.lines
        {
            let (first, behind) = self.rest;
            let count = LOOKED_UP.min(behind.saturating_sub(first));
            match self.order {
                Order::Ascending => {
                    self.lines = index.lines_from(first, count)?.into();
                    self.rest = (first + count, behind);
                }
                Order::Descending => {
                    let lines = index.lines_from(behind - count, count)?;
                    self.lines = lines.into_iter().rev().collect();
                    self.rest = (first, behind - count);
                }
            }
        }
        Ok(self.lines.front().copied())
    }

    /// Passes over the line that [`peek`](Self::peek) showed.
    pub(crate) fn advance(&mut self) {
        self.lines.pop_front();
    }

    /// The bytes of a line of this segment.
    pub(crate) fn read(&mut self, line: Line) -> io::Result<&[u8]> {
        self.window.read(&self.body, line)
    }
}

/// A part of a segment's file, read ahead where lines follow each other.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    last_end: Option<u64>,
}

impl Window {
    /// The bytes of `line`, without its line break.
    fn read(&mut self, body: &Body, line: Line) -> io::Result<&[u8]> {
        let length = line.length as usize;
        let end = line.offset + u64::from(line.length);
        if line.offset < self.start || end > self.start + self.bytes.len() as u64 {
            let follows = self
                .last_end
                .is_some_and(|last| line.offset >= last && line.offset - last <= NEAR_BYTES);
            let wanted = if follows { length.max(WINDOW_BYTES) } else { length };
            self.bytes.resize(wanted, 0);
            self.start = line.offset;
            let mut filled = 0;
            while filled < wanted {
                match sys::read_at(
                    &body.file,
                    &mut self.bytes[filled..],
                    line.offset + filled as u64,
                )? {
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
        // Within the window, which is far smaller than memory.
        let at = (line.offset - self.start) as usize;
        Ok(&self.bytes[at..at + length])
    }
}
