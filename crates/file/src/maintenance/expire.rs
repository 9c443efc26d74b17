//! Expiry: deletes all entries at or before a cutoff.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use attestry_core::{Order, StorageError, Timestamp};

use super::delete::{erase, prepare};
use super::{LogParts, Progress, RefusedSegments};
use crate::erase::{EraseIntent, ErasedSegment, Refused, is_full, is_refused};
use crate::fs::lock::LockGuard;
use crate::fs::segment_name::SegmentName;
use crate::observer::EraseReason;
use crate::quarantine;
use crate::segment::{Line, LineCursor, LineSelection, Segment};

/// Lines of one intent log; bounds its size.
const LINES_PER_INTENT: usize = 4_096;
/// Segments of one intent log.
const SEGMENTS_PER_INTENT: usize = 16;
/// How often an erasure is retried on a full disk after files were unlinked.
const FULL_DISK_RETRIES: u32 = 20;
const FULL_DISK_PAUSE: Duration = Duration::from_millis(10);

/// Unlinks the segments of which every entry is expired, then erases the expired lines of the others.
#[derive(Debug)]
pub(crate) struct Expiry {
    cutoff: Timestamp,
    reason: EraseReason,
    /// The last segment of which all expired lines are erased.
    done: Option<SegmentName>,
    /// A segment of which all expired lines before this time are erased.
    begun: Option<(SegmentName, Timestamp)>,
    deleted: u64,
    /// Snapshots that hold the handles of unlinked segments. The last close of an unlinked file frees
    /// its blocks, which would take longer than everything else in the step.
    unlinked: Vec<Arc<[Segment]>>,
    retries_left: u32,
    refused: RefusedSegments,
}

/// Whether the time of a step is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Paused,
    Done,
}

impl Expiry {
    pub(super) fn new(cutoff: Timestamp, reason: EraseReason) -> Self {
        let (done, begun, unlinked) = (None, None, Vec::new());
        let refused = RefusedSegments::default();
        Self { cutoff, reason, done, begun, deleted: 0, unlinked, retries_left: 0, refused }
    }

    /// Erases until `deadline`, at least one intent log.
    pub(super) fn step(
        &mut self,
        deadline: Instant,
        log: &mut LogParts,
        guard: &LockGuard<'_>,
    ) -> Result<Progress, StorageError> {
        let pass = self.erase_until(deadline, log, guard);
        if matches!(pass, Ok(Pass::Paused)) {
            return Ok(Progress::Pending);
        }
        log.catalog.defer_close(std::mem::take(&mut self.unlinked));
        pass?;
        quarantine::expire(log.catalog.folder(), self.cutoff)?;
        self.refused.finish(self.deleted)
    }

    fn erase_until(
        &mut self,
        deadline: Instant,
        log: &mut LogParts,
        guard: &LockGuard<'_>,
    ) -> Result<Pass, StorageError> {
        let segments = prepare(log, guard)?;
        let (mut expired, mut partly_expired) = (Vec::new(), Vec::new());
        for segment in segments.iter() {
            let Some((earliest, latest)) = segment.file.time_bounds() else { continue };
            if self.refused.contains(segment.name) {
                continue;
            }
            if latest <= self.cutoff && holds_entries_only(log, segment)? {
                expired.push(segment.clone());
            } else if earliest <= self.cutoff && Some(segment.name) > self.done {
                partly_expired.push(segment);
            }
        }
        // Segments first: that frees space, and erasing lines needs some for the intent log.
        for expired in expired.chunks(SEGMENTS_PER_INTENT) {
            for refused in unlink(log, expired, &self.reason)? {
                self.refused.add(refused.segment, refused.error);
            }
            let is_unlinked = |segment: &&Segment| !self.refused.contains(segment.name);
            let removed: Vec<_> = expired.iter().filter(is_unlinked).cloned().collect();
            self.deleted += log.catalog.count(&removed)?;
            self.retries_left = FULL_DISK_RETRIES;
            if self.unlinked.last().is_none_or(|last| !Arc::ptr_eq(last, &segments)) {
                self.unlinked.push(Arc::clone(&segments));
            }
            if Instant::now() > deadline {
                return Ok(Pass::Paused);
            }
        }
        let mut partly_expired = partly_expired.into_iter().peekable();
        while let Some(segment) = partly_expired.next() {
            match self.erase_expired(segment, deadline, log) {
                Ok(Pass::Done) => {
                    self.done = Some(segment.name);
                    if partly_expired.peek().is_some() && Instant::now() > deadline {
                        return Ok(Pass::Paused);
                    }
                }
                // Unlinked files occupy their space until the last handle is closed: those of this
                // process's snapshots, of readers, and of child processes between fork and exec.
                Err(error) if self.retries_left > 0 && is_full(&error) => {
                    if self.unlinked.is_empty() {
                        thread::sleep(FULL_DISK_PAUSE);
                    }
                    self.unlinked.clear();
                    self.retries_left -= 1;
                    return Ok(Pass::Paused);
                }
                // Not begun, so that the others can be erased.
                Err(error) if is_refused(&error) && !log.erasures.is_pending() => {
                    self.refused.add(segment.name, error);
                }
                paused => return paused,
            }
        }
        Ok(Pass::Done)
    }

