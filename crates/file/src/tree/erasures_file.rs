//! The file of erasure records, and what is remembered of it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::EvidenceError;
use super::erased::{Erased, ErasedLeaves};
use super::keeper::read_text;
use crate::fs::sys;

type Result<T> = std::result::Result<T, EvidenceError>;

/// How much of it holds is the head's to say: `length` in what follows.
#[derive(Debug)]
pub(super) struct ErasuresFile {
    path: PathBuf,
    file: File,
    /// So much of it was read, and this is what it says.
    known: (u64, ErasedLeaves),
}

impl ErasuresFile {
    pub(super) fn open(tree: &Path) -> Result<Self> {
        let path = tree.join("erasures");
        let file = sys::open_read_write(&path);
        let file = file.map_err(|source| EvidenceError::io("open", &path, source))?;
        Ok(Self { path, file, known: (0, ErasedLeaves::default()) })
    }

    /// Which leaves are on record as erased. Only what is new since this was last asked is read.
    pub(super) fn leaves(&mut self, length: u64) -> Result<&ErasedLeaves> {
        let read = self.known.0;
        if read < length {
            let text = self.read(read..length)?;
            self.known.1.take_in(&text).map_err(|line| self.damaged(line))?;
            self.known.0 = length;
        }
        Ok(&self.known.1)
    }

    /// All records.
    pub(super) fn records(&self, length: u64) -> Result<Erased> {
        Erased::parse(&self.read(0..length)?).map_err(|line| self.damaged(line))
    }

    /// Remembers nothing of what is behind `length`: it may have been written anew.
    pub(super) fn forget_behind(&mut self, length: u64) {
        if self.known.0 > length {
            self.known = (0, ErasedLeaves::default());
        }
    }

    /// Writes lines at the end.
    pub(super) fn append(&self, text: &str, length: u64) -> Result<()> {
        sys::write_all_at(&self.file, text.as_bytes(), length)
            .map_err(|source| EvidenceError::io("write", &self.path, source))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read(&self, part: Range<u64>) -> Result<String> {
        let text = read_text(&self.file, part);
        let text = text.map_err(|source| EvidenceError::io("read", &self.path, source))?;
        text.ok_or_else(|| EvidenceError::damaged(&self.path, "it is too short"))
    }

    fn damaged(&self, line: usize) -> EvidenceError {
        EvidenceError::damaged(&self.path, format!("line {line} is none"))
    }
}
