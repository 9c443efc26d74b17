//! Loads an index file into memory, for a segment that has grown since or may grow.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{IndexFile, Line, Mutable, Record, damaged};
use crate::fs::sys::{FileId, FileState};
use crate::segment::index::{IndexedLine, MemoryIndex, SavedIndex};
use crate::segment::terms::IndexKeys;

/// Loads the index file at `path` of the segment `segment`, which is open as `file` and in this state, if it
/// covers at most `length` bytes. `None` if it is missing, damaged, that of another segment, or stale; if lines
/// were erased since, as it does not tell which; and if it lacks one of `keys`.
pub(crate) fn load(
    path: &Path,
    segment: FileId,
    file: &File,
    length: u64,
    state: FileState,
    keys: &IndexKeys,
) -> Option<MemoryIndex> {
    let found = IndexFile::open_partial(path, segment)?;
    let Mutable { erased, state: known } = Mutable::read(&found.file).ok()?;
    if found.header.indexed_len > length || erased > 0 || known.is_replaced_by(state) {
        return None;
    }
    let lines = found.all_lines().ok()?;
    let secondary = found.secondary(keys, &lines).ok()??;
    let (corrupt, indexed_len) = (found.corrupt().ok()?, found.header.indexed_len);
    let saved = SavedIndex { lines, secondary, corrupt, indexed_len };
    MemoryIndex::restore(file, saved).ok()?
}

impl IndexFile {
    /// All lines in write order: the sections by time and by id, joined by offset.
    pub(super) fn all_lines(&self) -> io::Result<Vec<IndexedLine>> {
        let mut lines = self.lines_from(0, u64::MAX)?;
        lines.sort_unstable_by_key(|line| line.offset);
        let (section, mut blocks) = (self.header.by_id(), self.sequential_blocks());
        let hashes: io::Result<Vec<Record>> =
            (0..section.records).map(|number| blocks.record(section, number)).collect();
        let mut hashes = hashes?;
        hashes.sort_unstable_by_key(|record| record.offset);
        let mut end = 0;
        let join = |(line, record): (Line, Record)| {
            let same = (line.offset, line.length) == (record.offset, record.length);
            if !same || line.offset < end {
                return Err(damaged("its sections differ"));
            }
            end = line.offset + u64::from(line.length) + 1;
            Ok(IndexedLine { line, hash: record.key, erased: false })
        };
        lines.into_iter().zip(hashes).map(join).collect()
    }
}
