//! Writing an index file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{Blocks, FILTER_BYTES_PER_BLOCK, Filter, Header, Record, key_of};
use crate::fs::sys::{self, FileId};
use crate::segment::index::{Index, Line};

/// Writes the index file of the segment `segment` to `path`; whole, or not at all. `confirm` is
/// asked last whether what `index` says still holds.
pub(crate) fn write(
    path: &Path,
    segment: FileId,
    index: &Index,
    confirm: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let mut lines: Vec<_> = index.known().iter().filter(|known| !known.erased).collect();
    lines.sort_unstable_by_key(|known| (known.hash, known.line.offset));
    let times = || lines.iter().map(|known| known.line.timestamp.unix_micros());
    let filter = Filter::of(lines.iter().map(|known| known.hash)).to_bytes();
    let header = Header {
        segment: segment.number(),
        covered: index.covered(),
        lines: lines.len() as u64,
        bad: index.bad().len() as u64,
        earliest: times().min().unwrap_or(i64::MAX),
        latest: times().max().unwrap_or(i64::MIN),
        filter_bytes: filter.len() as u64,
        born: segment.born(),
    };
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut out = Blocks(BufWriter::with_capacity(1 << 18, sys::create_new(&temporary)?));
        out.block(&header.encode())?;
        out.block(&0u64.to_le_bytes())?;
        for part in filter.chunks(FILTER_BYTES_PER_BLOCK) {
            out.block(part)?;
        }
        let record = |key, line: Line| Record { key, offset: line.offset, length: line.length };
        out.records(lines.iter().map(|known| record(known.hash, known.line)))?;
        lines.sort_unstable_by_key(|known| (known.line.timestamp, known.line.offset));
        out.records(lines.iter().map(|known| record(key_of(known.line.timestamp), known.line)))?;
        // The length of a bad line may need more than 32 bits; it stands in the place of the key.
        out.records(index.bad().iter().map(|bad| Record {
            key: bad.length,
            offset: bad.offset,
            length: 0,
        }))?;
        out.0.flush()?;
        if !confirm() {
            fs::remove_file(&temporary)?;
            return Ok(false);
        }
        // Not synced: losing an index loses nothing, and a half written one is found out. But the one
        // that was there before must not come back, as it does not count what is erased from now on.
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
