//! Append-only text files of the tree: the segment map and the erasure records.
//!
//! The tree head states how many bytes of each are valid. What follows them is left from a crash and
//! gets overwritten.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{EvidenceError, Result};
use crate::fs::{open, sys};

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

    /// The text of these bytes, which must all exist.
    pub(super) fn read(&self, bytes: Range<u64>) -> Result<String> {
        let text = read_text(&self.file, bytes)
            .map_err(|source| EvidenceError::io("read", &self.path, source))?;
        text.ok_or_else(|| EvidenceError::damaged(&self.path, "it is too short, or not UTF-8"))
    }

    /// Writes `text` at the end of the valid bytes.
    pub(super) fn append(&self, text: &str, valid_len: u64) -> Result<()> {
        sys::write_all_at(&self.file, text.as_bytes(), valid_len)
            .map_err(|source| EvidenceError::io("write", &self.path, source))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        sys::sync_data(&self.file)
    }

    /// The error for a line that cannot be parsed; the first line has number 1.
    pub(super) fn invalid_line(&self, number: usize) -> EvidenceError {
        EvidenceError::damaged(&self.path, format!("line {number} is invalid"))
    }
}

fn read_text(file: &File, bytes: Range<u64>) -> io::Result<Option<String>> {
    let file_len = sys::length_of(file)?;
    let length = usize::try_from(bytes.end.saturating_sub(bytes.start)).ok();
    let Some(length) = length.filter(|_| bytes.end <= file_len) else { return Ok(None) };
    let mut text = vec![0; length];
    sys::read_exact_at(file, &mut text, bytes.start)?;
    Ok(String::from_utf8(text).ok())
}
