//! Writes an index file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{
    BlockWriter, BloomFilter, FILTER_BYTES_PER_BLOCK, Header, Line, Mutable, Record, key_of,
};
use crate::fs::open;
use crate::fs::sys::{self, FileId, FileState};
use crate::segment::index::MemoryIndex;

/// Writes the index file of the segment `segment`, which is in this state, to `path`, atomically. `confirm` is called last; if it
/// returns false, `index` is stale, nothing is written, and this returns false.
pub(crate) fn write(
    path: &Path,
    segment: FileId,
    index: &MemoryIndex,
    state: FileState,
    confirm: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let temporary = TemporaryIndex::write(path, "tmp", segment, index, state)?;
    if !confirm() {
        return Ok(false);
    }
    temporary.publish(path)?;
    Ok(true)
}

/// A complete index file that is not at its path yet. Removed when dropped.
#[derive(Debug)]
pub(crate) struct TemporaryIndex {
    path: Option<PathBuf>,
    state: FileState,
}

impl TemporaryIndex {
    /// Writes an index file beside `path`. `kind` distinguishes writers of this process that do not
    /// exclude each other.
    pub(crate) fn write(
        path: &Path,
        kind: &str,
        segment: FileId,
        index: &MemoryIndex,
        state: FileState,
    ) -> io::Result<Self> {
        let temporary = path.with_extension(format!("{}.{kind}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let out = open::create_new(&temporary)?;
        let written = Self { path: Some(temporary), state };
        write_to(out, segment, index, state)?;
        Ok(written)
    }

    /// The state of the segment that it describes.
    pub(crate) fn state(&self) -> FileState {
        self.state
    }

    /// Renames the file to `path`. The caller holds the store lock.
    pub(crate) fn publish(mut self, path: &Path) -> io::Result<()> {
        // The new file is not synced: an index file can be lost, and a partial one is detected. But the
        // replaced file must not reappear after a crash: it does not count erasures from now on.
        let replaces = open::exists(path)?;
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path)?;
        }
        self.path = None;
        if let (true, Some(folder)) = (replaces, path.parent()) {
            sys::sync_folder(folder)?;
        }
        Ok(())
    }
}

impl Drop for TemporaryIndex {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path); // otherwise the next recovery removes it
        }
    }
}

fn write_to(out: File, segment: FileId, index: &MemoryIndex, state: FileState) -> io::Result<()> {
    let mut lines: Vec<_> = index.indexed().collect();
    lines.sort_unstable_by_key(|indexed| (indexed.hash, indexed.line.offset));
    let times = || lines.iter().map(|indexed| indexed.line.timestamp.unix_micros());
    let filter = BloomFilter::build(lines.iter().map(|indexed| indexed.hash)).to_bytes();
    let header = Header {
        segment: segment.number(),
        indexed_len: index.indexed_len(),
        lines: lines.len() as u64,
        corrupt: index.corrupt().len() as u64,
        earliest: times().min().unwrap_or(i64::MAX),
        latest: times().max().unwrap_or(i64::MIN),
        filter_bytes: filter.len() as u64,
        born: segment.born(),
    };
    let mut out = BlockWriter(BufWriter::with_capacity(1 << 18, out));
    out.block(&header.encode())?;
    out.block(&Mutable { erased: 0, state }.encode())?;
    for part in filter.chunks(FILTER_BYTES_PER_BLOCK) {
        out.block(part)?;
    }
    let record = |key, line: Line| Record { key, offset: line.offset, length: line.length };
    out.records(lines.iter().map(|indexed| record(indexed.hash, indexed.line)))?;
    lines.sort_unstable_by_key(|indexed| (indexed.line.timestamp, indexed.line.offset));
    out.records(lines.iter().map(|indexed| record(key_of(indexed.line.timestamp), indexed.line)))?;
    out.records(index.corrupt().iter().map(|corrupt| Record {
        key: corrupt.length,
        offset: corrupt.offset,
        length: 0,
    }))?;
    out.0.flush()
}
