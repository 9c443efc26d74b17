//! What the folder holds at a moment, with the indexes that are remembered of it.

mod cached;
mod progress;
mod refresh;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestry_core::{AuditEntry, CorruptRecord, EntryId, StorageError, line};

use crate::erase::{self, Record};
use crate::fs::clock::Clock;
use crate::fs::epoch::{Stamp, Watched};
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
use crate::fs::sys::{FileId, IoMode};
use crate::segment::{
    BadLine, Body, Line, Segment, SegmentName, Wanted, hash_of, likely, may_be_erased, read_line,
};
pub use progress::IndexingProgress;
pub(crate) use progress::Listener;

/// Finds segments and remembers where their lines are. Shared by readers and the committer; all
/// methods block on files.
#[derive(Debug)]
pub(crate) struct Catalog {
    folder: Folder,
    /// There when this process may write: then index files are made.
    lock: Option<Arc<StoreLock>>,
    known: Mutex<Known>,
    listener: Listener,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Known {
    stamp: Option<Stamp>,
    /// What the stamp is read from before every use of what is known.
    watched: Watched,
    /// In the order written.
    segments: Arc<[Segment]>,
    /// Those of them whose index is in memory, and that may have grown.
    live: Vec<Segment>,
    /// Of segments that were unlinked the last files are in here, maybe.
    gone: Vec<Arc<[Segment]>>,
    indexes_made: usize,
}

/// A record and where it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segment: Segment,
    pub(crate) line: Line,
    pub(crate) entry: AuditEntry,
}

impl Catalog {
    pub(crate) fn new(folder: Folder, lock: Option<Arc<StoreLock>>, listener: Listener) -> Self {
        Self { folder, lock, known: Mutex::default(), listener, clock: Clock::default() }
    }

    /// The same by another clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How many index files this has made.
    pub(crate) fn indexes_made(&self) -> usize {
        self.lock().indexes_made
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records `segments` hold, readable or not.
    pub(crate) fn count(&self, segments: &[Segment]) -> Result<u64, StorageError> {
        let records = |segment: &Segment| {
            segment
                .body
                .records(IoMode::Blocking)
                .map_err(|source| self.failed("read the index of", segment, source))
        };
        segments.iter().map(records).sum()
    }

    /// The record of `id` that was written first.
    ///
    /// # Errors
    ///
    /// `Corrupt` when there is none, and a line that cannot be read names the id.
    pub(crate) fn find(
        &self,
        segments: &[Segment],
        id: &EntryId,
    ) -> Result<Option<Found>, StorageError> {
        let wanted = Wanted::new(hash_of(id));
        for segment in likely(segments, &wanted) {
            if let Some(found) = self.find_in(segment, id, &wanted)?.into_iter().next() {
                return Ok(Some(found));
            }
        }
        self.refuse_if_unreadable(segments, id)?;
        Ok(None)
    }

    /// Every record of `id`, the first written first; errors as [`find`](Self::find).
    pub(crate) fn find_all(
        &self,
        segments: &[Segment],
        id: &EntryId,
    ) -> Result<Vec<Found>, StorageError> {
        let wanted = Wanted::new(hash_of(id));
        let mut found = Vec::new();
        for segment in likely(segments, &wanted) {
            found.extend(self.find_in(segment, id, &wanted)?);
        }
        if found.is_empty() {
            self.refuse_if_unreadable(segments, id)?;
        }
        Ok(found)
    }

    fn find_in(
        &self,
        segment: &Segment,
        id: &EntryId,
        wanted: &Wanted,
    ) -> Result<Vec<Found>, StorageError> {
        let candidates = match segment.body.candidates(wanted, IoMode::Blocking) {
            Ok(candidates) => candidates,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return self.find_in(&self.replace_damaged(segment)?, id, wanted);
            }
            Err(source) => return Err(self.failed("read the index of", segment, source)),
        };
        let mut found = Vec::new();
        for line in candidates {
            let bytes = read_line(&segment.body.file, line.offset, line.length);
            let Some(bytes) = self.still_there(segment, bytes)? else { continue };
            let entry = self.understand(segment.name, line.offset, &bytes)?;
            if let Some(entry) = entry.filter(|entry| entry.id == *id) {
                let line = Line { timestamp: entry.timestamp, ..line };
                found.push(Found { segment: segment.clone(), line, entry });
            }
        }
        Ok(found)
    }

    /// Saying "there is none" of an id that stands in a line we cannot read would be a lie.
    fn refuse_if_unreadable(&self, segments: &[Segment], id: &EntryId) -> Result<(), StorageError> {
        let needles = spellings(id);
        for (segment, bad) in self.bad_lines(segments)? {
            let bytes = self.read_bad(&segment, bad)?;
            let names_it = |needle: &String| memchr::memmem::find(&bytes, needle.as_bytes());
            if needles.iter().any(|needle| names_it(needle).is_some()) {
                return Err(self.corrupt(segment.name, bad.offset, &reason(bad, &bytes)));
            }
        }
        Ok(())
    }

