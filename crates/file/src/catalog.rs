//! What the folder holds at a moment, with the indexes that are remembered of it.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use attestry_core::{AuditEntry, CorruptRecord, EntryId, StorageError, line};

use crate::erasure;
use crate::folder::{Folder, Listed};
use crate::segment::{Index, Line, SegmentName, read_line};
use crate::sys::FileId;

/// Finds segments and keeps their indexes in memory. Shared by readers and the committer; all
/// methods block on files.
#[derive(Debug)]
pub(crate) struct Catalog {
    folder: Folder,
    /// No other process changes what stands in this folder.
    owner: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By file, not by name: a rotation keeps what is known.
    segments: HashMap<FileId, (Arc<File>, Arc<RwLock<Index>>)>,
    /// The generation at which that was learned.
    generation: u64,
}

/// One segment with an index that is complete up to its last line break at that moment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) id: FileId,
    /// Its length when it was listed.
    pub(crate) length: u64,
    file: Arc<File>,
    index: Arc<RwLock<Index>>,
}

/// A record: its line, without the line break, and what that says.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) line: Vec<u8>,
    pub(crate) entry: AuditEntry,
}

impl Catalog {
    pub(crate) fn new(folder: Folder, owner: bool) -> Self {
        Self { folder, owner, known: Mutex::default() }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// All segments in the order written, indexes up to date.
    pub(crate) fn snapshot(&self) -> Result<Vec<Segment>, StorageError> {
        self.notice_erasures()?;
        // A rotation between two looks at the folder could hide a segment from both; two equal
        // listings in a row cannot both miss one.
        let mut listed = self.folder.list()?;
        loop {
            let segments: Option<Vec<_>> =
                listed.iter().map(|found| self.open(found)).collect::<Result<_, _>>()?;
            let again = self.folder.list()?;
            let same_names =
                listed.iter().map(|l| (l.name, l.id)).eq(again.iter().map(|l| (l.name, l.id)));
            if let (Some(segments), true) = (segments, same_names) {
                self.remember_only(&segments);
                return Ok(segments);
            }
            listed = again;
        }
    }

    /// `None` when the file went away or was replaced since it was listed.
    fn open(&self, listed: &Listed) -> Result<Option<Segment>, StorageError> {
        let path = self.folder.segment(listed.name);
        let known = self.lock().segments.get(&listed.id).cloned();
        let (file, index) = match known {
            Some(known) => known,
            None => match File::open(&path) {
                Ok(file) => (Arc::new(file), Arc::default()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(StorageError::io("open", path, source)),
            },
        };
        let metadata =
            file.metadata().map_err(|source| StorageError::io("examine", &path, source))?;
        if FileId::of(&metadata) != listed.id {
            return Ok(None);
        }
        let length = metadata.len();
        {
            let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
            let being_erased = |offset| self.is_being_erased(listed.name, offset);
            index
                .extend(&file, length, being_erased)
                .map_err(|source| StorageError::io("read", &path, source))?;
        }
        self.lock().segments.insert(listed.id, (file.clone(), index.clone()));
        Ok(Some(Segment { name: listed.name, id: listed.id, length, file, index }))
    }

    /// Asked only of lines that look half overwritten.
    fn is_being_erased(&self, segment: SegmentName, offset: u64) -> bool {
        erasure::pending(&self.folder).is_ok_and(|records| {
            records.iter().any(|record| record.segment == segment && record.offset == offset)
        })
    }

    /// Drops the indexes when another process erased something. The owner of the store erases
    /// itself and keeps them up to date.
    fn notice_erasures(&self) -> Result<(), StorageError> {
        if self.owner {
            return Ok(());
        }
        let generation = erasure::generation(&self.folder)?;
        let mut known = self.lock();
        if known.generation != generation {
            known.segments.clear();
            known.generation = generation;
        }
        Ok(())
    }

    fn remember_only(&self, segments: &[Segment]) {
        self.lock().segments.retain(|id, _| segments.iter().any(|segment| segment.id == *id));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every record of `id`, the first written first.
    ///
    /// # Errors
    ///
    /// `Corrupt` when there is none, and a line that cannot be read names the id.
    pub(crate) fn find(
        &self,
        id: &EntryId,
    ) -> Result<Vec<(Segment, Line, AuditEntry)>, StorageError> {
        let segments = self.snapshot()?;
        let mut found = Vec::new();
        for segment in &segments {
            let candidates = segment.index().candidates(id);
            for line in candidates {
                if let Some(stored) =
                    self.read(segment, line)?.filter(|stored| stored.entry.id == *id)
                {
                    found.push((segment.clone(), line, stored.entry));
                }
            }
        }
        if found.is_empty() {
            self.refuse_if_unreadable(&segments, id)?;
        }
        Ok(found)
    }

    /// Saying "there is none" of an id that stands in a line we cannot read would be a lie.
    fn refuse_if_unreadable(&self, segments: &[Segment], id: &EntryId) -> Result<(), StorageError> {
        let needle = serde_json::to_string(id.as_str()).unwrap_or_default();
        for segment in segments {
            for bad in segment.index().bad() {
                // A longer line is no entry's.
                let length =
                    u32::try_from(bad.length.min(line::MAX_LINE_BYTES as u64)).unwrap_or(0);
                let bytes = read_line(&segment.file, bad.offset, length).map_err(|source| {
                    StorageError::io("read", self.folder.segment(segment.name), source)
                })?;
                if memchr::memmem::find(&bytes, needle.as_bytes()).is_some() {
                    return Err(self.corrupt(segment, bad.offset, &bad.reason));
                }
            }
        }
        Ok(())
    }

    /// The record on a line; `None` when it has been erased since the index was read.
    pub(crate) fn read(
        &self,
        segment: &Segment,
        line: Line,
    ) -> Result<Option<Stored>, StorageError> {
        let bytes = match read_line(&segment.file, line.offset, line.length) {
            Ok(bytes) => bytes,
            // A write that failed was undone, or the Python package rewrote the file.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(source) => {
                return Err(StorageError::io("read", self.folder.segment(segment.name), source));
            }
        };
        match line::decode(&bytes) {
            Ok(entry) => Ok(Some(Stored { line: bytes, entry })),
            // It was readable when it was indexed, and overwriting begins at the front.
            Err(_) if bytes.first() == Some(&b' ') => Ok(None),
            Err(error) => Err(self.corrupt(segment, line.offset, &error.to_string())),
        }
    }

    /// Every record that cannot be read.
    pub(crate) fn corrupt_records(
        &self,
        segments: &[Segment],
    ) -> Result<Vec<StorageError>, StorageError> {
        let mut errors = Vec::new();
        for segment in segments {
            let index = segment.index();
            errors.extend(
                index.bad().iter().map(|bad| self.corrupt(segment, bad.offset, &bad.reason)),
            );
            let torn = segment.length - index.covered().min(segment.length);
            if torn > 0 && !self.owner && !self.writer_is_at_work()? {
                let reason = format!(
                    "the last line is torn: {torn} bytes without a line break; opening the store for writing sets them aside"
                );
                errors.push(self.corrupt(segment, index.covered(), &reason));
            }
        }
        Ok(errors)
    }

    /// Whether an unfinished last line may be one that is being written.
    fn writer_is_at_work(&self) -> Result<bool, StorageError> {
        let path = self.folder.lock();
        match File::open(&path) {
            Ok(lock) => Ok(lock.try_lock_shared().is_err()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StorageError::io("open", path, source)),
        }
    }

    fn corrupt(&self, segment: &Segment, offset: u64, reason: &str) -> StorageError {
        let location = self.folder.segment(segment.name).display().to_string();
        CorruptRecord { location, offset: Some(offset), reason: reason.to_owned() }.into()
    }
}

impl Segment {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the index that the line at `offset` is gone.
    pub(crate) fn forget_line(&self, offset: u64) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).erase(offset);
    }
}
