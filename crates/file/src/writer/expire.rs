//! Deleting all that expired.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use attestry_core::{Order, StorageError, Timestamp};

use super::Changes;
use super::batch::share;
use super::queue::Answer;
use crate::erase::{Plan, WholeSegment, is_full};
use crate::fs::lock::Held;
use crate::observer::EraseReason;
use crate::segment::{Line, LineCursor, Segment, SegmentName};

/// So many lines share a journal; its size stays bounded whatever expires at once.
const ERASURES_AT_ONCE: usize = 4_096;
/// So many segments do.
const UNLINKED_AT_ONCE: usize = 16;
/// Whoever waits has its turn when this much time has passed, behind the next journal.
const TURN: Duration = Duration::from_millis(20);
/// How often it is tried on a full disk whether files that were unlinked have made room.
const LOOKS_FOR_ROOM: u32 = 20;
/// Between two of these.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// Deleting what expired: first segments of which all did, then the lines of others. That takes as long
/// as there is to erase, so others have their turn in between.
#[derive(Debug)]
pub(crate) struct Expiry {
    cutoff: Timestamp,
    note: EraseReason,
    /// Of segments up to this one all is erased that is due.
    done: Option<SegmentName>,
    /// Of this one, all that is older.
    begun: Option<(SegmentName, Timestamp)>,
    deleted: u64,
    /// Segments that were unlinked among others, which keeps their files open: to close them here would
    /// free them here, which takes longer than all the rest.
    unlinked: Vec<Arc<[Segment]>>,
    looks_for_room: u32,
    answer: Answer<u64>,
}

impl Expiry {
    pub(crate) fn new(cutoff: Timestamp, note: EraseReason, answer: Answer<u64>) -> Self {
        let (done, begun, unlinked) = (None, None, Vec::new());
        Self { cutoff, note, done, begun, deleted: 0, unlinked, looks_for_room: 0, answer }
    }

    pub(super) fn refuse(self, error: &StorageError) {
        drop(self.answer.send(Err(share(error))));
    }

    /// From when on there may be lines to erase in a segment.
    fn start_in(&self, segment: SegmentName) -> Timestamp {
        let begun = self.begun.filter(|(name, _)| *name == segment);
        begun.map_or(Timestamp::MIN, |(_, time)| time)
    }
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Paused,
    Done,
}

impl Changes {
    /// Deletes for a while. What is left to do comes back; else the caller is told how many entries
    /// went, or why no more could.
    pub(super) fn expire(&mut self, expiry: Expiry, held: &Held<'_>) -> Option<Expiry> {
        self.expire_until(Instant::now() + TURN, expiry, held)
    }

    fn expire_until(
        &mut self,
        until: Instant,
        mut expiry: Expiry,
        held: &Held<'_>,
    ) -> Option<Expiry> {
        let outcome = match self.expire_some(until, &mut expiry, held) {
            Ok(Progress::Paused) => return Some(expiry),
            Ok(Progress::Done) => Ok(expiry.deleted),
            Err(error) => Err(error),
        };
        self.catalog.defer_close(expiry.unlinked);
        drop(expiry.answer.send(outcome));
        None
    }

