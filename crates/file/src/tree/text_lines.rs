//! Reads text line by line in bounded memory and time, also from a sparse file of any length.

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::fs::sys;

/// Longer than any line of the files of a tree and of checkpoints.
pub(super) const MAX_LINE_BYTES: usize = 256 << 10;

/// How much of a longer line is skipped before the rest of the file is given up.
const MAX_SKIPPED_BYTES: usize = 64 << 20;

const CHUNK_BYTES: u64 = 64 << 10;

/// A line without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextLine<'a> {
    Whole(&'a str),
    /// It has no line break, is longer than [`MAX_LINE_BYTES`], or is not UTF-8.
    Invalid,
}

/// Iterates over the lines of a part of a file.
#[derive(Debug)]
pub(super) struct TextLines<'a> {
    file: &'a File,
    /// What was not read yet.
    rest: Range<u64>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were returned.
    used: usize,
    given_up: bool,
}

impl<'a> TextLines<'a> {
    /// The lines in these bytes of `file`, of which the first begins there.
    pub(super) fn new(file: &'a File, bytes: Range<u64>) -> Self {
        Self { file, rest: bytes, buffer: Vec::new(), used: 0, given_up: false }
    }

    /// The offset of the next line.
    pub(super) fn offset(&self) -> u64 {
        self.rest.start - (self.buffer.len() - self.used) as u64
    }

    /// The next line; `None` at the end, and behind a line that is longer than any file needs.
    pub(super) fn next(&mut self) -> io::Result<Option<TextLine<'_>>> {
        let mut searched = 0;
        let mut skipped = 0;
        loop {
            let rest = &self.buffer[self.used..];
            if let Some(at) = memchr::memchr(b'\n', &rest[searched..]) {
                let line = self.used..self.used + searched + at;
                self.used = line.end + 1;
                let line = std::str::from_utf8(&self.buffer[line]).ok().filter(|_| skipped == 0);
                return Ok(Some(line.map_or(TextLine::Invalid, TextLine::Whole)));
            }
            searched = rest.len();
            if searched > MAX_LINE_BYTES {
                skipped += searched;
                (self.used, searched) = (self.buffer.len(), 0);
                self.given_up |= skipped > MAX_SKIPPED_BYTES;
            }
            if self.given_up || !self.fill()? {
                let left = self.buffer.len() - self.used;
                self.used = self.buffer.len();
                self.rest.start = if self.given_up { self.rest.end } else { self.rest.start };
                return Ok((left + skipped > 0).then_some(TextLine::Invalid));
            }
        }
    }

    /// Reads the next chunk; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let count = self.rest.end.saturating_sub(self.rest.start).min(CHUNK_BYTES) as usize;
        let buffered = self.buffer.len();
        self.buffer.resize(buffered + count, 0);
        let read = sys::read_at(self.file, &mut self.buffer[buffered..], self.rest.start)?;
        self.buffer.truncate(buffered + read);
        self.rest.start += read as u64;
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn all(file: &File, bytes: Range<u64>) -> Vec<(u64, Option<String>)> {
        let mut lines = TextLines::new(file, bytes);
        let mut found = Vec::new();
        loop {
            let offset = lines.offset();
            match lines.next().unwrap() {
                None => return found,
                Some(TextLine::Whole(line)) => found.push((offset, Some(line.to_owned()))),
                Some(TextLine::Invalid) => found.push((offset, None)),
            }
        }
    }

    #[test]
    fn lines_are_found_with_their_offsets() {
        let file = tempfile::tempfile().unwrap();
        let long = "x".repeat(MAX_LINE_BYTES - 1);
        let too_long = "y".repeat(3 * MAX_LINE_BYTES);
        file.write_all_at(format!("a\n\n{long}\n{too_long}\nb\nc").as_bytes(), 0).unwrap();
        let end = file.metadata().unwrap().len();
        let after = 3 + long.len() as u64 + 1;
        let last = after + too_long.len() as u64 + 1;
        let text = |text: &str| Some(text.to_owned());
        let expected =
            [(0, text("a")), (2, text("")), (3, text(&long)), (after, None), (last, text("b"))];
        assert_eq!(all(&file, 0..end - 1), expected);
        assert_eq!(all(&file, 0..end)[5..], [(end - 1, None)], "without a line break");
        assert_eq!(all(&file, 2..3), [(2, text(""))]);
        assert_eq!(all(&file, 3..3), []);
        file.write_all_at(b"\xff", 0).unwrap();
        assert_eq!(all(&file, 0..2), [(0, None)]);
    }

    /// Nothing but holes: given up long before the end.
    #[test]
    fn sparse_file_is_one_invalid_line() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"a\n", 0).unwrap();
        file.set_len(1 << 42).unwrap();
        assert_eq!(all(&file, 0..1 << 42), [(0, Some("a".to_owned())), (2, None)]);
    }
}
