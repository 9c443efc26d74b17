//! Writes an index file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use attestry_core::event;

use super::blocks::BlockWriter;
use super::format::{
    FILTER_BYTES_PER_BLOCK, Header, PAYLOAD, Record, encode_directory, encode_posting, key_of,
};
use super::mutable::Mutable;
use super::{BloomFilter, Line};
use crate::fs::open;
use crate::fs::sys::{self, FileId, FileState};
use crate::segment::index::{IndexedLine, MemoryIndex};
use crate::segment::postings::Posting;
use crate::segment::terms::IndexKey;

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
            event!(DEBUG, path = %path.display(), "index file written");
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
    let mut by_time: Vec<_> = index.numbered().collect();
    by_time.sort_unstable_by_key(|(_, indexed)| (indexed.line.timestamp, indexed.line.offset));
    let terms = terms_by_time(index, &by_time);
    let directory = terms.iter().map(|(key, terms)| (*key, terms.len() as u64));
    let directory = encode_directory(directory);
    let mut by_id: Vec<_> = by_time.iter().map(|(_, indexed)| *indexed).collect();
    by_id.sort_unstable_by_key(|indexed| (indexed.hash, indexed.line.offset));
    let filter = BloomFilter::build(by_id.iter().map(|indexed| indexed.hash)).to_bytes();
    let micros = |(_, indexed): &(u32, &IndexedLine)| indexed.line.timestamp.unix_micros();
    let header = Header {
        segment: segment.number(),
        indexed_len: index.indexed_len(),
        lines: by_time.len() as u64,
        corrupt: index.corrupt().len() as u64,
        earliest: by_time.first().map_or(i64::MAX, micros),
        latest: by_time.last().map_or(i64::MIN, micros),
        filter_bytes: filter.len() as u64,
        born: segment.born(),
        directory_bytes: directory.len() as u64,
    };

    let mut out = BlockWriter(BufWriter::with_capacity(1 << 18, out));
    out.block(&header.encode())?;
    out.block(&Mutable { erased: 0, state }.encode())?;
    directory.chunks(PAYLOAD).try_for_each(|part| out.block(part))?;
    filter.chunks(FILTER_BYTES_PER_BLOCK).try_for_each(|part| out.block(part))?;
    let record =
        |key, line: Line| Record { key, offset: line.offset, length: line.length }.encode();
    out.records(by_id.iter().map(|indexed| record(indexed.hash, indexed.line)))?;
    let timed = by_time.iter().map(|(_, indexed)| indexed.line);
    out.records(timed.map(|line| record(key_of(line.timestamp), line)))?;
    out.records(index.corrupt().iter().map(|corrupt| {
        Record { key: corrupt.length, offset: corrupt.offset, length: 0 }.encode()
    }))?;
    for (_, terms) in terms {
        out.records(terms.into_iter().map(encode_posting))?;
    }
    out.0.flush()
}

/// The keys of `index` with their postings, numbered by time; `by_time` are its numbered lines in that order.
fn terms_by_time<'i>(
    index: &'i MemoryIndex,
    by_time: &[(u32, &IndexedLine)],
) -> Vec<(&'i IndexKey, Vec<Posting>)> {
    let numbers = by_time.iter().map(|(number, _)| *number as usize + 1).max();
    let mut ranks = vec![None; numbers.unwrap_or(0)];
    for (rank, (number, _)) in (0..).zip(by_time) {
        ranks[*number as usize] = Some(rank);
    }
    // Lines without a rank were erased.
    index.secondary().renumbered(|line| ranks.get(line as usize).copied().flatten()).collect()
}
