//! An index file taken back into memory: of a segment that has grown since it was written, or will.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{IndexFile, Record, damaged};
use crate::fs::sys::FileId;
use crate::segment::index::{Index, Indexed};

/// What the index file at `path` says of the segment `segment`, which is open as `file` and has
/// `length` bytes. `None` when there is none; when it is another segment's, or damaged anywhere; when
/// lines were erased since, for it does not say which; and when the segment is no longer what it was.
pub(crate) fn load(path: &Path, segment: FileId, file: &File, length: u64) -> Option<Index> {
    let found = IndexFile::open_any(path, segment)?;
    if found.header.covered > length || found.erased.load(Ordering::Relaxed) > 0 {
        return None;
    }
    let (lines, bad) = (found.all_lines().ok()?, found.bad().ok()?);
    Index::restore(file, lines, bad, found.header.covered).ok()?
}

impl IndexFile {
    /// All lines in the order written, which the tables have in two other orders.
    fn all_lines(&self) -> io::Result<Vec<Indexed>> {
        let mut lines = self.lines_from(0, u64::MAX)?;
        lines.sort_unstable_by_key(|line| line.offset);
        let (table, mut blocks) = (self.header.by_id(), self.ahead());
        let hashes: io::Result<Vec<Record>> =
            (0..table.records).map(|number| blocks.record(table, number)).collect();
        let mut hashes = hashes?;
        hashes.sort_unstable_by_key(|record| record.offset);
        let mut end = 0;
        let join = |(line, record): (super::Line, Record)| {
            let same = (line.offset, line.length) == (record.offset, record.length);
            if !same || line.offset < end {
                return Err(damaged("its tables differ"));
            }
            end = line.offset + u64::from(line.length) + 1;
            Ok(Indexed { line, hash: record.key, erased: false })
        };
        lines.into_iter().zip(hashes).map(join).collect()
    }
}
