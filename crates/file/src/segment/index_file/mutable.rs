//! Block 1, the only mutable part of an index file.

use std::fs::File;
use std::io;

use super::blocks::{BlockReader, BlockWriter};
use super::format::{BLOCK, u64_at};
use crate::fs::sys::{self, FileState};

#[derive(Debug, Clone, Copy)]
pub(super) struct Mutable {
    /// How many lines were erased since the file was written.
    pub(super) erased: u64,
    /// The segment when it last agreed with the index file; all zeros if an earlier version wrote the file.
    pub(super) state: FileState,
}

impl Mutable {
    pub(super) fn encode(&self) -> Vec<u8> {
        [self.erased, self.state.changed, self.state.length].map(u64::to_le_bytes).concat()
    }

    pub(super) fn read(file: &File) -> io::Result<Self> {
        Self::read_from(&mut BlockReader::new(file))
    }

    pub(super) fn read_from(blocks: &mut BlockReader<'_>) -> io::Result<Self> {
        let payload = blocks.payload(1)?;
        let state = FileState { changed: u64_at(payload, 8), length: u64_at(payload, 16) };
        Ok(Self { erased: u64_at(payload, 0), state })
    }

    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let mut block = Vec::with_capacity(BLOCK);
        BlockWriter(&mut block).block(&self.encode())?;
        sys::write_all_at(file, &block, BLOCK as u64)
    }
}