    fn expire_some(
        &mut self,
        until: Instant,
        expiry: &mut Expiry,
        held: &Held<'_>,
    ) -> Result<Progress, StorageError> {
        let segments = self.before_deleting(held)?;
        let (mut expired, mut in_part) = (Vec::new(), Vec::new());
        for segment in segments.iter() {
            let Some((earliest, latest)) = segment.file.time_bounds() else { continue };
            if latest <= expiry.cutoff && self.holds_entries_only(segment)? {
                expired.push(segment.clone());
            } else if earliest <= expiry.cutoff && Some(segment.name) > expiry.done {
                in_part.push(segment);
            }
        }
        // First what makes room: erasing lines takes some for the journal.
        for expired in expired.chunks(UNLINKED_AT_ONCE) {
            let entries = self.catalog.count(expired)?;
            self.unlink(expired, &expiry.note)?;
            expiry.deleted += entries;
            expiry.looks_for_room = LOOKS_FOR_ROOM;
            if expiry.unlinked.last().is_none_or(|last| !Arc::ptr_eq(last, &segments)) {
                expiry.unlinked.push(Arc::clone(&segments));
            }
            if Instant::now() > until {
                return Ok(Progress::Paused);
            }
        }
        let mut in_part = in_part.into_iter().peekable();
        while let Some(segment) = in_part.next() {
            match self.erase_expired(segment, expiry, until) {
                Ok(Progress::Done) => {
                    expiry.done = Some(segment.name);
                    if in_part.peek().is_some() && Instant::now() > until {
                        return Ok(Progress::Paused);
                    }
                }
                // Files that were unlinked take their room until nobody has them open: we by what we
                // knew of the folder, a reader by the same, and for a moment each process that this
                // one starts, until it is another program.
                Err(error) if expiry.looks_for_room > 0 && is_full(&error) => {
                    if expiry.unlinked.is_empty() {
                        thread::sleep(ROOM_PAUSE);
                    }
                    expiry.unlinked.clear();
                    expiry.looks_for_room -= 1;
                    return Ok(Progress::Paused);
                }
                paused => return paused,
            }
        }
        Ok(Progress::Done)
    }

    /// Whether every byte of a segment is accounted for by lines that can be read.
    fn holds_entries_only(&self, segment: &Segment) -> Result<bool, StorageError> {
        let path = || self.catalog.folder().segment(segment.name);
        let metadata = segment.file.handle.metadata();
        let length = metadata.map_err(|source| StorageError::io("examine", path(), source))?.len();
        let corrupt = self.catalog.corrupt_lines(std::slice::from_ref(segment))?;
        Ok(corrupt.is_empty() && length == segment.file.indexed_len())
    }

    fn unlink(&mut self, expired: &[Segment], note: &EraseReason) -> Result<(), StorageError> {
        let mut segments = Vec::with_capacity(expired.len());
        for segment in expired {
            self.active.forget(segment.file.id);
            let path = || self.catalog.folder().segment(segment.name);
            let whole = WholeSegment::new(segment.name, &segment.file.handle);
            segments.push(whole.map_err(|source| StorageError::io("examine", path(), source))?);
        }
        let plan = Plan { segments, note: Some(note.clone()), ..Plan::default() };
        self.erasures.erase(plan, &mut *self.observer)
    }

