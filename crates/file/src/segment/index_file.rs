//! The index file of a segment: its lines by id, by time and by the texts of some keys, in checksummed blocks
//! that are read on demand. The index file of an active segment covers a part of it; it is loaded into memory
//! by [`load`].
//!
//! | block | content |
//! | --- | --- |
//! | 0 | the header |
//! | 1 | how many of the lines were erased since, and the state of the segment; the only mutable part |
//! | then | the key directory: which keys are indexed, and how many records each has |
//! | then | the Bloom filter of ids, 960 bytes a block |
//! | then | lines by id hash, 51 records a block |
//! | then | lines by time, 51 records a block |
//! | then | corrupt lines, 51 records a block |
//! | then | for each key of the directory: lines by the hash of its text, 85 records a block |
//!
//! A block has 1,024 bytes; the last four are the CRC-32 of the others. A record is a key of 64 bits (hash,
//! or microseconds since 1970 with the sign bit flipped), the offset of the line in 64 bits, and its length
//! in 32. A record by a text is the hash of the text in 64 bits, and the number of the line by time in 32. All
//! numbers are little-endian. See `docs/format.md`.
//!
//! The Bloom filter is read by the first lookup and stays in memory. Its rank words give the record number
//! of an id within a few records, so a lookup mostly reads one block. Blocks are small because a lookup
//! reads and checks a whole one for one record.

mod blocks;
mod compare;
mod format;
mod load;
mod mutable;
mod terms;
mod write;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use attestry_core::{MAX_LINE_BYTES, Timestamp};

use super::bloom::{self, BloomFilter, HashedId};
use super::index::{CorruptLine, Line};
use crate::fs::open;
use crate::fs::sys::{self, FileId, FileState, IoMode};

use blocks::BlockReader;
use format::{FILTER_BYTES_PER_BLOCK, Header, Record, damaged, key_of};
use mutable::Mutable;
use terms::Directory;

#[cfg(any(test, fuzzing))]
pub(super) use format::{BLOCK, MAGIC, PAYLOAD, RECORD, TERM_RECORD};
pub(crate) use load::load;
pub(crate) use terms::Matches;
pub(crate) use write::{TemporaryIndex, write};

/// An open index file.
#[derive(Debug)]
pub(crate) struct IndexFile {
    file: File,
    id: FileId,
    header: Header,
    directory: Directory,
    erased: AtomicU64,
    /// The time of the segment's last change that the index file knows of.
    changed: AtomicU64,
    /// Whether the memory budget has room for the filter.
    caches_filter: bool,
    filter: OnceLock<BloomFilter>,
}

impl IndexFile {
    /// Opens the index file at `path`; `None` if it is missing, damaged, or does not cover all `length` bytes
    /// of the segment `segment`. Reads the header only. The Bloom filter is kept in memory after the first
    /// lookup, provided it fits into `filter_budget` bytes.
    pub(crate) fn open(
        path: &Path,
        segment: FileId,
        length: u64,
        filter_budget: usize,
    ) -> Option<Self> {
        let mut opened = Self::open_partial(path, segment)?;
        opened.caches_filter = opened.header.filter_bytes <= filter_budget as u64;
        (opened.header.indexed_len == length).then_some(opened)
    }

    /// [`open`](Self::open) for an index file that covers any part of the segment.
    fn open_partial(path: &Path, segment: FileId) -> Option<Self> {
        let file = open::read(path).ok()?;
        let metadata = file.metadata().ok()?;
        let mut blocks = BlockReader::of_head(&file);
        let header = Header::decode(blocks.payload(0).ok()?)?;
        if (header.segment, header.born) != (segment.number(), segment.born())
            || header.corrupt_lines().end() > metadata.len() / format::BLOCK as u64
        {
            return None;
        }
        let mutable = Mutable::read_from(&mut blocks).ok()?;
        let directory = Directory::read(&mut blocks, header).ok()?;
        if directory.end().checked_mul(format::BLOCK as u64) != Some(metadata.len()) {
            return None;
        }
        let id = FileId::of(&metadata);
        let (erased, changed, filter) = (AtomicU64::new(0), AtomicU64::new(0), OnceLock::new());
        let opened =
            Self { file, id, header, directory, erased, changed, caches_filter: false, filter };
        opened.set_mutable(mutable).ok()?;
        Some(opened)
    }

    /// How many bytes of the segment the index file at `path` covers; 0 if it is missing, damaged or that of
    /// another segment.
    pub(crate) fn covered_len(path: &Path, segment: FileId) -> u64 {
        Self::open_partial(path, segment).map_or(0, |opened| opened.header.indexed_len)
    }

    /// Whether the index file at `path` covers all of the segment, which is in this state.
    pub(crate) fn covers(path: &Path, segment: FileId, state: FileState) -> bool {
        Self::open(path, segment, state.length, 0).is_some_and(|opened| opened.agrees_with(state))
    }

