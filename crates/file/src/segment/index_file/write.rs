//! Writes an index file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{BlockWriter, BloomFilter, FILTER_BYTES_PER_BLOCK, Header, Line, Record, key_of};
use crate::fs::sys::{self, FileId};
use crate::segment::index::MemoryIndex;

/// Writes the index file of the segment `segment` to `path`, atomically. `confirm` is called last; if it
/// returns false, `index` is stale, nothing is written, and this returns false.
pub(crate) fn write(
    path: &Path,
    segment: FileId,
    index: &MemoryIndex,
    confirm: impl FnOnce() -> bool,
) -> io::Result<bool> {
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
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut out = BlockWriter(BufWriter::with_capacity(1 << 18, sys::create_new(&temporary)?));
        out.block(&header.encode())?;
        out.block(&0u64.to_le_bytes())?;
        for part in filter.chunks(FILTER_BYTES_PER_BLOCK) {
            out.block(part)?;
        }
        let record = |key, line: Line| Record { key, offset: line.offset, length: line.length };
        out.records(lines.iter().map(|indexed| record(indexed.hash, indexed.line)))?;
        lines.sort_unstable_by_key(|indexed| (indexed.line.timestamp, indexed.line.offset));
        out.records(
            lines.iter().map(|indexed| record(key_of(indexed.line.timestamp), indexed.line)),
        )?;
        out.records(index.corrupt().iter().map(|corrupt| Record {
            key: corrupt.length,
            offset: corrupt.offset,
            length: 0,
        }))?;
        out.0.flush()?;
        if !confirm() {
            fs::remove_file(&temporary)?;
            return Ok(false);
        }
        // The new file is not synced: an index file can be lost, and a partial one is detected. But the
        // replaced file must not reappear after a crash: it does not count erasures from now on.
        let replaces = path.exists();
        fs::rename(&temporary, path)?;
        if let (true, Some(folder)) = (replaces, path.parent()) {
            sys::sync_folder(folder)?;
        }
        Ok(true)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
