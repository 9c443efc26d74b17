//! The index file of a segment: which lines it has, by id and by time, in blocks that are read as they
//! are needed. That of a segment which grows covers a part of it, and is taken [back](load) into memory.
//!
//! | block | content |
//! | --- | --- |
//! | 0 | the header |
//! | 1 | how many of the lines were erased since; the one part that changes |
//! | then | the filter of ids, 960 bytes a block |
//! | then | lines by the hash of their id, 51 records a block |
//! | then | lines by their time, 51 records a block |
//! | then | lines that hold no entry, 51 records a block |
//!
//! A block has 1,024 bytes; the last four are the CRC-32 of the others. A record is a key of 64
//! bits (hash, or microseconds since 1970 with the sign bit flipped), the offset of the line in 64
//! bits, and its length in 32. All numbers are little-endian. See `docs/format.md`.
//!
//! The filter is read when an id is looked for, and stays in memory. It says where the record of an id
//! is, to a few, so that finding it mostly takes one read of one block; a block is as small as may be,
//! since all of it is read and summed for one record.

mod blocks;
mod load;
mod write;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use attestry_core::{MAX_LINE_BYTES, Timestamp};

use super::bloom::{self, Filter, Wanted};
use super::index::{BadLine, Line};
use crate::fs::sys::{self, FileId, IoMode};

use blocks::{BlockReader, Blocks};
pub(crate) use load::load;
pub(crate) use write::write;

pub(super) const BLOCK: usize = 1_024;
pub(super) const PAYLOAD: usize = BLOCK - 4;
pub(super) const RECORD: usize = 20;
const RECORDS_PER_BLOCK: u64 = 51;
const FILTER_BYTES_PER_BLOCK: usize = 15 * bloom::BLOCK_BYTES;
const FIRST_FILTER_BLOCK: u64 = 2;
pub(super) const MAGIC: &[u8; 8] = b"attidx03";

/// An open index file.
#[derive(Debug)]
pub(crate) struct IndexFile {
    file: File,
    id: FileId,
    header: Header,
    erased: AtomicU64,
    /// Whether there is room for the filter in memory.
    keeps_filter: bool,
    filter: OnceLock<Filter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    segment: u64,
    covered: u64,
    lines: u64,
    bad: u64,
    earliest: i64,
    latest: i64,
    filter_bytes: u64,
    born: u64,
}

/// A part of the file that holds records in the order of their keys.
#[derive(Debug, Clone, Copy)]
struct Table {
    first_block: u64,
    records: u64,
}

/// One record of a table.
#[derive(Debug, Clone, Copy)]
struct Record {
    key: u64,
    offset: u64,
    length: u32,
}

/// Times in the order of unsigned numbers.
fn key_of(timestamp: Timestamp) -> u64 {
    timestamp.unix_micros().cast_unsigned() ^ (1 << 63)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the index file is damaged: {what}"))
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [self.segment, self.covered, self.lines, self.bad] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.earliest.to_le_bytes());
        bytes.extend_from_slice(&self.latest.to_le_bytes());
        bytes.extend_from_slice(&self.filter_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.born.to_le_bytes());
        bytes
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let numbers = payload.strip_prefix(MAGIC)?;
        let number = |n: usize| u64_at(numbers, n * 8);
        let header = Self {
            segment: number(0),
            covered: number(1),
            lines: number(2),
            bad: number(3),
            earliest: number(4).cast_signed(),
            latest: number(5).cast_signed(),
            filter_bytes: number(6),
            born: number(7),
        };
        let sane = header.lines < 1 << 40
            && header.bad < 1 << 40
            && (header.lines == 0) == header.time_bounds().is_none()
            && header.filter_bytes >= bloom::BLOCK_BYTES as u64
            && header.filter_bytes < 1 << 38
            && header.filter_bytes.is_multiple_of(bloom::BLOCK_BYTES as u64);
        sane.then_some(header)
    }

    fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let earliest = Timestamp::from_unix_micros(self.earliest).ok()?;
        let latest = Timestamp::from_unix_micros(self.latest).ok()?;
        (earliest <= latest).then_some((earliest, latest))
    }

    /// Whether a line of `length` bytes at `offset`, and its line break, lie within the segment.
    fn has_room_for(&self, offset: u64, length: u64) -> bool {
        offset.checked_add(length).is_some_and(|end| end < self.covered)
    }

    fn by_id(&self) -> Table {
        let filter_blocks = self.filter_bytes.div_ceil(FILTER_BYTES_PER_BLOCK as u64);
        Table { first_block: FIRST_FILTER_BLOCK + filter_blocks, records: self.lines }
    }

    fn by_time(&self) -> Table {
        Table { first_block: self.by_id().end(), records: self.lines }
    }

    fn bad_lines(&self) -> Table {
        Table { first_block: self.by_time().end(), records: self.bad }
    }
}

impl Table {
    fn end(&self) -> u64 {
        self.first_block + self.records.div_ceil(RECORDS_PER_BLOCK)
    }
}

