//! The index of a segment in memory: of the active segment, and of sealed ones until their index file is
//! written.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use attestry_core::{AuditEntry, MAX_LINE_BYTES, Timestamp, line};

use super::bloom::{HashedId, hash_id};
use super::lines::{RawLine, for_each_line, may_be_erased, read_line};
use super::postings::SecondaryIndex;
use super::terms::{Condition, IndexKey, IndexKeys, Term};
use crate::fs::sys;

/// How many bytes are read between two progress reports.
const PROGRESS_BYTES: u64 = 256 << 10;

/// The location of a valid line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: u64,
    /// In bytes, without the line break.
    pub(crate) length: u32,
}

/// A valid line that was just appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendedLine<'a> {
    pub(crate) line: Line,
    pub(crate) id_hash: u64,
    /// By the keys of the index that it is added to.
    pub(crate) terms: &'a [Term],
}

/// The location of a complete line that is not a valid entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CorruptLine {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A valid line with the hash of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexedLine {
    pub(super) line: Line,
    pub(super) hash: u64,
    pub(super) erased: bool,
}

impl IndexedLine {
    /// The offset after its line break.
    fn end(&self) -> u64 {
        self.line.offset + u64::from(self.line.length) + 1
    }

    /// Whether `bytes` are the line that was indexed.
    fn matches(&self, bytes: &[u8]) -> bool {
        line::decode(bytes).is_ok_and(|entry: AuditEntry| {
            entry.timestamp == self.line.timestamp && hash_id(&entry.id) == self.hash
        })
    }
}