    /// Whether the segment, which is in this state, is what it was when it last agreed with the index file.
    pub(crate) fn agrees_with(&self, state: FileState) -> bool {
        self.changed.load(Ordering::Relaxed) == state.changed
    }

    /// Whether the file at `path` is still this one.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        sys::id_and_length(path).is_ok_and(|(id, _)| id == self.id)
    }

    fn read_filter(&self) -> io::Result<BloomFilter> {
        let length =
            usize::try_from(self.header.filter_bytes).map_err(|_| damaged("its filter"))?;
        let mut filter = Vec::with_capacity(length);
        let mut blocks = self.sequential_blocks();
        for block in self.header.filter_block()..self.header.by_id().first_block {
            filter.extend_from_slice(&blocks.payload(block)?[..FILTER_BYTES_PER_BLOCK]);
        }
        filter.truncate(length);
        Ok(BloomFilter::from_bytes(&filter))
    }

    /// Reads the number of erased lines, and the time of the segment's last change, which other processes
    /// may have changed.
    pub(crate) fn reload_erased(&self) -> io::Result<()> {
        self.set_mutable(Mutable::read(&self.file)?)
    }

    fn set_mutable(&self, mutable: Mutable) -> io::Result<()> {
        let Mutable { erased, state } = mutable;
        if erased > self.header.lines {
            return Err(damaged("its number of erased lines"));
        }
        self.erased.store(erased, Ordering::Relaxed);
        self.changed.store(state.changed, Ordering::Relaxed);
        Ok(())
    }

    /// Adds `count` to the number of erased lines of the index file at `path`, and syncs it. The erasure has
    /// changed the state of the segment from `before` to `after`; an index file that did not agree with
    /// `before` is an error.
    pub(crate) fn add_erased(
        path: &Path,
        count: u64,
        before: FileState,
        after: FileState,
    ) -> io::Result<()> {
        let file = open::read_write(path)?;
        let Mutable { erased, state } = Mutable::read(&file)?;
        if state.is_replaced_by(before) {
            return Err(damaged("the segment was changed"));
        }
        let erased = erased.checked_add(count);
        let erased = erased.ok_or_else(|| damaged("its number of erased lines"))?;
        Mutable { erased, state: after }.write(&file)?;
        file.sync_data()
    }

    /// Records in the index file at `path` that the segment, which is in this state, agrees with it.
    pub(crate) fn set_state(path: &Path, state: FileState) -> io::Result<()> {
        let file = open::read_write(path)?;
        Mutable { state, ..Mutable::read(&file)? }.write(&file)
    }

    /// Whether the segment has no blank lines.
    pub(crate) fn has_no_holes(&self) -> io::Result<bool> {
        if self.erased.load(Ordering::Relaxed) > 0 {
            return Ok(false);
        }
        let lines = self.lines_from(0, u64::MAX)?;
        let valid: u64 = lines.iter().map(|line| u64::from(line.length) + 1).sum();
        let corrupt: u64 = self.corrupt()?.iter().map(|line| line.length.saturating_add(1)).sum();
        Ok(valid.checked_add(corrupt) == Some(self.header.indexed_len))
    }

    /// How many lines hold a record, valid or corrupt.
    pub(crate) fn records(&self) -> u64 {
        self.header.lines + self.header.corrupt - self.erased.load(Ordering::Relaxed)
    }

    /// How many valid lines it has, including those erased since.
    pub(crate) fn lines(&self) -> u64 {
        self.header.lines
    }

    /// How many bytes of the segment it covers.
    pub(crate) fn indexed_len(&self) -> u64 {
        self.header.indexed_len
    }

    /// How many bytes of memory the filter takes once it is read.
    pub(crate) fn filter_bytes(&self) -> usize {
        if self.caches_filter { usize::try_from(self.header.filter_bytes).unwrap_or(0) } else { 0 }
    }

    /// The earliest and the latest timestamp of its lines, unless it has none.
    pub(crate) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        self.header.time_bounds()
    }

    /// False if the id is certainly not in the segment; true as long as the filter is not in memory.
    #[inline]
    pub(crate) fn may_contain(&self, id: &HashedId) -> bool {
        self.filter.get().is_none_or(|filter| filter.may_contain(id))
    }

    /// Adds the hashes of all ids, also of erased lines.
    pub(crate) fn read_id_hashes(&self, hashes: &mut Vec<u64>) -> io::Result<()> {
        let (section, mut blocks) = (self.header.by_id(), self.sequential_blocks());
        for number in 0..section.records {
            hashes.push(blocks.record(section, number)?.key);
        }
        Ok(())
    }

    /// Lines whose id may be this one, in write order, with unknown timestamps.
    pub(crate) fn lookup(&self, id: &HashedId, mode: IoMode) -> io::Result<Vec<Line>> {
        let (block, guess) = self.filter_block(id, mode)?;
        if !block.may_contain(id) {
            return Ok(Vec::new());
        }
        let section = self.header.by_id();
        let mut blocks = BlockReader::with_mode(&self.file, mode);
        let mut found = Vec::new();
        for number in blocks.lower_bound_near(section, id.hash, guess)?..section.records {
            let record = blocks.record(section, number)?;
            if record.key != id.hash {
                break;
            }
            // The line itself has the timestamp.
            found.push(self.line(record, Timestamp::MIN)?);
        }
        Ok(found)
    }

    /// The filter block of the id, and the approximate number of its record in the id section.
    fn filter_block(&self, id: &HashedId, mode: IoMode) -> io::Result<(bloom::Block, u64)> {
        let blocks = self.header.filter_bytes / bloom::BLOCK_BYTES as u64;
        let (number, fraction) = bloom::block_of(id.hash, blocks);
        let block = match self.filter(mode)?.and_then(|filter| filter.block(id)) {
            Some(block) => *block,
            None => {
                let per_block = (FILTER_BYTES_PER_BLOCK / bloom::BLOCK_BYTES) as u64;
                let mut reader = BlockReader::with_mode(&self.file, mode);
                let payload = reader.payload(self.header.filter_block() + number / per_block)?;
                let (parts, _) = payload.as_chunks();
                bloom::Block::from_bytes(&parts[(number % per_block) as usize])
            }
        };
        let within = fraction.saturating_mul(self.header.lines / blocks) >> 32;
        Ok((block, block.rank().saturating_add(within)))
    }

    /// The filter, read on first use; `None` if the memory budget has no room for it.
    fn filter(&self, mode: IoMode) -> io::Result<Option<&BloomFilter>> {
        if self.filter.get().is_none() && self.caches_filter {
            if mode == IoMode::Cached {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let read = self.read_filter()?;
            self.filter.get_or_init(|| read);
        }
        Ok(self.filter.get())
    }

    /// The number, in time order, of the first line at or after `timestamp`.
    pub(crate) fn first_at_or_after(&self, timestamp: Timestamp) -> io::Result<u64> {
        let (section, key) = (self.header.by_time(), key_of(timestamp));
        match self.header.time_bounds() {
            Some((earliest, _)) if timestamp <= earliest => return Ok(0),
            Some((_, latest)) if timestamp > latest => return Ok(section.records),
            _ => {}
        }
        let per_block = section.records_per_block;
        let mut blocks = self.blocks();
        let (mut low, mut high) = (0, section.blocks());
        // Finds the first block whose last key is not less.
        while low < high {
            let middle = low + (high - low) / 2;
            let last = ((middle + 1) * per_block).min(section.records) - 1;
            if blocks.record(section, last)?.key < key { low = middle + 1 } else { high = middle }
        }
        let first = (low * per_block).min(section.records);
        let lines = self.lines_from(first, per_block)?;
        Ok(first + lines.iter().take_while(|line| line.timestamp < timestamp).count() as u64)
    }

    /// At most `count` lines in time order, from number `first` on.
    pub(crate) fn lines_from(&self, first: u64, count: u64) -> io::Result<Vec<Line>> {
        let section = self.header.by_time();
        let end = first.saturating_add(count).min(section.records);
        let mut blocks = self.sequential_blocks();
        (first..end).map(|number| self.timed_line(blocks.record(section, number)?)).collect()
    }

    /// The line of a record by time.
    fn timed_line(&self, record: Record) -> io::Result<Line> {
        let micros = (record.key ^ (1 << 63)).cast_signed();
        let timestamp = Timestamp::from_unix_micros(micros).map_err(|_| damaged("a timestamp"))?;
        self.line(record, timestamp)
    }

    /// The line of `record`; an error if the segment cannot have it.
    fn line(&self, record: Record, timestamp: Timestamp) -> io::Result<Line> {
        let Record { offset, length, .. } = record;
        if length as usize > MAX_LINE_BYTES || !self.header.contains(offset, length.into()) {
            return Err(damaged("the offset of a line"));
        }
        Ok(Line { timestamp, offset, length })
    }

    pub(crate) fn has_corrupt(&self) -> bool {
        self.header.corrupt > 0
    }

    pub(crate) fn corrupt(&self) -> io::Result<Vec<CorruptLine>> {
        let section = self.header.corrupt_lines();
        let mut blocks = self.sequential_blocks();
        (0..section.records)
            .map(|number| {
                // The length may exceed 32 bits, so it is in the key.
                let Record { key: length, offset, .. } = blocks.record(section, number)?;
                if !self.header.contains(offset, length) {
                    return Err(damaged("the offset of a corrupt line"));
                }
                Ok(CorruptLine { offset, length })
            })
            .collect()
    }

    fn blocks(&self) -> BlockReader<'_> {
        BlockReader::new(&self.file)
    }

    fn sequential_blocks(&self) -> BlockReader<'_> {
        BlockReader::sequential(&self.file)
    }
}

#[cfg(test)]
mod tests;