    /// Erases what is due in a segment; behind a damaged index file by what the segment itself says.
    fn erase_expired(
        &mut self,
        segment: &Segment,
        expiry: &mut Expiry,
        until: Instant,
    ) -> Result<Progress, StorageError> {
        match self.erase_indexed(segment, expiry, until) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::InvalidData => {
                let replaced = self.catalog.replace_damaged(segment)?;
                self.erase_indexed(&replaced, expiry, until)
            }
            erased => erased,
        }
    }

    fn erase_indexed(
        &mut self,
        segment: &Segment,
        expiry: &mut Expiry,
        until: Instant,
    ) -> Result<Progress, StorageError> {
        let path = self.catalog.folder().segment(segment.name);
        let failed = |source| StorageError::io("read the index of", &path, source);
        let start = expiry.start_in(segment.name);
        let mut cursor =
            LineCursor::new(segment.file.clone(), start, expiry.cutoff, Order::Ascending)
                .map_err(failed)?;
        let mut lines: Vec<(&Segment, Line)> = Vec::new();
        loop {
            let line = cursor.peek().map_err(failed)?;
            cursor.advance();
            if let Some(line) = line {
                // Only what still is the line that was indexed is overwritten.
                let bytes = self.catalog.unless_truncated(segment, cursor.read(line))?;
                let entry = match bytes {
                    Some(bytes) => self.catalog.decode(segment.name, line.offset, bytes)?,
                    None => None,
                };
                if entry.is_some_and(|entry| entry.timestamp == line.timestamp) {
                    lines.push((segment, line));
                }
            }
            if lines.len() == ERASURES_AT_ONCE || (line.is_none() && !lines.is_empty()) {
                self.erase(&lines, expiry.note.clone())?;
                expiry.deleted += lines.len() as u64;
                lines.clear();
                expiry.begun = line.map(|line| (segment.name, line.timestamp));
                if line.is_some() && Instant::now() > until {
                    return Ok(Progress::Paused);
                }
            }
            if line.is_none() {
                return Ok(Progress::Done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use attestry_core::{AuditEntry, line};
    use tokio::sync::oneshot;

    use super::super::tests::changes_in;
    use super::*;
    use crate::fs::layout::Folder;

    const CUTOFF: i64 = 10_000;

    fn line_of(id: &str, time: i64) -> Vec<u8> {
        let time = Timestamp::from_unix_micros(time).unwrap();
        let entry = AuditEntry::new(id.parse().unwrap(), time, "in".into(), "out".into());
        line::encode(&entry).unwrap()
    }

    fn append(path: &Path, lines: &[u8]) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(lines).unwrap();
    }

    /// Whatever is paused is gone on with, though others have appended and rotated meanwhile.
    #[test]
    fn in_parts_it_deletes_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        let (mut changes, lock) = changes_in(&folder);
        let path = |name: &str| folder.segment(SegmentName::parse(name).unwrap());
        // Of 40 segments all is expired, of one the half, of the one that grows two in three.
        for number in 1..=40 {
            let lines = [line_of(&format!("a{number}"), number), line_of(&format!("b{number}"), 7)];
            append(&path(&format!("audit_20260101_{number:03}.jsonl")), &lines.concat());
        }
        let half = |number| line_of(&format!("c{number}"), CUTOFF - 9_999 + number);
        append(&path("audit_20260102_001.jsonl"), &(0..20_000).flat_map(half).collect::<Vec<_>>());
        let grows = path("audit_20260102.jsonl");
        let of_three = |number: i64| line_of(&format!("d{number}"), CUTOFF * (number % 3));
        append(&grows, &(0..15_000).flat_map(of_three).collect::<Vec<_>>());

        let (answer, mut told) = oneshot::channel();
        let note =
            EraseReason { reason: "expired".into(), by: String::new(), at: Timestamp::UNIX_EPOCH };
        let cutoff = Timestamp::from_unix_micros(CUTOFF).unwrap();
        let mut left = Some(Expiry::new(cutoff, note, answer));
        let mut parts = 0;
        while let Some(expiry) = left.take() {
            left = changes.expire_until(Instant::now(), expiry, &lock.acquire().unwrap());
            parts += 1;
            append(&grows, &line_of(&format!("n{parts}"), CUTOFF + parts));
            if parts == 8 {
                fs::rename(&grows, path("audit_20260102_002.jsonl")).unwrap();
            }
        }
        // 16, 16 and 8 segments, and three times 4,096 lines of each of two.
        assert_eq!(parts, 3 + 3 + 3);
        assert_eq!(told.try_recv().unwrap().unwrap(), 80 + 10_000 + 10_000);

        let mut found = Vec::new();
        for listed in folder.list().unwrap() {
            for line in fs::read_to_string(folder.segment(listed.name)).unwrap().lines() {
                if !line.trim().is_empty() {
                    found.push(line::decode(line.as_bytes()).unwrap());
                }
            }
        }
        assert!(found.iter().all(|entry| entry.timestamp > cutoff));
        assert_eq!(found.len(), 10_000 + 5_000 + parts as usize);
        let held = lock.acquire().unwrap();
        let segments = changes.catalog.snapshot_locked(&held).unwrap();
        assert_eq!(changes.catalog.count(&segments).unwrap(), found.len() as u64);
    }
}
