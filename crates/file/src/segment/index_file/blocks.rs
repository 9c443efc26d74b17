//! Blocks of an index file, each with its checksum.

use std::fs::File;
use std::io::{self, Write};

use super::{BLOCK, PAYLOAD, RECORD, RECORDS_PER_BLOCK, Record, Section, damaged, key_in};
use crate::fs::sys::{self, IoMode};

/// How many blocks a sequential reader reads at once.
const READ_AHEAD_BLOCKS: usize = 16;

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

    pub(super) fn records(&mut self, records: impl Iterator<Item = Record>) -> io::Result<()> {
        let mut payload = Vec::with_capacity(PAYLOAD);
        for record in records {
            payload.extend_from_slice(&record.encode());
            if payload.len() == RECORDS_PER_BLOCK as usize * RECORD {
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
    bytes: Vec<u8>,
    /// The block whose checksum was verified last.
    verified: Option<u64>,
}

impl<'f> BlockReader<'f> {
    /// A reader of single blocks.
    pub(super) fn new(file: &'f File) -> Self {
        Self::with_mode(file, IoMode::Blocking)
    }

    pub(super) fn with_mode(file: &'f File, mode: IoMode) -> Self {
        Self { file, mode, read_ahead: 1, first: 0, bytes: Vec::new(), verified: None }
    }

    /// A reader of consecutive blocks.
    pub(super) fn sequential(file: &'f File) -> Self {
        Self { read_ahead: READ_AHEAD_BLOCKS, ..Self::new(file) }
    }

    pub(super) fn payload(&mut self, number: u64) -> io::Result<&[u8]> {
        let kept = (self.bytes.len() / BLOCK) as u64;
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
        self.bytes.resize(self.read_ahead * BLOCK, 0);
        let offset = number.saturating_mul(BLOCK as u64);
        let mut filled = 0;
        let mut outcome = Ok(());
        while filled < BLOCK && outcome.is_ok() {
            let buffer = &mut self.bytes[filled..];
            match sys::read_at_with(self.file, buffer, offset + filled as u64, self.mode) {
                Ok(0) => outcome = Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) => outcome = Err(error),
            }
        }
        (self.first, self.verified) = (number, None);
        self.bytes.truncate(filled / BLOCK * BLOCK);
        outcome
    }

    pub(super) fn record(&mut self, section: Section, number: u64) -> io::Result<Record> {
        let records = self.records(section, number / RECORDS_PER_BLOCK)?;
        let record = records.get((number % RECORDS_PER_BLOCK) as usize);
        record.map(Record::decode).ok_or_else(|| damaged("a record"))
    }

    /// The records in block `block` of `section`.
    fn records(&mut self, section: Section, block: u64) -> io::Result<&[[u8; RECORD]]> {
        let left = section.records.saturating_sub(block * RECORDS_PER_BLOCK);
        let (records, _) = self.payload(section.first_block + block)?.as_chunks();
        Ok(&records[..left.min(RECORDS_PER_BLOCK) as usize])
    }

    /// The number of the first record of `section` whose key is not less than `key`. Starts at record
    /// `guess`; if that is near, it reads one or two blocks.
    pub(super) fn lower_bound_near(
        &mut self,
        section: Section,
        key: u64,
        guess: u64,
    ) -> io::Result<u64> {
        let (mut low, mut high) = (0, section.records);
        let mut probe = guess.min(high.saturating_sub(1)) / RECORDS_PER_BLOCK;
        while low < high {
            let first = probe * RECORDS_PER_BLOCK;
            let records = self.records(section, probe)?;
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
