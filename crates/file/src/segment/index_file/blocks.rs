//! Blocks of a file, each with its checksum.

use std::fs::File;
use std::io::{self, Write};

use super::{BLOCK, PAYLOAD, RECORD, RECORDS_PER_BLOCK, Record, Table, damaged, key_in};
use crate::fs::sys::{self, IoMode};

/// So many are read at once by who wants many.
const MANY: u64 = 16;

/// Writes blocks, each behind the other.
pub(super) struct Blocks<W: Write>(pub(super) W);

impl<W: Write> Blocks<W> {
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

/// Reads blocks; keeps what it read last, which is often wanted again.
pub(super) struct BlockReader<'f> {
    file: &'f File,
    mode: IoMode,
    /// How many it reads at once.
    at_once: u64,
    /// The first of those it has.
    first: u64,
    bytes: Vec<u8>,
    /// Which of them was found sound last.
    sound: Option<u64>,
}

impl<'f> BlockReader<'f> {
    /// A reader for who wants one block here and one there.
    pub(super) fn new(file: &'f File) -> Self {
        Self::with_mode(file, IoMode::Blocking)
    }

    pub(super) fn with_mode(file: &'f File, mode: IoMode) -> Self {
        Self { file, mode, at_once: 1, first: 0, bytes: Vec::new(), sound: None }
    }

    /// A reader for who wants blocks that follow each other.
    pub(super) fn ahead(file: &'f File) -> Self {
        Self { at_once: MANY, ..Self::new(file) }
    }

    pub(super) fn payload(&mut self, number: u64) -> io::Result<&[u8]> {
        let kept = (self.bytes.len() / BLOCK) as u64;
        if number < self.first || number - self.first >= kept {
            self.read(number)?;
        }
        let start = (number - self.first) as usize * BLOCK;
        let (payload, checksum) = self.bytes[start..start + BLOCK].split_at(PAYLOAD);
        if self.sound != Some(number) {
            if checksum != crc32fast::hash(payload).to_le_bytes() {
                return Err(damaged(&format!("block {number}")));
            }
            self.sound = Some(number);
        }
        Ok(payload)
    }

    /// Reads `number` and what else is there of those behind it.
    fn read(&mut self, number: u64) -> io::Result<()> {
        self.bytes.resize(self.at_once as usize * BLOCK, 0);
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
        (self.first, self.sound) = (number, None);
        self.bytes.truncate(filled / BLOCK * BLOCK);
        outcome
    }

    pub(super) fn record(&mut self, table: Table, number: u64) -> io::Result<Record> {
        let records = self.records(table, number / RECORDS_PER_BLOCK)?;
        let record = records.get((number % RECORDS_PER_BLOCK) as usize);
        record.map(Record::decode).ok_or_else(|| damaged("a record"))
    }

    /// The records in the block of `table` with this number.
    pub(super) fn records(&mut self, table: Table, block: u64) -> io::Result<&[[u8; RECORD]]> {
        let left = table.records.saturating_sub(block * RECORDS_PER_BLOCK);
        let (records, _) = self.payload(table.first_block + block)?.as_chunks();
        Ok(&records[..left.min(RECORDS_PER_BLOCK) as usize])
    }

    /// The first record of `table` whose key is `key` or greater. It is near record `guess`, so that
    /// one block or two are read.
    pub(super) fn lower_bound_near(
        &mut self,
        table: Table,
        key: u64,
        guess: u64,
    ) -> io::Result<u64> {
        let (mut low, mut high) = (0, table.records);
        let mut probe = guess.min(high.saturating_sub(1)) / RECORDS_PER_BLOCK;
        while low < high {
            let first = probe * RECORDS_PER_BLOCK;
            let records = self.records(table, probe)?;
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
