//! Writing an index file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{
    BLOCK, FILTER_BYTES_PER_BLOCK, Header, PAYLOAD, RECORD, RECORDS_PER_BLOCK, Record, key_of,
};
use crate::segment::filter;
use crate::segment::index::{Index, Line};
use crate::sys::{self, FileId};

/// Writes the index file of the segment `segment` to `path`; whole, or not at all. `confirm` is
/// asked last whether what `index` says still holds.
pub(crate) fn write(
    path: &Path,
    segment: FileId,
    index: &Index,
    confirm: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let mut lines: Vec<_> = index.known().iter().filter(|known| !known.erased).collect();
    let times = || lines.iter().map(|known| known.line.timestamp.unix_micros());
    let filter = filter::build(lines.iter().map(|known| known.hash));
    let header = Header {
        segment: segment.number(),
        covered: index.covered(),
        lines: lines.len() as u64,
        bad: index.bad().len() as u64,
        earliest: times().min().unwrap_or(i64::MAX),
        latest: times().max().unwrap_or(i64::MIN),
        filter_bytes: filter.len() as u64,
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
        lines.sort_unstable_by_key(|known| (known.hash, known.line.offset));
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

/// Blocks, each behind the other, with their checksums.
pub(super) struct Blocks<W: Write>(pub(super) W);

impl<W: Write> Blocks<W> {
    pub(super) fn block(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        block[..payload.len()].copy_from_slice(payload);
        let checksum = crc32fast::hash(&block[..PAYLOAD]);
        block[PAYLOAD..].copy_from_slice(&checksum.to_le_bytes());
        self.0.write_all(&block)
    }

    fn records(&mut self, records: impl Iterator<Item = Record>) -> io::Result<()> {
        let mut payload = Vec::with_capacity(PAYLOAD);
        for record in records {
            payload.extend_from_slice(&record.key.to_le_bytes());
            payload.extend_from_slice(&record.offset.to_le_bytes());
            payload.extend_from_slice(&record.length.to_le_bytes());
            if payload.len() == RECORDS_PER_BLOCK as usize * RECORD {
                self.block(&payload)?;
                payload.clear();
            }
        }
        if payload.is_empty() { Ok(()) } else { self.block(&payload) }
    }
}