    /// What was `read` of a line; `None` when the file ends before it, as when a write that failed
    /// was undone, or the Python package rewrote the file.
    pub(crate) fn still_there<B>(
        &self,
        segment: &Segment,
        read: io::Result<B>,
    ) -> Result<Option<B>, StorageError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(self.failed("read", segment, source)),
        }
    }

    /// The entry in the `bytes` of the line at `offset`; `None` when it has been erased since it was
    /// indexed.
    #[inline]
    pub(crate) fn understand(
        &self,
        segment: SegmentName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Option<AuditEntry>, StorageError> {
        match line::decode(bytes) {
            Ok(entry) => Ok(Some(entry)),
            // It was readable when it was indexed.
            Err(_) if may_be_erased(bytes) => Ok(None),
            Err(error) => Err(self.corrupt(segment, offset, &error.to_string())),
        }
    }

    /// Every record that cannot be read.
    pub(crate) fn corrupt_records(
        &self,
        segments: &[Segment],
    ) -> Result<Vec<StorageError>, StorageError> {
        let mut errors = Vec::new();
        for (segment, bad) in self.bad_lines(segments)? {
            let bytes = self.read_bad(&segment, bad)?;
            errors.push(self.corrupt(segment.name, bad.offset, &reason(bad, &bytes)));
        }
        for segment in segments {
            if let Some((offset, length)) = self.torn_tail(segment)? {
                let reason = format!(
                    "the last line is torn: {length} bytes without a line break; opening the store for writing sets them aside"
                );
                errors.push(self.corrupt(segment.name, offset, &reason));
            }
        }
        Ok(errors)
    }

    /// Every line that holds no entry.
    pub(crate) fn bad_lines(
        &self,
        segments: &[Segment],
    ) -> Result<Vec<(Segment, BadLine)>, StorageError> {
        let mut found = Vec::new();
        for segment in segments {
            let bad = match segment.body.bad(IoMode::Blocking) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.replace_damaged(segment)?.body.bad(IoMode::Blocking)
                }
                bad => bad,
            };
            let bad = bad.map_err(|source| self.failed("read the index of", segment, source))?;
            found.extend(bad.into_iter().map(|bad| (segment.clone(), bad)));
        }
        Ok(found)
    }

    fn read_bad(&self, segment: &Segment, bad: BadLine) -> Result<Vec<u8>, StorageError> {
        // A longer line is no entry's; its beginning will do.
        let length = bad.length.min(line::MAX_LINE_BYTES as u64);
        read_line(&segment.body.file, bad.offset, u32::try_from(length).unwrap_or(0))
            .map_err(|source| self.failed("read", segment, source))
    }

    /// Where the last line starts, and how long it is, when it has no line break and nobody is
    /// writing it.
    fn torn_tail(&self, segment: &Segment) -> Result<Option<(u64, u64)>, StorageError> {
        let tail = || -> Result<u64, StorageError> {
            let metadata = segment.body.file.metadata();
            let length = metadata.map_err(|source| self.failed("examine", segment, source))?.len();
            Ok(length.saturating_sub(segment.body.covered()))
        };
        if tail()? == 0 {
            return Ok(None);
        }
        let path = self.folder.lock();
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some((segment.body.covered(), tail()?)));
            }
            Err(source) => return Err(StorageError::io("open", path, source)),
        };
        if lock.try_lock_shared().is_err() {
            return Ok(None); // a writer is at work, and the line is its
        }
        // Nobody writes now; what was under way when we looked is whole.
        self.extend(segment)?;
        Ok(match tail()? {
            0 => None,
            length => Some((segment.body.covered(), length)),
        })
    }

    /// Whether the line at `offset`, of which a part looks blank, is on its way to being erased.
    fn is_being_erased(&self, segment: &Segment, offset: u64, length: usize) -> bool {
        let named = |record: &Record| record.segment == segment.name && record.offset == offset;
        let is_planned =
            erase::pending(&self.folder).is_ok_and(|plan| plan.lines.iter().any(named));
        // Where the plan is carried out by now, all of it is blank.
        let is_blank = || {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            let bytes = read_line(&segment.body.file, offset, length);
            bytes.is_ok_and(|bytes| bytes.trim_ascii().is_empty())
        };
        is_planned || is_blank()
    }

    fn failed(&self, action: &'static str, segment: &Segment, source: io::Error) -> StorageError {
        StorageError::io(action, self.folder.segment(segment.name), source)
    }

    fn corrupt(&self, segment: SegmentName, offset: u64, reason: &str) -> StorageError {
        let location = self.folder.segment(segment).display().to_string();
        CorruptRecord { location, offset: Some(offset), reason: reason.to_owned() }.into()
    }
}

