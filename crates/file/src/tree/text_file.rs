//! Append-only text files of the tree: the segment map and the erasure records.
//!
//! The tree head states how many bytes of each are valid. What follows them is left from a crash and
//! gets overwritten.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{EvidenceError, Result};
use super::text_lines::{TextLine, TextLines};
use crate::fs::{open, sys};

/// What a file is that has less than the tree head says.
pub(super) const SHORTER: &str = "it is shorter than the tree head says: it was cut off, or copied before the head \
                                  while the store was written";

#[derive(Debug)]
pub(super) struct TextFile {
    path: PathBuf,
    file: File,
}

impl TextFile {
    /// Creates the file, or empties it: it may be left from a tree whose creation was interrupted.
    pub(super) fn create(path: &Path) -> Result<()> {
        open::read_write_or_create(path)
            .and_then(|file| file.set_len(0))
            .map_err(|source| EvidenceError::io("create", path, source))
    }

    pub(super) fn open(path: PathBuf, write: bool) -> Result<Self> {
        let file = if write { open::read_write_or_create(&path) } else { open::read(&path) };
        let file = file.map_err(|source| EvidenceError::io("open", &path, source))?;
        Ok(Self { path, file })
    }

    /// Visits the lines in these bytes, which must all exist and end with a line break, without their line
    /// breaks. A line that `visit` refuses is damage.
    pub(super) fn for_each_line(
        &self,
        bytes: Range<u64>,
        mut visit: impl FnMut(&str) -> Option<()>,
    ) -> Result<()> {
        let failed = |source| EvidenceError::io("read", &self.path, source);
        if sys::length_of(&self.file).map_err(failed)? < bytes.end {
            return Err(EvidenceError::damaged(&self.path, SHORTER));
        }
        let mut lines = TextLines::new(&self.file, bytes);
        let mut number = 0;
        while let Some(line) = lines.next().map_err(failed)? {
            number += 1;
            let TextLine::Whole(line) = line else { return Err(self.invalid_line(number)) };
            visit(line).ok_or_else(|| self.invalid_line(number))?;
        }
        Ok(())
    }

    /// Writes `text` at the end of the valid bytes.
    pub(super) fn append(&self, text: &str, valid_len: u64) -> Result<()> {
        sys::write_all_at(&self.file, text.as_bytes(), valid_len)
            .map_err(|source| EvidenceError::io("write", &self.path, source))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        sys::sync_data(&self.file)
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> EvidenceError {
        EvidenceError::damaged(&self.path, reason)
    }

    /// The error for a line that cannot be parsed; the first line has number 1.
    fn invalid_line(&self, number: usize) -> EvidenceError {
        EvidenceError::damaged(&self.path, format!("line {number} is invalid"))
    }
}
