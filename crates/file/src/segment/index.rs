//! What is known of a segment's lines, in memory: of the active segment, and of others while their
//! index file is made.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use attestry_core::{AuditEntry, EntryId, Timestamp, line};
use sha2::{Digest, Sha256};

use super::lines::{RawLine, for_each_line, may_be_erased, read_line};

/// How often progress is told.
const PROGRESS_BYTES: u64 = 256 << 10;

/// Where a readable line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: u64,
    /// In bytes, without the line break.
    pub(crate) length: u32,
}

/// A line that holds no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A line with the hash of its id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed {
    pub(super) line: Line,
    pub(super) hash: u64,
    pub(super) erased: bool,
}

impl Indexed {
    /// The end of its line break.
    fn end(&self) -> u64 {
        self.line.offset + u64::from(self.line.length) + 1
    }

    /// Whether `bytes` are its line.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let same = |entry: AuditEntry| {
            entry.timestamp == self.line.timestamp && hash_of(&entry.id) == self.hash
        };
        line::decode(bytes).is_ok_and(same)
    }
}

/// The bytes of `line`; `None` where no line ends there any more.
fn whole_line(file: &File, line: Line) -> io::Result<Option<Vec<u8>>> {
    match read_line(file, line.offset, line.length.saturating_add(1)) {
        Ok(mut bytes) => Ok((bytes.pop() == Some(b'\n')).then_some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines of a segment up to `covered`, in the order written, and where each id is.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lines: Vec<Indexed>,
    /// By the hash of the id: the first line that has it. What a hash says is checked on the line.
    first: HashMap<u64, u32>,
    /// Further lines of the same hash.
    further: Vec<(u64, u32)>,
    bad: Vec<BadLine>,
    erased: u64,
    covered: u64,
    /// Up to where an index file says the same; 0 when none does.
    saved: u64,
}

impl Index {
    /// An index of lines that were known before, up to `covered`; `None` when the last of them is not
    /// where it was: another program has rewritten the file, and all before it may have moved.
    pub(super) fn restore(
        file: &File,
        lines: Vec<Indexed>,
        mut bad: Vec<BadLine>,
        covered: u64,
    ) -> io::Result<Option<Self>> {
        let Some(last) = lines.last() else { return Ok(None) };
        if !whole_line(file, last.line)?.is_some_and(|bytes| last.is_in(&bytes)) {
            return Ok(None);
        }
        // What follows it is read again: where lines were blank, there may be others by now.
        let end = last.end();
        bad.retain(|bad| bad.offset < end);
        let mut index = Self { bad, covered: end, saved: covered, ..Self::default() };
        index.lines.reserve(lines.len());
        index.first.reserve(lines.len());
        lines.into_iter().for_each(|known| index.push(known.line, known.hash));
        Ok(Some(index))
    }

    /// Takes in what `file`, now `length` bytes long, has gained. Where the part that is known has
    /// changed under us, as when the Python package rewrote the file, starts over.
    /// `being_erased` tells whether a line, by its offset and length, is half overwritten on purpose;
    /// `progress` hears of bytes that were read, now and then.
    pub(crate) fn extend(
        &mut self,
        file: &File,
        length: u64,
        being_erased: impl Fn(u64, usize) -> bool,
        progress: impl Fn(u64),
    ) -> io::Result<()> {
        if length == self.covered {
            return Ok(());
        }
        if length < self.covered {
            *self = Self::default();
        }
        if !self.still_holds(file)? {
            *self = Self::default();
        }
        let mut told = self.covered;
        let covered = for_each_line(file, self.covered, length, |offset, raw| {
            if offset - told >= PROGRESS_BYTES {
                progress(offset - told);
                told = offset;
            }
            let length = match raw {
                RawLine::Bytes(bytes) => {
                    self.take_in(offset, bytes, &being_erased);
                    bytes.len() as u64
                }
                RawLine::TooLong(length) => {
                    self.bad.push(BadLine { offset, length });
                    length
                }
            };
            // Should reading on fail, this line is known all the same, and not taken in twice.
            self.covered = offset + length + 1;
        })?;
        progress(length.saturating_sub(told));
        self.covered = covered;
        Ok(())
    }

    fn take_in(&mut self, offset: u64, bytes: &[u8], being_erased: &impl Fn(u64, usize) -> bool) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        match line::decode(bytes) {
            // A line is at most 64 MiB.
            Ok(entry) => {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let line = Line { timestamp: entry.timestamp, offset, length };
                self.push(line, hash_of(&entry.id));
            }
            Err(_) if may_be_erased(bytes) && being_erased(offset, bytes.len()) => {}
            Err(_) => self.bad.push(BadLine { offset, length: bytes.len() as u64 }),
        }
    }

    fn push(&mut self, line: Line, hash: u64) {
        // Memory ends long before 2^32 lines.
        let Ok(number) = u32::try_from(self.lines.len()) else { return };
        self.lines.push(Indexed { line, hash, erased: false });
        if *self.first.entry(hash).or_insert(number) != number {
            self.further.push((hash, number));
        }
    }

    /// Whether the last line known is still where it was, and nothing but what is known follows it:
    /// otherwise another program has rewritten the file.
    pub(crate) fn still_holds(&self, file: &File) -> io::Result<bool> {
        let last = self.lines.iter().rfind(|known| !known.erased);
        let mut end = 0;
        if let Some(last) = last {
            let Some(bytes) = whole_line(file, last.line)? else { return Ok(false) };
            // Erased lines may not be noticed yet.
            if !may_be_erased(&bytes) && !last.is_in(&bytes) {
                return Ok(false);
            }
            end = last.end();
        }
        if end == self.covered {
            return Ok(true);
        }
        let mut bad = self.bad[self.bad.partition_point(|bad| bad.offset < end)..].iter();
        let mut same = true;
        let covered = for_each_line(file, end, self.covered, |offset, raw| {
            let length = match raw {
                RawLine::Bytes(bytes) if bytes.trim_ascii().is_empty() => return,
                RawLine::Bytes(bytes) => bytes.len() as u64,
                RawLine::TooLong(length) => length,
            };
            same &= bad.next() == Some(&BadLine { offset, length });
        })?;
        Ok(same && covered == self.covered)
    }

    /// Looks for lines that another process has erased.
    pub(crate) fn notice_erased(&mut self, file: &File) -> io::Result<()> {
        let mut lines = self.lines.iter_mut().filter(|known| !known.erased).peekable();
        let mut erased = 0;
        for_each_line(file, 0, self.covered, |offset, raw| {
            while lines.next_if(|known| known.line.offset < offset).is_some() {}
            let Some(known) = lines.next_if(|known| known.line.offset == offset) else { return };
            // An entry's line may begin with spaces too; then it can be read.
            let blank = matches!(raw, RawLine::Bytes(bytes)
                if may_be_erased(bytes) && line::decode(bytes).is_err());
            if blank {
                known.erased = true;
                erased += 1;
            }
        })?;
        self.erased += erased;
        if erased > 0 {
            self.saved = 0;
        }
        Ok(())
    }

    /// Lines that may have an id of `hash`, in the order written.
    pub(crate) fn candidates(&self, hash: u64) -> Vec<Line> {
        let Some(&first) = self.first.get(&hash) else { return Vec::new() };
        let further = self.further.iter().filter(|(h, _)| *h == hash).map(|(_, number)| *number);
        std::iter::once(first)
            .chain(further)
            .map(|number| self.lines[number as usize])
            .filter(|known| !known.erased)
            .map(|known| known.line)
            .collect()
    }

    /// Readable lines, in the order written.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> {
        self.lines.iter().filter(|known| !known.erased).map(|known| known.line)
    }

    pub(super) fn known(&self) -> &[Indexed] {
        &self.lines
    }

    pub(crate) fn bad(&self) -> &[BadLine] {
        &self.bad
    }

    /// How many lines hold a record, readable or not.
    pub(crate) fn records(&self) -> u64 {
        self.lines.len() as u64 + self.bad.len() as u64 - self.erased
    }

    /// Up to where the file has been read: the end of its last line break.
    pub(crate) fn covered(&self) -> u64 {
        self.covered
    }

    /// Forgets the line at `offset`, which was erased.
    pub(crate) fn erase(&mut self, offset: u64) {
        if let Ok(at) = self.lines.binary_search_by_key(&offset, |known| known.line.offset)
            && !self.lines[at].erased
        {
            self.lines[at].erased = true;
            self.erased += 1;
            self.saved = 0;
        }
    }

    /// How many bytes of the segment no index file speaks of.
    pub(crate) fn unsaved(&self) -> u64 {
        self.covered.saturating_sub(self.saved)
    }

    /// An index file now says what this says.
    pub(crate) fn set_saved(&mut self) {
        self.saved = self.covered;
    }
}

/// The first 64 bits of the SHA-256 of an id. Stable, since index files hold it, and evenly spread
/// whatever ids a caller chooses.
pub(crate) fn hash_of(id: &EntryId) -> u64 {
    let digest = Sha256::digest(id.as_str().as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