/// An id as JSON has it: with everything beyond ASCII escaped, as our lines and Python's, and as it is.
fn spellings(id: &EntryId) -> [String; 2] {
    let plain = serde_json::to_string(id.as_str()).unwrap_or_default();
    let mut escaped = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    [escaped, plain]
}

fn reason(bad: BadLine, bytes: &[u8]) -> String {
    if bad.length > line::MAX_LINE_BYTES as u64 {
        return format!(
            "the line has {} bytes; at most {} are allowed",
            bad.length,
            line::MAX_LINE_BYTES
        );
    }
    match line::decode(bytes) {
        Err(error) => error.to_string(),
        Ok(_) => "the line could not be read when it was indexed".to_owned(),
    }
}

/// Bodies by their file, for keeping what is known through a rotation.
type Bodies = HashMap<FileId, Arc<Body>>;

#[cfg(test)]
mod tests {
    use std::fs;

    use attestry_core::{Timestamp, hash_content};

    use super::*;
    use crate::erase::Plan;
    use crate::fs::epoch;
    use crate::fs::sys;
    use crate::observer::NoObserver;
    use crate::recovery;

    fn line_of(id: &str) -> Vec<u8> {
        let hash = hash_content(id);
        let (id, time) = (id.parse().unwrap(), Timestamp::UNIX_EPOCH);
        line::encode(&AuditEntry::new(id, time, hash.clone(), hash)).unwrap()
    }

    #[test]
    fn what_is_erased_behind_a_damaged_index_file_is_erased_for_those_who_read_meanwhile() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let path = |name: &str| folder.segment(SegmentName::parse(name).unwrap());
        let sealed = path("audit_20260128_001.jsonl");
        fs::write(&sealed, [line_of("a"), line_of("b")].concat()).unwrap();
        fs::write(path("audit_20260128.jsonl"), line_of("c")).unwrap();

        let lock = Arc::new(StoreLock::open(&folder).unwrap());
        let catalog = Catalog::new(folder.clone(), Some(lock.clone()), Listener::default());
        let held = lock.acquire().unwrap();
        let mut observer = NoObserver;
        let (mut erasures, _) = recovery::recover(&folder, &mut observer).unwrap();
        let segments = catalog.snapshot_locked(&held).unwrap();
        let index = folder.index(FileId::of(&fs::metadata(&sealed).unwrap()));
        let mut bytes = fs::read(&index).unwrap();
        bytes[3 * 1_024] ^= 1; // lines by their id
        fs::write(&index, bytes).unwrap();

        let found = catalog.find_all(&segments, &"a".parse().unwrap()).unwrap();
        let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
        assert_eq!(catalog.count(&catalog.snapshot().unwrap()).unwrap(), 3);
        let (segment, offset) = (lines[0].0.name, lines[0].1.offset);
        let length = lines[0].1.length.into();
        let record = Record { segment, offset, length, sums: Vec::new(), leaf: None };
        let plan = Plan { lines: vec![record], ..Plan::default() };
        erasures.erase(plan, &mut observer).unwrap();
        catalog.note_erased(&lines).unwrap();
        assert_eq!(catalog.count(&catalog.snapshot().unwrap()).unwrap(), 2);
    }

    #[test]
    fn lines_in_the_place_of_those_that_were_undone_are_seen_though_they_are_as_long() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let path = folder.segment(SegmentName::parse("audit_20260128.jsonl").unwrap());
        fs::write(&path, [line_of("kept"), line_of("undone")].concat()).unwrap();
        let catalog = Catalog::new(folder.clone(), None, Listener::default());
        let is_there = |id: &str| {
            let segments = catalog.snapshot().unwrap();
            catalog.find(&segments, &id.parse().unwrap()).unwrap().is_some()
        };
        assert!(is_there("undone"));

        let older = catalog.snapshot().unwrap();
        // As by one who writes, whose next append comes before we look again.
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(line_of("kept").len() as u64).unwrap();
        epoch::raise_layout(&folder).unwrap();
        sys::write_all_at(&file, &line_of("stored"), line_of("kept").len() as u64).unwrap();
        assert!(is_there("stored") && is_there("kept") && !is_there("undone"));
        // Who still looks into what was known before is not told that nothing is there.
        assert_eq!(older[0].body.records(IoMode::Blocking).unwrap(), 2);
        assert!(catalog.find(&older, &"kept".parse().unwrap()).unwrap().is_some());
    }
}
