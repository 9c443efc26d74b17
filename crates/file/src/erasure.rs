//! Erasing lines in place, behind a journal that finishes after a crash what it began.
//!
//! A line is overwritten with spaces, its line break stays: readers, Python's too, pass over blank
//! lines, no other line moves, and the cost does not depend on the size of the store. The steps:
//!
//! 1. the journal names the lines; it is synced;
//! 2. the lines are overwritten; their files are synced;
//! 3. the journal is emptied; it is synced.
//!
//! A crash before step 1 is done leaves the lines; after it, the next open repeats step 2, which
//! may be done any number of times, since no name or offset changes while the journal stands.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod journal;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;

use attestry_core::StorageError;

use crate::folder::Folder;
use crate::generation;
use crate::segment::{IndexFile, SegmentName};
use crate::sys::{self, FileId};

pub(crate) use journal::Record;

/// Erasures of one store. Owned by the committer.
#[derive(Debug)]
pub(crate) struct Erasures {
    folder: Folder,
    /// The journal stands and its lines may not have been overwritten.
    pending: bool,
}

impl Erasures {
    /// Finishes what an earlier process left; and how many lines that were.
    pub(crate) fn recover(folder: Folder) -> Result<(Self, usize), StorageError> {
        let mut erasures = Self { folder, pending: true };
        let finished = erasures.finish_pending()?;
        Ok((erasures, finished))
    }

    /// Erases the lines of `records`. When it returns their bytes are gone from the files. After
    /// an error they are untouched, or [pending](Self::is_pending).
    pub(crate) fn erase(&mut self, records: Vec<Record>) -> Result<(), StorageError> {
        self.finish_pending()?;
        if records.is_empty() {
            return Ok(());
        }
        self.pending = true;
        if let Err(error) = self.write_journal(&records) {
            // Nothing was overwritten. A journal that may be whole must not outlive this, or it
            // would be carried out when its names mean something else.
            self.pending = self.clear_journal().is_err();
            return Err(error);
        }
        self.finish(records, true)
    }

    /// Whether lines that were to be erased may stand, overwritten in part or not at all, until
    /// the journal is carried out again.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    fn write_journal(&self, records: &[Record]) -> Result<(), StorageError> {
        let path = self.folder.journal();
        let failed = |source| StorageError::io("write", &path, source);
        let created = !path.exists();
        journal::write(&sys::open_read_write(&path).map_err(failed)?, records).map_err(failed)?;
        if created {
            let private = self.folder.private();
            sys::sync_folder(&private)
                .map_err(|source| StorageError::io("sync", &private, source))?;
        }
        Ok(())
    }

    fn clear_journal(&self) -> Result<(), StorageError> {
        let path = self.folder.journal();
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => {
                journal::clear(&file).map_err(|source| StorageError::io("empty", &path, source))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StorageError::io("open", &path, source)),
        }
    }

    /// Finishes an erasure that an error interrupted; and how many lines that were.
    pub(crate) fn finish_pending(&mut self) -> Result<usize, StorageError> {
        if !self.pending {
            return Ok(0);
        }
        let records = pending(&self.folder)?;
        let count = records.len();
        self.finish(records, false)?;
        Ok(count)
    }

    /// Looks whether another process left an erasure unfinished. The caller holds the lock.
    pub(crate) fn notice_pending(&mut self) {
        self.pending |= fs::metadata(self.folder.journal()).is_ok_and(|journal| journal.len() > 0);
    }

    /// Overwrites the lines and empties the journal. `first_time` tells whether the lines can have
    /// been counted as erased already.
    fn finish(&mut self, records: Vec<Record>, first_time: bool) -> Result<(), StorageError> {
        let mut by_segment: BTreeMap<SegmentName, Vec<Record>> = BTreeMap::new();
        for record in records {
            by_segment.entry(record.segment).or_default().push(record);
        }
        let erased_any = !by_segment.is_empty();
        for (segment, records) in by_segment {
            let path = self.folder.segment(segment);
            match OpenOptions::new().write(true).read(true).open(&path) {
                Ok(file) => overwrite(&file, &records)
                    .and_then(|()| self.count(&file, &records, first_time))
                    .map_err(|source| StorageError::io("erase lines of", &path, source))?,
                // The whole segment is gone, and the lines with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StorageError::io("open", &path, source)),
            }
        }
        if erased_any {
            generation::raise_erasures(&self.folder)?;
        }
        self.clear_journal()?;
        self.pending = false;
        Ok(())
    }

    /// Has the segment's index file, if it has one, count the erased lines; where that fails, or
    /// they may have been counted before, the index file goes and is made anew.
    fn count(&self, file: &File, records: &[Record], first_time: bool) -> io::Result<()> {
        let path = self.folder.index(FileId::of(&file.metadata()?));
        let counted = if first_time {
            IndexFile::add_erased(&path, records.len() as u64)
        } else {
            Err(io::ErrorKind::Other.into())
        };
        match counted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The erasures that were begun and, as far as the journal tells, not finished.
pub(crate) fn pending(folder: &Folder) -> Result<Vec<Record>, StorageError> {
    let path = folder.journal();
    let failed = |source| StorageError::io("read", &path, source);
    match File::open(&path) {
        Ok(file) => journal::read(&file).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(source)),
    }
}

fn overwrite(file: &File, records: &[Record]) -> io::Result<()> {
    let length = file.metadata()?.len();
    for record in records {
        // Never beyond the file: a record can name no more than what was there.
        let end = record.offset.saturating_add(record.length).min(length);
        let blank = vec![b' '; usize::try_from(end.saturating_sub(record.offset)).unwrap_or(0)];
        sys::write_all_at(file, &blank, record.offset)?;
    }
    file.sync_data()
}