    /// Erases the expired lines of a segment. If the index file is damaged, the segment is indexed again.
    fn erase_expired(
        &mut self,
        segment: &Segment,
        deadline: Instant,
        log: &mut LogParts,
    ) -> Result<Pass, StorageError> {
        match self.erase_indexed(segment, deadline, log) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::InvalidData => {
                let replaced = log.catalog.replace_damaged(segment)?;
                self.erase_indexed(&replaced, deadline, log)
            }
            erased => erased,
        }
    }

    fn erase_indexed(
        &mut self,
        segment: &Segment,
        deadline: Instant,
        log: &mut LogParts,
    ) -> Result<Pass, StorageError> {
        let path = log.catalog.folder().segment(segment.name);
        let failed = |source| StorageError::io("read the index of", &path, source);
        let begun = self.begun.filter(|(name, _)| *name == segment.name);
        let start = begun.map_or(Timestamp::MIN, |(_, time)| time);
        let (end, order) = (self.cutoff, Order::Ascending);
        let expired = LineSelection { start, end, order, conditions: &[] };
        let mut cursor = LineCursor::new(segment.file.clone(), expired).map_err(failed)?;
        let mut lines: Vec<(&Segment, Line)> = Vec::new();
        loop {
            let line = cursor.peek().map_err(failed)?;
            cursor.advance();
            if let Some(line) = line {
                // Another program may have rewritten the segment since it was indexed.
                let bytes = log.catalog.unless_truncated(segment, cursor.read(line))?;
                let entry = match bytes {
                    Some(bytes) => log.catalog.decode(segment.name, line.offset, bytes)?,
                    None => None,
                };
                if entry.is_some_and(|entry| entry.timestamp == line.timestamp) {
                    lines.push((segment, line));
                }
            }
            if lines.len() == LINES_PER_INTENT || (line.is_none() && !lines.is_empty()) {
                erase(log, &lines, self.reason.clone())?;
                self.deleted += lines.len() as u64;
                lines.clear();
                self.begun = line.map(|line| (segment.name, line.timestamp));
                if line.is_some() && Instant::now() > deadline {
                    return Ok(Pass::Paused);
                }
            }
            if line.is_none() {
                return Ok(Pass::Done);
            }
        }
    }
}

/// Whether a segment consists of lines that can be read, to its last byte.
fn holds_entries_only(log: &LogParts, segment: &Segment) -> Result<bool, StorageError> {
    let path = || log.catalog.folder().segment(segment.name);
    let metadata = segment.file.handle.metadata();
    let length = metadata.map_err(|source| StorageError::io("examine", path(), source))?.len();
    let corrupt = log.catalog.corrupt_lines(std::slice::from_ref(segment))?;
    Ok(corrupt.is_empty() && length == segment.file.indexed_len())
}

/// Unlinks the segments; returns those that the system did not let be unlinked.
fn unlink(
    log: &mut LogParts,
    expired: &[Segment],
    reason: &EraseReason,
) -> Result<Vec<Refused>, StorageError> {
    let mut segments = Vec::with_capacity(expired.len());
    for segment in expired {
        log.active.forget(segment.file.id)?;
        let path = || log.catalog.folder().segment(segment.name);
        let erased = ErasedSegment::new(segment.name, &segment.file.handle);
        segments.push(erased.map_err(|source| StorageError::io("examine", path(), source))?);
    }
    let intent = EraseIntent { segments, reason: Some(reason.clone()), ..EraseIntent::default() };
    log.erasures.erase(intent, &mut *log.observer)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use attestry_core::{AuditEntry, line};

    use super::*;
    use crate::fs::layout::Folder;
    use crate::maintenance::tests::parts_in;

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

    /// Appends and a rotation between the steps change nothing.
    #[test]
    fn expiry_in_steps_deletes_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        let (mut log, lock) = parts_in(&folder);
        let path = |name: &str| folder.segment(SegmentName::parse(name).unwrap());
        // Expired: all of 40 segments, half of one, and two in three of the active one.
        for number in 1..=40 {
            let lines = [line_of(&format!("a{number}"), number), line_of(&format!("b{number}"), 7)];
            append(&path(&format!("audit_20260101_{number:03}.jsonl")), &lines.concat());
        }
        let half = |number| line_of(&format!("c{number}"), CUTOFF - 9_999 + number);
        append(&path("audit_20260102_001.jsonl"), &(0..20_000).flat_map(half).collect::<Vec<_>>());
        let active = path("audit_20260102.jsonl");
        let of_three = |number: i64| line_of(&format!("d{number}"), CUTOFF * (number % 3));
        append(&active, &(0..15_000).flat_map(of_three).collect::<Vec<_>>());

        let reason =
            EraseReason { reason: "expired".into(), by: String::new(), at: Timestamp::UNIX_EPOCH };
        let cutoff = Timestamp::from_unix_micros(CUTOFF).unwrap();
        let mut expiry = Expiry::new(cutoff, reason);
        let mut steps = 0;
        let deleted = loop {
            let progress = expiry.step(Instant::now(), &mut log, &lock.acquire().unwrap()).unwrap();
            steps += 1;
            append(&active, &line_of(&format!("n{steps}"), CUTOFF + steps));
            if steps == 8 {
                fs::rename(&active, path("audit_20260102_002.jsonl")).unwrap();
            }
            if let Progress::Done(deleted) = progress {
                break deleted;
            }
        };
        // 16, 16 and 8 segments, and three times 4,096 lines of each of two.
        assert_eq!(steps, 3 + 3 + 3);
        assert_eq!(deleted, 80 + 10_000 + 10_000);

        let mut found = Vec::new();
        for listed in folder.list().unwrap() {
            for line in fs::read_to_string(folder.segment(listed.name)).unwrap().lines() {
                if !line.trim().is_empty() {
                    found.push(line::decode(line.as_bytes()).unwrap());
                }
            }
        }
        assert!(found.iter().all(|entry| entry.timestamp > cutoff));
        assert_eq!(found.len(), 10_000 + 5_000 + steps as usize);
        let guard = lock.acquire().unwrap();
        let segments = log.catalog.snapshot_locked(&guard).unwrap();
        assert_eq!(log.catalog.count(&segments).unwrap(), found.len() as u64);
    }
}
