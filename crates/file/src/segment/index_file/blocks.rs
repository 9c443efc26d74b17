//! Blocks of an index file, each with its checksum.

use std::fs::File;
use std::io::{self, Write};

use super::format::{BLOCK, PAYLOAD, RECORD, Record, Section, damaged, key_in};
use crate::fs::sys::{self, IoMode};

/// How many blocks a sequential reader reads at once.
const READ_AHEAD_BLOCKS: usize = 16;

/// Header, mutable block, and a key directory of one block.
const HEAD_BLOCKS: usize = 3;

/// Writes consecutive blocks.
pub(super) struct BlockWriter<W: Write>(pub(super) W);

impl<W: Write> BlockWriter<W> {
    pub(super) fn block(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        block[..payload.len()].copy_from_slice(payload);
        let checksum = crc32fast::hash(&block[..PAYLOAD]);
        block[PAYLOAD..].copy_from_slice(&checksum.to_le_bytes());
        self.0.write_all(&block)
    }

    /// A section of records, as many in a block as fit.
    pub(super) fn records<const SIZE: usize>(
        &mut self,
        records: impl Iterator<Item = [u8; SIZE]>,
    ) -> io::Result<()> {
        let mut payload = Vec::with_capacity(PAYLOAD);
        for record in records {
            payload.extend_from_slice(&record);
            if payload.len() + SIZE > PAYLOAD {
                self.block(&payload)?;
                payload.clear();
            }
        }
        if payload.is_empty() { Ok(()) } else { self.block(&payload) }
    }
}

/// Reads blocks and checks them; keeps the last read.
pub(super) struct BlockReader<'f> {
    file: &'f File,
    mode: IoMode,
    /// How many blocks it reads at once.
    read_ahead: usize,
    /// The number of the first block in `bytes`.
    first: u64,
    /// The first `filled` bytes are whole blocks of the file.
    bytes: Vec<u8>,
    filled: usize,
    /// The block whose checksum was verified last.
    verified: Option<u64>,
}

impl<'f> BlockReader<'f> {
    /// A reader of single blocks.
    pub(super) fn new(file: &'f File) -> Self {
        Self::with_mode(file, IoMode::Blocking)
    }

    pub(super) fn with_mode(file: &'f File, mode: IoMode) -> Self {
        Self { file, mode, read_ahead: 1, first: 0, bytes: Vec::new(), filled: 0, verified: None }
    }

    /// A reader of consecutive blocks.
    pub(super) fn sequential(file: &'f File) -> Self {
        Self { read_ahead: READ_AHEAD_BLOCKS, ..Self::new(file) }
    }

    /// A reader of the blocks before the filter, which are mostly three.
    pub(super) fn of_head(file: &'f File) -> Self {
        Self { read_ahead: HEAD_BLOCKS, ..Self::new(file) }
    }

    pub(super) fn payload(&mut self, number: u64) -> io::Result<&[u8]> {
        let kept = (self.filled / BLOCK) as u64;
        if number < self.first || number - self.first >= kept {
            self.read(number)?;
        }
        let start = (number - self.first) as usize * BLOCK;
        let (payload, checksum) = self.bytes[start..start + BLOCK].split_at(PAYLOAD);
        if self.verified != Some(number) {
            if checksum != crc32fast::hash(payload).to_le_bytes() {
                return Err(damaged(&format!("block {number}")));
            }
            self.verified = Some(number);
        }
        Ok(payload)
    }

    /// Reads block `number`, and as many of the next ones as one read returns.
    fn read(&mut self, number: u64) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.read_ahead * BLOCK];
        }
        let offset = number.saturating_mul(BLOCK as u64);
        let mut filled = 0;
        let mut outcome = Ok(());
        while filled < BLOCK && outcome.is_ok() {
            let buffer = &mut self.bytes[filled..];
            match sys::read_at_with(self.file, buffer, offset + filled as u64, self.mode) {
                Ok(0) => outcome = Err(damaged("it was truncated")),
                Ok(count) => filled += count,
                Err(error) => outcome = Err(error),
            }
        }
        (self.first, self.verified) = (number, None);
        self.filled = filled / BLOCK * BLOCK;
        outcome
    }

    pub(super) fn record(&mut self, section: Section, number: u64) -> io::Result<Record> {
        self.raw_record(section, number).map(Record::decode)
    }

    /// The bytes of record `number` of `section`.
    pub(super) fn raw_record<const SIZE: usize>(
        &mut self,
        section: Section,
        number: u64,
    ) -> io::Result<&[u8; SIZE]> {
        let per_block = section.records_per_block;
        let records = self.raw_records(section, number / per_block)?;
        records.get((number % per_block) as usize).ok_or_else(|| damaged("a record"))
    }

    /// The records in block `block` of `section`.
    pub(super) fn raw_records<const SIZE: usize>(
        &mut self,
        section: Section,
        block: u64,
    ) -> io::Result<&[[u8; SIZE]]> {
        let left = section.records.saturating_sub(block * section.records_per_block);
        let (records, _) = self.payload(section.first_block + block)?.as_chunks();
        Ok(&records[..left.min(section.records_per_block) as usize])
    }

    /// The number of the first record of `section` whose key is not less than `key`. Starts at record
    /// `guess`; if that is near, it reads one or two blocks.
    pub(super) fn lower_bound_near(
        &mut self,
        section: Section,
        key: u64,
        guess: u64,
    ) -> io::Result<u64> {
        let per_block = section.records_per_block;
        let (mut low, mut high) = (0, section.records);
        let mut probe = guess.min(high.saturating_sub(1)) / per_block;
        while low < high {
            let first = probe * per_block;
            let records: &[[u8; RECORD]] = self.raw_records(section, probe)?;
            let below = records.partition_point(|record| key_in(record) < key);
            if below == 0 && first > low {
                high = first;
                probe -= 1;
            } else if below == records.len() {
                low = first + below as u64;
                probe += 1;
            } else {
                return Ok(first + below as u64);
            }
        }
        Ok(low)
    }
}
