//! What is known of a segment's lines without reading them again.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use attestry_core::{AuditEntry, EntryId, Timestamp, line};

use super::reader::{RawLine, for_each_line, read_line};

/// One readable line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: u64,
    /// In bytes, without the line break; 0 once the line was erased.
    pub(crate) length: u32,
}

/// A line that holds no entry.
#[derive(Debug, Clone)]
pub(crate) struct BadLine {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) reason: String,
}

/// The lines of a segment up to `covered`, in the order written, and where each id is.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lines: Vec<Line>,
    /// By a hash of the id: the first line that has it. What a hash says is checked on the line.
    first: HashMap<u64, u32>,
    /// Further lines of the same hash.
    further: Vec<(u64, u32)>,
    bad: Vec<BadLine>,
    live: u64,
    covered: u64,
    last_id: u64,
}

impl Index {
    /// Takes in what `file`, now `length` bytes long, has gained. Where the part that is known has
    /// changed under us, as when the Python package rewrote the file, starts over.
    /// `being_erased` tells whether the line at an offset is half overwritten on purpose.
    pub(crate) fn extend(
        &mut self,
        file: &File,
        length: u64,
        being_erased: impl Fn(u64) -> bool,
    ) -> io::Result<()> {
        if length == self.covered {
            return Ok(());
        }
        if length < self.covered || !self.still_holds(file)? {
            *self = Self::default();
        }
        let mut index = std::mem::take(self);
        let covered = for_each_line(file, index.covered, length, |offset, raw| match raw {
            RawLine::Bytes(bytes) => index.take_in(offset, bytes, &being_erased),
            RawLine::TooLong(length) => index.bad.push(BadLine {
                offset,
                length,
                reason: format!(
                    "the line has {length} bytes; at most {} are allowed",
                    line::MAX_LINE_BYTES
                ),
            }),
        })?;
        index.covered = covered;
        *self = index;
        Ok(())
    }

    fn take_in(&mut self, offset: u64, bytes: &[u8], being_erased: &impl Fn(u64) -> bool) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        match line::decode(bytes) {
            Ok(entry) => self.push(offset, bytes.len(), &entry),
            Err(_) if bytes.starts_with(b" ") && being_erased(offset) => {}
            Err(error) => self.bad.push(BadLine {
                offset,
                length: bytes.len() as u64,
                reason: error.to_string(),
            }),
        }
    }

    fn push(&mut self, offset: u64, length: usize, entry: &AuditEntry) {
        // A line is at most 64 MiB, and memory ends long before 2^32 lines.
        let (Ok(length), Ok(number)) = (u32::try_from(length), u32::try_from(self.lines.len()))
        else {
            return;
        };
        let hash = hash_of(&entry.id);
        self.lines.push(Line { timestamp: entry.timestamp, offset, length });
        if *self.first.entry(hash).or_insert(number) != number {
            self.further.push((hash, number));
        }
        self.last_id = hash;
        self.live += 1;
    }

    /// Whether the last line known is still where it was.
    fn still_holds(&self, file: &File) -> io::Result<bool> {
        let Some(last) = self.lines.last() else { return Ok(self.covered == 0) };
        if last.length == 0 {
            return Ok(true); // erased by this process, which tells the index
        }
        match read_line(file, last.offset, last.length) {
            Ok(bytes) => {
                Ok(line::decode(&bytes).is_ok_and(|entry| hash_of(&entry.id) == self.last_id))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lines that may have the id, in the order written.
    pub(crate) fn candidates(&self, id: &EntryId) -> Vec<Line> {
        let hash = hash_of(id);
        let first = self.first.get(&hash).copied();
        let further = self.further.iter().filter(|(h, _)| *h == hash && first.is_some());
        let mut numbers: Vec<u32> = first.into_iter().chain(further.map(|(_, n)| *n)).collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|n| self.lines[n as usize]).filter(|line| line.length > 0).collect()
    }

    /// Readable lines, in the order written.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.length > 0)
    }

    pub(crate) fn bad(&self) -> &[BadLine] {
        &self.bad
    }

    /// How many lines hold a record, readable or not.
    pub(crate) fn records(&self) -> u64 {
        self.live + self.bad.len() as u64
    }

    /// Up to where the file has been read: the end of its last line break.
    pub(crate) fn covered(&self) -> u64 {
        self.covered
    }

    /// Forgets the line at `offset`, which was erased.
    pub(crate) fn erase(&mut self, offset: u64) {
        if let Ok(at) = self.lines.binary_search_by_key(&offset, |line| line.offset)
            && self.lines[at].length > 0
        {
            self.lines[at].length = 0;
            self.live -= 1;
        }
    }
}

fn hash_of(id: &EntryId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.as_str().hash(&mut hasher);
    hasher.finish()
}