/// Reads a line; `None` if no line ends at its end any more.
fn read_whole_line(file: &File, line: Line) -> io::Result<Option<Vec<u8>>> {
    match read_line(file, line.offset, line.length.saturating_add(1)) {
        Ok(mut bytes) => Ok((bytes.pop() == Some(b'\n')).then_some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines of the first `indexed_len` bytes of a segment, in write order, by id and by the texts of some keys.
#[derive(Debug)]
pub(crate) struct MemoryIndex {
    lines: Vec<IndexedLine>,
    secondary: SecondaryIndex,
    /// The number of the first line with an id hash. Equal hashes do not prove equal ids.
    first_by_hash: HashMap<u64, u32>,
    /// Later lines whose hash is in `first_by_hash` already.
    duplicates: Vec<(u64, u32)>,
    corrupt: Vec<CorruptLine>,
    erased: u64,
    /// The earliest and the latest timestamp of `lines`.
    time_bounds: Option<(Timestamp, Timestamp)>,
    indexed_len: u64,
    /// The last line ends at `indexed_len` without a line break: a whole entry that lost it, or one that is
    /// just being appended.
    has_open_tail: bool,
    /// The `indexed_len` of an index file that agrees with this index; 0 without one.
    saved_len: u64,
}

/// What an index file says of a segment.
#[derive(Debug)]
pub(super) struct SavedIndex {
    pub(super) lines: Vec<IndexedLine>,
    pub(super) secondary: SecondaryIndex,
    pub(super) corrupt: Vec<CorruptLine>,
    pub(super) indexed_len: u64,
}

impl MemoryIndex {
    /// The index of an empty segment.
    pub(crate) fn new(keys: IndexKeys) -> Self {
        Self::with_secondary(SecondaryIndex::new(keys))
    }

    fn with_secondary(secondary: SecondaryIndex) -> Self {
        Self {
            lines: Vec::new(),
            secondary,
            first_by_hash: HashMap::new(),
            duplicates: Vec::new(),
            corrupt: Vec::new(),
            erased: 0,
            time_bounds: None,
            indexed_len: 0,
            has_open_tail: false,
            saved_len: 0,
        }
    }

    /// Restores the index of the first bytes of `file`; `None` if the last line is not at its offset: then
    /// another program has rewritten the file, and all offsets may be wrong.
    pub(super) fn restore(file: &File, saved: SavedIndex) -> io::Result<Option<Self>> {
        let SavedIndex { lines, secondary, mut corrupt, indexed_len } = saved;
        let Some(last) = lines.last() else { return Ok(None) };
        if !read_whole_line(file, last.line)?.is_some_and(|bytes| last.matches(&bytes)) {
            return Ok(None);
        }
        // The bytes after the last line are read again: blank lines may have been replaced by others.
        let end = last.end();
        corrupt.retain(|corrupt| corrupt.offset < end);
        let mut index = Self {
            corrupt,
            indexed_len: end,
            saved_len: indexed_len,
            ..Self::with_secondary(secondary)
        };
        index.lines.reserve(lines.len());
        index.first_by_hash.reserve(lines.len());
        lines.into_iter().for_each(|indexed| index.push(indexed.line, indexed.hash, &[]));
        Ok(Some(index))
    }

    /// Indexes the lines that `file`, now `length` bytes long, has gained. Starts over if the indexed part
    /// has changed, as when the Python package has rewritten the file. `being_erased` tells whether the
    /// line at an offset, with a length, is in the middle of an erasure. `progress` is called with numbers of
    /// bytes read.
    pub(crate) fn extend(
        &mut self,
        file: &File,
        length: u64,
        being_erased: impl Fn(u64, usize) -> bool,
        progress: impl Fn(u64),
    ) -> io::Result<()> {
        if length == self.indexed_len {
            return Ok(());
        }
        if length < self.indexed_len || !self.close_tail(file)? || !self.is_current(file)? {
            *self = Self::new(self.secondary.keys().clone());
        }
        let mut terms = Vec::new();
        let mut reported = self.indexed_len;
        let indexed_len = for_each_line(file, self.indexed_len, length, |offset, raw| {
            if offset - reported >= PROGRESS_BYTES {
                progress(offset - reported);
                reported = offset;
            }
            let length = match raw {
                RawLine::Bytes(bytes) => {
                    self.add(offset, bytes, &mut terms, &being_erased);
                    bytes.len() as u64
                }
                RawLine::TooLong(length) => {
                    self.corrupt.push(CorruptLine { offset, length });
                    length
                }
            };
            // Per line, so that a read error later does not index this line twice.
            self.indexed_len = offset + length + 1;
        })?;
        progress(length.saturating_sub(reported));
        self.indexed_len = indexed_len;
        self.add_open_tail(file, length)
    }

    /// Indexes the rest of the segment, which has `length` bytes, if it is a whole entry.
    fn add_open_tail(&mut self, file: &File, length: u64) -> io::Result<()> {
        let offset = self.indexed_len;
        let Ok(tail @ 1..) = usize::try_from(length - offset) else { return Ok(()) };
        let mut last = [0];
        sys::read_exact_at(file, &mut last, length - 1)?;
        if tail > MAX_LINE_BYTES || last != *b"}" {
            return Ok(());
        }
        let length = u32::try_from(tail).unwrap_or(u32::MAX);
        if let Ok(entry) = line::decode(&read_line(file, offset, length)?) {
            let line = Line { timestamp: entry.timestamp, offset, length };
            let mut terms = Vec::new();
            self.secondary.keys().push_terms(&entry, &mut terms);
            self.push(line, hash_id(&entry.id), &terms);
            self.indexed_len = offset + u64::from(length);
            self.has_open_tail = true;
        }
        Ok(())
    }

    /// Notes that the last line has got its line break. Returns false if other bytes follow it.
    fn close_tail(&mut self, file: &File) -> io::Result<bool> {
        let mut next = [b'\n'];
        if self.has_open_tail {
            sys::read_exact_at(file, &mut next, self.indexed_len)?;
            self.indexed_len += 1;
            self.has_open_tail = false;
        }
        Ok(next == *b"\n")
    }

    /// Whether the last line has no line break.
    pub(crate) fn has_open_tail(&self) -> bool {
        self.has_open_tail
    }

    /// Indexes a complete line; `terms` is scratch space.
    fn add(
        &mut self,
        offset: u64,
        bytes: &[u8],
        terms: &mut Vec<Term>,
        being_erased: &impl Fn(u64, usize) -> bool,
    ) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        match line::decode(bytes) {
            // A line has at most 64 MiB.
            Ok(entry) => {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let line = Line { timestamp: entry.timestamp, offset, length };
                terms.clear();
                self.secondary.keys().push_terms(&entry, terms);
                self.push(line, hash_id(&entry.id), terms);
            }
            Err(_) if may_be_erased(bytes) && being_erased(offset, bytes.len()) => {}
            Err(_) => self.corrupt.push(CorruptLine { offset, length: bytes.len() as u64 }),
        }
    }

    /// Adds the line that follows what is indexed.
    pub(crate) fn push_appended(&mut self, appended: AppendedLine<'_>) {
        let AppendedLine { line, id_hash, terms } = appended;
        self.push(line, id_hash, terms);
        self.indexed_len = line.offset + u64::from(line.length) + 1;
    }

    fn push(&mut self, line: Line, hash: u64, terms: &[Term]) {
        // Memory runs out long before 2^32 lines.
        let Ok(number) = u32::try_from(self.lines.len()) else { return };
        self.lines.push(IndexedLine { line, hash, erased: false });
        let time = line.timestamp;
        let (earliest, latest) = self.time_bounds.unwrap_or((time, time));
        self.time_bounds = Some((earliest.min(time), latest.max(time)));
        if *self.first_by_hash.entry(hash).or_insert(number) != number {
            self.duplicates.push((hash, number));
        }
        self.secondary.push(terms, number);
    }

    /// Whether the last line is still at its offset and only what was indexed follows it. If not, another
    /// program has rewritten the file.
    pub(crate) fn is_current(&self, file: &File) -> io::Result<bool> {
        let last = self.lines.iter().rfind(|indexed| !indexed.erased);
        let mut end = 0;
        if let Some(last) = last.filter(|last| self.has_open_tail && last.end() > self.indexed_len)
        {
            return match read_line(file, last.line.offset, last.line.length) {
                Ok(bytes) => Ok(last.matches(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                Err(error) => Err(error),
            };
        }
        if let Some(last) = last {
            let Some(bytes) = read_whole_line(file, last.line)? else { return Ok(false) };
            // It may have been erased since.
            if !may_be_erased(&bytes) && !last.matches(&bytes) {
                return Ok(false);
            }
            end = last.end();
        }
        if end == self.indexed_len {
            return Ok(true);
        }
        let mut corrupt =
            self.corrupt[self.corrupt.partition_point(|line| line.offset < end)..].iter();
        let mut same = true;
        let indexed_len = for_each_line(file, end, self.indexed_len, |offset, raw| {
            let length = match raw {
                RawLine::Bytes(bytes) if bytes.trim_ascii().is_empty() => return,
                RawLine::Bytes(bytes) => bytes.len() as u64,
                RawLine::TooLong(length) => length,
            };
            same &= corrupt.next() == Some(&CorruptLine { offset, length });
        })?;
        Ok(same && indexed_len == self.indexed_len)
    }

    /// Marks the lines that another process has erased.
    pub(crate) fn detect_erased(&mut self, file: &File) -> io::Result<()> {
        if self.has_open_tail {
            *self = Self::new(self.secondary.keys().clone()); // rare; an erased line looks like a torn one
            return Ok(());
        }
        let mut lines = self.lines.iter_mut().filter(|indexed| !indexed.erased).peekable();
        let mut erased = 0;
        for_each_line(file, 0, self.indexed_len, |offset, raw| {
            while lines.next_if(|indexed| indexed.line.offset < offset).is_some() {}
            let Some(indexed) = lines.next_if(|indexed| indexed.line.offset == offset) else {
                return;
            };
            // A valid line may start with a space, too.
            let blank = matches!(raw, RawLine::Bytes(bytes)
                if may_be_erased(bytes) && line::decode(bytes).is_err());
            if blank {
                indexed.erased = true;
                erased += 1;
            }
        })?;
        self.erased += erased;
        if erased > 0 {
            self.saved_len = 0;
        }
        Ok(())
    }

    /// Whether it says the same as `made`, which was just made of the segment, of the bytes it covers.
    pub(crate) fn equals(&self, made: &Self) -> bool {
        let end = self.indexed_len;
        let lines = made.indexed().take_while(|indexed| indexed.line.offset < end);
        let corrupt = made.corrupt.iter().take_while(|corrupt| corrupt.offset < end);
        let same_terms = |key| {
            let made = made.terms(key).unwrap_or_default().into_iter();
            self.terms(key).unwrap_or_default().into_iter().eq(made.filter(|(_, at)| *at < end))
        };
        self.indexed().eq(lines)
            && self.corrupt.iter().eq(corrupt)
            && self.secondary.keys().iter().all(same_terms)
    }

    /// Lines whose id may be this one, in write order.
    pub(crate) fn lookup(&self, id: &HashedId) -> Vec<Line> {
        let Some(&first) = self.first_by_hash.get(&id.hash) else { return Vec::new() };
        let duplicates = self.duplicates.iter().filter(|(hash, _)| *hash == id.hash);
        std::iter::once(first)
            .chain(duplicates.map(|(_, number)| *number))
            .map(|number| self.lines[number as usize])
            .filter(|indexed| !indexed.erased)
            .map(|indexed| indexed.line)
            .collect()
    }

    /// Lines that may meet all of `conditions`, in write order: those that meet the most selective one by its
    /// hash. `None` if no condition is on an indexed key.
    pub(crate) fn matching(&self, conditions: &[Condition]) -> Option<Vec<Line>> {
        let candidates = self.secondary.candidates(conditions)?;
        let lines = candidates.into_iter().map(|number| self.lines[number as usize]);
        Some(lines.filter(|indexed| !indexed.erased).map(|indexed| indexed.line).collect())
    }

    /// The hashes of the texts of `key`, each with the offset of its line, sorted; `None` if it is not indexed.
    pub(super) fn terms(&self, key: &IndexKey) -> Option<Vec<(u64, u64)>> {
        let is_left = |line: u32| (!self.lines[line as usize].erased).then_some(line);
        let all = self.secondary.of_key(key)?.renumbered(is_left).into_iter();
        // Lines are in the order of their offsets.
        Some(all.map(|found| (found.hash, self.lines[found.line as usize].line.offset)).collect())
    }

    pub(super) fn secondary(&self) -> &SecondaryIndex {
        &self.secondary
    }

    /// [`indexed`](Self::indexed), with the numbers of the lines.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &IndexedLine)> {
        (0..).zip(&self.lines).filter(|(_, indexed)| !indexed.erased)
    }

    /// Valid lines, in write order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> {
        self.indexed().map(|indexed| indexed.line)
    }

    /// [`lines`](Self::lines), with the hashes of their ids.
    pub(super) fn indexed(&self) -> impl Iterator<Item = &IndexedLine> {
        self.lines.iter().filter(|indexed| !indexed.erased)
    }

    /// The earliest and the latest timestamp of its lines, possibly of erased ones; `None` without lines.
    pub(crate) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        self.time_bounds
    }

    pub(crate) fn corrupt(&self) -> &[CorruptLine] {
        &self.corrupt
    }

    /// How many lines hold a record, valid or corrupt.
    pub(crate) fn records(&self) -> u64 {
        self.lines.len() as u64 + self.corrupt.len() as u64 - self.erased
    }

    /// How many bytes of the segment are indexed: up to the end of its last line break.
    pub(crate) fn indexed_len(&self) -> u64 {
        self.indexed_len
    }

    /// Marks the line at `offset` as erased.
    pub(crate) fn mark_erased(&mut self, offset: u64) {
        if let Ok(at) = self.lines.binary_search_by_key(&offset, |indexed| indexed.line.offset)
            && !self.lines[at].erased
        {
            self.lines[at].erased = true;
            self.erased += 1;
            self.saved_len = 0;
        }
    }

    /// How many bytes of the segment no index file covers.
    pub(crate) fn unsaved_len(&self) -> u64 {
        self.indexed_len.saturating_sub(self.saved_len)
    }

    /// Records that an index file agrees with this index.
    pub(crate) fn set_saved(&mut self) {
        self.saved_len = self.indexed_len;
    }
}