impl Record {
    fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RECORD]) -> Self {
        let [.., a, b, c, d] = *bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        Self { key: key_in(bytes), offset: u64_at(bytes, 8), length }
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn key_in(record: &[u8; RECORD]) -> u64 {
    u64_at(record, 0)
}

impl IndexFile {
    /// Opens the index file at `path` if it is that of the segment `segment` of `length` bytes;
    /// `None` when there is none, or it is stale or damaged. Only the header is read; the filter is
    /// kept in memory once it is wanted, when that takes at most `filter_budget` bytes.
    pub(crate) fn open(
        path: &Path,
        segment: FileId,
        length: u64,
        filter_budget: usize,
    ) -> Option<Self> {
        let mut opened = Self::open_any(path, segment)?;
        opened.keeps_filter = opened.header.filter_bytes <= filter_budget as u64;
        (opened.header.covered == length).then_some(opened)
    }

    /// The index file at `path` if it is that of the segment `segment`, whatever it covers.
    fn open_any(path: &Path, segment: FileId) -> Option<Self> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let header = Header::decode(BlockReader::new(&file).payload(0).ok()?)?;
        let blocks = metadata.len() / BLOCK as u64;
        if (header.segment, header.born) != (segment.number(), segment.born())
            || header.bad_lines().end() != blocks
            || !metadata.len().is_multiple_of(BLOCK as u64)
        {
            return None;
        }
        let id = FileId::of(&metadata);
        let (erased, filter) = (AtomicU64::new(0), OnceLock::new());
        let opened = Self { file, id, header, erased, keeps_filter: false, filter };
        opened.read_erased().ok()?;
        Some(opened)
    }

    /// Whether this still is the file at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| FileId::of(&metadata) == self.id)
    }

    fn read_filter(&self) -> io::Result<Filter> {
        let length =
            usize::try_from(self.header.filter_bytes).map_err(|_| damaged("its filter"))?;
        let mut filter = Vec::with_capacity(length);
        let mut blocks = self.ahead();
        for block in FIRST_FILTER_BLOCK..self.header.by_id().first_block {
            filter.extend_from_slice(&blocks.payload(block)?[..FILTER_BYTES_PER_BLOCK]);
        }
        filter.truncate(length);
        Ok(Filter::from_bytes(&filter))
    }

    /// Reads again how many lines were erased.
    pub(crate) fn read_erased(&self) -> io::Result<()> {
        let erased = u64_at(self.blocks().payload(1)?, 0);
        if erased > self.header.lines {
            return Err(damaged("its number of erased lines"));
        }
        self.erased.store(erased, Ordering::Relaxed);
        Ok(())
    }

    /// Adds `count` to the number of erased lines of the index file at `path`, durably.
    pub(crate) fn add_erased(path: &Path, count: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let erased = u64_at(BlockReader::new(&file).payload(1)?, 0).checked_add(count);
        let erased = erased.ok_or_else(|| damaged("its number of erased lines"))?;
        let mut block = Vec::with_capacity(BLOCK);
        Blocks(&mut block).block(&erased.to_le_bytes())?;
        sys::write_all_at(&file, &block, BLOCK as u64)?;
        file.sync_data()
    }

    /// Whether no byte of the segment is that of a blank line.
    pub(crate) fn is_dense(&self) -> io::Result<bool> {
        if self.erased.load(Ordering::Relaxed) > 0 {
            return Ok(false);
        }
        let lines = self.lines_from(0, u64::MAX)?;
        let bytes: u64 = lines.iter().map(|line| u64::from(line.length) + 1).sum();
        let bad: u64 = self.bad()?.iter().map(|bad| bad.length.saturating_add(1)).sum();
        Ok(bytes.checked_add(bad) == Some(self.header.covered))
    }

    pub(crate) fn records(&self) -> u64 {
        self.header.lines + self.header.bad - self.erased.load(Ordering::Relaxed)
    }

    /// How many lines were readable when it was made, erased ones too.
    pub(crate) fn lines(&self) -> u64 {
        self.header.lines
    }

    pub(crate) fn covered(&self) -> u64 {
        self.header.covered
    }

    /// How many bytes the filter takes in memory, or will once it is wanted.
    pub(crate) fn filter_bytes(&self) -> usize {
        if self.keeps_filter { usize::try_from(self.header.filter_bytes).unwrap_or(0) } else { 0 }
    }

    /// The earliest and the latest time of its lines, if it has any.
    pub(crate) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        self.header.time_bounds()
    }

    /// Whether lines may have the id; always where the filter is not in memory.
    #[inline]
    pub(crate) fn may_have(&self, wanted: &Wanted) -> bool {
        let block = self.filter.get().and_then(|filter| filter.block(wanted));
        block.is_none_or(|block| block.may_have(wanted))
    }

    /// Lines that may have the id, in the order written.
    pub(crate) fn candidates(&self, wanted: &Wanted, mode: IoMode) -> io::Result<Vec<Line>> {
        let (block, guess) = self.filter_block(wanted, mode)?;
        if !block.may_have(wanted) {
            return Ok(Vec::new());
        }
        let table = self.header.by_id();
        let mut blocks = BlockReader::with_mode(&self.file, mode);
        let mut found = Vec::new();
        for number in blocks.lower_bound_near(table, wanted.hash, guess)?..table.records {
            let record = blocks.record(table, number)?;
            if record.key != wanted.hash {
                break;
            }
            // The time is known once the line is read.
            found.push(self.line(record, Timestamp::MIN)?);
        }
        Ok(found)
    }

    /// The block of the filter that the id belongs to, and about which record it has by its hash.
    fn filter_block(&self, wanted: &Wanted, mode: IoMode) -> io::Result<(bloom::Block, u64)> {
        let blocks = self.header.filter_bytes / bloom::BLOCK_BYTES as u64;
        let (place, share) = bloom::place_of(wanted.hash, blocks);
        let block = match self.filter(mode)?.and_then(|filter| filter.block(wanted)) {
            Some(block) => *block,
            None => {
                let per_block = (FILTER_BYTES_PER_BLOCK / bloom::BLOCK_BYTES) as u64;
                let mut reader = BlockReader::with_mode(&self.file, mode);
                let payload = reader.payload(FIRST_FILTER_BLOCK + place / per_block)?;
                let (parts, _) = payload.as_chunks();
                bloom::Block::from_bytes(&parts[(place % per_block) as usize])
            }
        };
        let within = share.saturating_mul(self.header.lines / blocks) >> 32;
        Ok((block, block.ids_before().saturating_add(within)))
    }

    /// The filter, read when it is first wanted; `None` where there is no room for it.
    fn filter(&self, mode: IoMode) -> io::Result<Option<&Filter>> {
        if self.filter.get().is_none() && self.keeps_filter {
            if mode == IoMode::Cached {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let read = self.read_filter()?;
            self.filter.get_or_init(|| read);
        }
        Ok(self.filter.get())
    }

    /// The first line at or behind `timestamp`, by its number in the order of time.
    pub(crate) fn first_at_or_after(&self, timestamp: Timestamp) -> io::Result<u64> {
        let (table, key) = (self.header.by_time(), key_of(timestamp));
        let mut blocks = self.blocks();
        let (mut low, mut high) = (0, table.records.div_ceil(RECORDS_PER_BLOCK));
        // The first block whose last key is not less.
        while low < high {
            let middle = low + (high - low) / 2;
            let last = ((middle + 1) * RECORDS_PER_BLOCK).min(table.records) - 1;
            if blocks.record(table, last)?.key < key { low = middle + 1 } else { high = middle }
        }
        let first = (low * RECORDS_PER_BLOCK).min(table.records);
        let lines = self.lines_from(first, RECORDS_PER_BLOCK)?;
        Ok(first + lines.iter().take_while(|line| line.timestamp < timestamp).count() as u64)
    }

    /// At most `count` lines in the order of time, from number `first` on.
    pub(crate) fn lines_from(&self, first: u64, count: u64) -> io::Result<Vec<Line>> {
        let table = self.header.by_time();
        let end = first.saturating_add(count).min(table.records);
        let mut blocks = self.ahead();
        (first..end)
            .map(|number| {
                let record = blocks.record(table, number)?;
                let micros = (record.key ^ (1 << 63)).cast_signed();
                let timestamp =
                    Timestamp::from_unix_micros(micros).map_err(|_| damaged("a time"))?;
                self.line(record, timestamp)
            })
            .collect()
    }

    /// The line that `record` stands for. One that the segment cannot have is not looked for in it.
    fn line(&self, record: Record, timestamp: Timestamp) -> io::Result<Line> {
        let Record { offset, length, .. } = record;
        if length as usize > MAX_LINE_BYTES || !self.header.has_room_for(offset, length.into()) {
            return Err(damaged("the place of a line"));
        }
        Ok(Line { timestamp, offset, length })
    }

    /// Whether there are lines that hold no entry.
    pub(crate) fn has_bad(&self) -> bool {
        self.header.bad > 0
    }

    pub(crate) fn bad(&self) -> io::Result<Vec<BadLine>> {
        let table = self.header.bad_lines();
        let mut blocks = self.ahead();
        (0..table.records)
            .map(|number| {
                let record = blocks.record(table, number)?;
                if !self.header.has_room_for(record.offset, record.key) {
                    return Err(damaged("the place of a line that holds no entry"));
                }
                Ok(BadLine { offset: record.offset, length: record.key })
            })
            .collect()
    }

    fn blocks(&self) -> BlockReader<'_> {
        BlockReader::new(&self.file)
    }

    fn ahead(&self) -> BlockReader<'_> {
        BlockReader::ahead(&self.file)
    }
}

#[cfg(test)]
mod tests;
