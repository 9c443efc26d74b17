//! Iterates over the lines of a segment with their leaf hashes.

use std::fs::File;
use std::io;

use attestry_core::MAX_LINE_BYTES;
use attestry_evidence::{Hash, LeafHasher, leaf_hash};

use crate::fs::sys;

const CHUNK_BYTES: usize = 256 << 10;

/// A complete line that is not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashedLine {
    pub(super) offset: u64,
    /// In bytes, without the line break.
    pub(super) length: u64,
    pub(super) hash: Hash,
}

impl HashedLine {
    /// Start of the next line.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.length + 1
    }
}

/// Reads in bounded memory: a line longer than any entry may be is hashed in pieces.
#[derive(Debug)]
pub(super) struct LineHashes<'a> {
    file: &'a File,
    /// Start of the next line.
    next: u64,
    end: u64,
    /// Bytes from `next` on, behind the first `used`.
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> LineHashes<'a> {
    /// The lines from `offset`, which is the start of one, to `end`.
    pub(super) fn new(file: &'a File, offset: u64, end: u64) -> Self {
        Self { file, next: offset, end, buffer: Vec::new(), used: 0 }
    }

    /// Start of the next line; at the end, of an incomplete line.
    pub(super) fn offset(&self) -> u64 {
        self.next
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<HashedLine>> {
        loop {
            let rest = &self.buffer[self.used..];
            if let Some(length) = memchr::memchr(b'\n', rest) {
                let line = &rest[..length];
                let offset = self.next;
                self.used += length + 1;
                self.next += length as u64 + 1;
                // An entry starts with a brace, which spares a second pass over its line.
                if line.first() == Some(&b'{') || !line.trim_ascii().is_empty() {
                    let hash = leaf_hash(line);
                    return Ok(Some(HashedLine { offset, length: length as u64, hash }));
                }
                continue;
            }
            if rest.len() > MAX_LINE_BYTES {
                return self.long_line();
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next chunk; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let buffered = self.buffer.len();
        let from = self.next + buffered as u64;
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        self.buffer.resize(buffered + CHUNK_BYTES.min(left), 0);
        let count = sys::read_at(self.file, &mut self.buffer[buffered..], from)?;
        self.buffer.truncate(buffered + count);
        Ok(count > 0)
    }

    fn long_line(&mut self) -> io::Result<Option<HashedLine>> {
        let offset = self.next;
        let mut hasher = LeafHasher::new();
        let mut length = 0;
        loop {
            let rest = &self.buffer[self.used..];
            let (part, ended) = match memchr::memchr(b'\n', rest) {
                Some(at) => (&rest[..at], true),
                None => (rest, false),
            };
            hasher.update(part);
            length += part.len() as u64;
            self.used += part.len() + usize::from(ended);
            self.next += part.len() as u64 + u64::from(ended);
            if ended {
                return Ok(Some(HashedLine { offset, length, hash: hasher.finish() }));
            }
            if !self.fill()? {
                self.next = offset; // incomplete
                return Ok(None);
            }
        }
    }
}

/// The line whose line break is the last byte before `end`; `None` if that byte is something else.
pub(super) fn line_before(file: &File, end: u64) -> io::Result<Option<Vec<u8>>> {
    if end == 0 {
        return Ok(None);
    }
    let mut from = end - 1;
    let mut line = Vec::new();
    let mut last = [0];
    match sys::read_exact_at(file, &mut last, from) {
        Ok(()) if last == *b"\n" => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    while from > 0 && line.len() <= MAX_LINE_BYTES {
        let count = from.min(4_096);
        let mut part = vec![0; count as usize];
        sys::read_exact_at(file, &mut part, from - count)?;
        if let Some(at) = memchr::memrchr(b'\n', &part) {
            part.drain(..=at);
            from = 0;
        } else {
            from -= count;
        }
        part.append(&mut line);
        line = part;
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn nonblank_lines_are_found_with_offsets() {
        let long = "x".repeat(CHUNK_BYTES * 2);
        let text = format!("a\n\n   \n{long}\n b\r\ntorn");
        let file = file(text.as_bytes());
        let mut lines = LineHashes::new(&file, 0, text.len() as u64);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let (from, to) = (line.offset as usize, (line.offset + line.length) as usize);
            assert_eq!(line.hash, leaf_hash(&text.as_bytes()[from..to]));
            found.push(&text[from..to]);
        }
        assert_eq!(found, ["a", &long, " b\r"]);
        assert_eq!(lines.offset(), text.len() as u64 - 4);
    }

    #[test]
    fn line_too_long_for_memory_is_hashed() {
        let mut text = b"a\n".to_vec();
        text.resize(text.len() + MAX_LINE_BYTES + CHUNK_BYTES + 17, b'x');
        let length = text.len() - 2;
        text.extend_from_slice(b"\nb\n");
        let file = file(&text);
        let mut lines = LineHashes::new(&file, 2, text.len() as u64);
        let line = lines.next().unwrap().unwrap();
        assert_eq!((line.offset, line.length), (2, length as u64));
        assert_eq!(line.hash, leaf_hash(&text[2..2 + length]));
        assert_eq!(lines.next().unwrap().unwrap().hash, leaf_hash(b"b"));
        // Incomplete without its line break.
        let mut lines = LineHashes::new(&file, 2, line.end() - 1);
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.offset(), 2);
    }

    #[test]
    fn line_before_an_offset_is_found() {
        let long = "y".repeat(10_000);
        let text = format!("a\n{long}\nc\ntorn");
        let file = file(text.as_bytes());
        let before = |end: usize| {
            line_before(&file, end as u64).unwrap().map(|line| String::from_utf8(line).unwrap())
        };
        assert_eq!(before(2).as_deref(), Some("a"));
        assert_eq!(before(long.len() + 3), Some(long.clone()));
        assert_eq!(before(long.len() + 5).as_deref(), Some("c"));
        assert_eq!(before(1), None);
        assert_eq!(before(0), None);
        assert_eq!(before(text.len()), None);
        assert_eq!(before(text.len() + 9), None);
    }
}
