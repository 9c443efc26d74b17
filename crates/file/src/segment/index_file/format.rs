//! The parts of an index file as bytes: header, key directory and records. See `docs/format.md`.

use std::io;

use attestry_core::Timestamp;

use crate::segment::bloom;
use crate::segment::postings::Posting;
use crate::segment::terms::IndexKey;

pub(in crate::segment) const BLOCK: usize = 1_024;
pub(in crate::segment) const PAYLOAD: usize = BLOCK - 4;
pub(in crate::segment) const RECORD: usize = 20;
pub(in crate::segment) const TERM_RECORD: usize = 12;
pub(in crate::segment) const MAGIC: &[u8; 8] = b"attidx04";
pub(super) const FILTER_BYTES_PER_BLOCK: usize = 15 * bloom::BLOCK_BYTES;
/// After the header and the mutable block.
pub(super) const DIRECTORY_BLOCK: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u64,
    pub(super) indexed_len: u64,
    pub(super) lines: u64,
    pub(super) corrupt: u64,
    pub(super) earliest: i64,
    pub(super) latest: i64,
    pub(super) filter_bytes: u64,
    pub(super) born: u64,
    pub(super) directory_bytes: u64,
}

/// A part of the file with sorted records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) first_block: u64,
    pub(super) records: u64,
    pub(super) records_per_block: u64,
}

/// One record of the lines by id, by time, or of the corrupt lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) key: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// A timestamp as an unsigned number with the same order.
pub(super) fn key_of(timestamp: Timestamp) -> u64 {
    timestamp.unix_micros().cast_unsigned() ^ (1 << 63)
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the index file is damaged: {what}"))
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let numbers = [
            self.segment,
            self.indexed_len,
            self.lines,
            self.corrupt,
            self.earliest.cast_unsigned(),
            self.latest.cast_unsigned(),
            self.filter_bytes,
            self.born,
            self.directory_bytes,
        ];
        bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        bytes
    }

    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let numbers = payload.strip_prefix(MAGIC)?;
        let number = |n: usize| u64_at(numbers, n * 8);
        let header = Self {
            segment: number(0),
            indexed_len: number(1),
            lines: number(2),
            corrupt: number(3),
            earliest: number(4).cast_signed(),
            latest: number(5).cast_signed(),
            filter_bytes: number(6),
            born: number(7),
            directory_bytes: number(8),
        };
        let valid = header.lines < 1 << 32
            && header.corrupt < 1 << 40
            && (header.lines == 0) == header.time_bounds().is_none()
            && header.filter_bytes >= bloom::BLOCK_BYTES as u64
            && header.filter_bytes < 1 << 38
            && header.filter_bytes.is_multiple_of(bloom::BLOCK_BYTES as u64)
            && header.directory_bytes < 1 << 24;
        valid.then_some(header)
    }

    pub(super) fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let earliest = Timestamp::from_unix_micros(self.earliest).ok()?;
        let latest = Timestamp::from_unix_micros(self.latest).ok()?;
        (earliest <= latest).then_some((earliest, latest))
    }

    /// Whether a line of `length` bytes at `offset`, with its line break, is within the indexed bytes.
    pub(super) fn contains(&self, offset: u64, length: u64) -> bool {
        offset.checked_add(length).is_some_and(|end| end < self.indexed_len)
    }

    pub(super) fn filter_block(&self) -> u64 {
        DIRECTORY_BLOCK + self.directory_bytes.div_ceil(PAYLOAD as u64)
    }

    pub(super) fn by_id(&self) -> Section {
        let filter_blocks = self.filter_bytes.div_ceil(FILTER_BYTES_PER_BLOCK as u64);
        Section::new(self.filter_block() + filter_blocks, self.lines, RECORD)
    }

    pub(super) fn by_time(&self) -> Section {
        Section::new(self.by_id().end(), self.lines, RECORD)
    }

    pub(super) fn corrupt_lines(&self) -> Section {
        Section::new(self.by_time().end(), self.corrupt, RECORD)
    }
}

impl Section {
    pub(super) fn new(first_block: u64, records: u64, record_bytes: usize) -> Self {
        Self { first_block, records, records_per_block: (PAYLOAD / record_bytes) as u64 }
    }

    pub(super) fn blocks(&self) -> u64 {
        self.records.div_ceil(self.records_per_block)
    }

    pub(super) fn end(&self) -> u64 {
        self.first_block + self.blocks()
    }
}

impl Record {
    pub(super) fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; RECORD]) -> Self {
        let length = u32_at(bytes, 16);
        Self { key: u64_at(bytes, 0), offset: u64_at(bytes, 8), length }
    }
}

pub(super) fn encode_posting(posting: Posting) -> [u8; TERM_RECORD] {
    let mut bytes = [0; TERM_RECORD];
    bytes[..8].copy_from_slice(&posting.hash.to_le_bytes());
    bytes[8..].copy_from_slice(&posting.line.to_le_bytes());
    bytes
}

pub(super) fn decode_posting(bytes: &[u8; TERM_RECORD]) -> Posting {
    Posting { hash: u64_at(bytes, 0), line: u32_at(bytes, 8) }
}

/// The key directory: for each key the number of its records, the length of its name, and its name.
pub(super) fn encode_directory<'k>(keys: impl Iterator<Item = (&'k IndexKey, u64)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, records) in keys {
        let name = key.to_string();
        bytes.extend_from_slice(&records.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// The name of the first key of a key directory, its number of records, and the rest of the directory.
pub(super) fn split_key(directory: &[u8]) -> Option<(&str, u64, &[u8])> {
    let (numbers, rest) = directory.split_at_checked(16)?;
    let (records, length) = (u64_at(numbers, 0), u64_at(numbers, 8));
    let (name, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((std::str::from_utf8(name).ok()?, records, rest))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

pub(super) fn key_in(record: &[u8; RECORD]) -> u64 {
    u64_at(record, 0)
}
