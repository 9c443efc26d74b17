//! The committer: the one thread that changes files.
//!
//! It takes everything that callers have queued since it last looked, takes the store's lock, joins the lines of
//! consecutive appends into one batch, writes and syncs the batch once, and wakes the callers
//! whose lines are durable. While it syncs, the next batch gathers: a lone caller waits for no
//! timer, and hundreds share a sync.

mod batch;
mod compact;
mod queue;
mod sync;

#[cfg(all(test, shuttle))]
mod interleavings;

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, PoisonError};

use attestry_core::{EntryId, Order, StorageError, Timestamp};

use crate::builder::Durability;
use crate::catalog::Catalog;
use crate::erasure::{Erasures, Record};
use crate::generation;
use crate::lock::{Held, StoreLock};
use crate::recovery::RecoveryReport;
use crate::segment::{ActiveSegment, Cursor, Line, Segment};
use crate::sys;
use batch::{Batch, share};
use queue::{Answer, Append, Queue};
pub(crate) use queue::{Job, Lines};
use sync::{Mutex, thread};

/// So many lines share a journal; its size stays bounded whatever expires at once.
const ERASURES_AT_ONCE: usize = 4_096;

/// Takes what callers want changed, and sees to it.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Queue,
    lock: Arc<StoreLock>,
    durability: Durability,
    changes: Mutex<Changes>,
    report: Arc<std::sync::Mutex<RecoveryReport>>,
}

/// Changes the folder, under the store's lock.
#[derive(Debug)]
struct Changes {
    catalog: Arc<Catalog>,
    active: ActiveSegment,
    erasures: Erasures,
}

impl Committer {
    /// Starts the thread. It ends when the queue is closed and empty.
    pub(crate) fn start(
        catalog: Arc<Catalog>,
        lock: Arc<StoreLock>,
        erasures: Erasures,
        report: Arc<std::sync::Mutex<RecoveryReport>>,
        rotation_bytes: u64,
        durability: Durability,
    ) -> Result<Arc<Self>, StorageError> {
        let path = catalog.folder().path().to_path_buf();
        let active = ActiveSegment::new(catalog.folder().clone(), rotation_bytes, durability);
        let changes = Mutex::new(Changes { catalog, active, erasures });
        let committer = Arc::new(Self { queue: Queue::new(), lock, durability, changes, report });
        let of_thread = Arc::clone(&committer);
        thread::Builder::new()
            .name("attestry-commit".into())
            .spawn(move || of_thread.run())
            .map_err(|source| StorageError::io("start a thread for", path, source))?;
        Ok(committer)
    }

    /// Stores `lines` and returns once they are as durable as the store promises.
    pub(crate) async fn append(&self, lines: Lines) -> Result<(), StorageError> {
        if self.durability == Durability::Buffered
            && let Some(outcome) = self.append_at_once(&lines)
        {
            return outcome;
        }
        self.queue.append(lines).await
    }

    /// Hands `lines` to the operating system on the caller's thread, which spares a hop to another
    /// and back; `None` when anything more than that has to be done or waited for.
    fn append_at_once(&self, lines: &Lines) -> Option<Result<(), StorageError>> {
        if !lines.checked_ids.is_empty() || !self.queue.is_idle() {
            return None;
        }
        let mut changes = self.changes.try_lock().ok()?;
        let _held = self.lock.try_acquire()?;
        if !changes.active.has_room_for(lines.bytes.len()) {
            return None;
        }
        let Changes { active, erasures, .. } = &mut *changes;
        Some(active.append(erasures, &lines.bytes, &lines.ends).map_err(|failed| failed.error))
    }

    /// Queues a job and waits for its answer.
    pub(crate) async fn submit<T>(
        &self,
        job: impl FnOnce(Answer<T>) -> Job,
    ) -> Result<T, StorageError> {
        self.queue.submit(job).await
    }

    /// Takes nothing in any more; what is queued will be done.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    fn run(&self) {
        // Should the thread ever panic, callers must get an error rather than wait for ever.
        let _close = CloseOnDrop(&self.queue);
        while let Some(jobs) = self.queue.take() {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            match self.lock.acquire() {
                Ok(held) => changes.work(jobs, &held),
                Err(error) => jobs.into_iter().for_each(|job| job.refuse(&error)),
            }
            let mended = changes.active.take_mended();
            if !mended.is_empty() {
                let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                report.torn_tails.extend(mended);
            }
        }
        // Dropped without `close`: what was acknowledged as buffered still goes to the disk. There
        // is nobody left to tell of a failure.
        let _ = self.changes.lock().unwrap_or_else(PoisonError::into_inner).active.close();
    }
}

impl Changes {
    fn work(&mut self, mut jobs: VecDeque<Job>, held: &Held<'_>) {
        self.erasures.notice_pending();
        let mut appends = Vec::new();
        loop {
            match jobs.pop_front() {
                Some(Job::Append(append)) => {
                    appends.push(append);
                    continue;
                }
                other => {
                    self.append(std::mem::take(&mut appends), held);
                    match other {
                        // A caller that went away does not hear the answer.
                        Some(Job::Delete { id, answer }) => {
                            drop(answer.send(self.delete(&id, held)))
                        }
                        Some(Job::DeleteUntil { cutoff, answer }) => {
                            drop(answer.send(self.delete_until(cutoff, held)));
                        }
                        Some(Job::Compact { answer }) => drop(answer.send(self.compact(held))),
                        Some(Job::Flush { answer }) => drop(answer.send(self.active.sync())),
                        Some(Job::Close { answer }) => drop(answer.send(self.active.close())),
                        Some(Job::Append(_)) | None => return,
                    }
                }
            }
        }
    }

    fn append(&mut self, appends: Vec<Append>, held: &Held<'_>) {
        if appends.is_empty() {
            return;
        }
        let batch = Batch::gather(appends, &self.catalog, held);
        batch.commit(|bytes, ends| self.active.append(&mut self.erasures, bytes, ends));
    }

    fn delete(&mut self, id: &EntryId, held: &Held<'_>) -> Result<bool, StorageError> {
        self.erasures.finish_pending()?;
        let segments = self.catalog.snapshot_locked(held)?;
        let found = self.catalog.find_all(&segments, id)?;
        let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
        self.erase(&lines)?;
        Ok(!found.is_empty())
    }

    fn delete_until(&mut self, cutoff: Timestamp, held: &Held<'_>) -> Result<u64, StorageError> {
        self.erasures.finish_pending()?;
        let segments = self.catalog.snapshot_locked(held)?;
        let mut deleted = 0;
        let mut unlinked = false;
        for segment in segments.iter() {
            let Some((earliest, latest)) = segment.body.time_bounds() else { continue };
            if latest <= cutoff && self.holds_entries_only(segment)? {
                deleted += segment.body.records();
                self.unlink(segment)?;
                unlinked = true;
            } else if earliest <= cutoff {
                deleted += self.erase_until(segment, cutoff)?;
            }
        }
        if unlinked {
            let path = self.catalog.folder().path();
            generation::raise_layout(self.catalog.folder())?;
            sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))?;
        }
        Ok(deleted)
    }

    /// Whether every byte of a segment is accounted for by lines that can be read.
    fn holds_entries_only(&self, segment: &Segment) -> Result<bool, StorageError> {
        let path = || self.catalog.folder().segment(segment.name);
        let metadata = segment.body.file.metadata();
        let length = metadata.map_err(|source| StorageError::io("examine", path(), source))?.len();
        let bad = segment
            .body
            .bad()
            .map_err(|source| StorageError::io("read the index of", path(), source))?;
        Ok(bad.is_empty() && length == segment.body.covered())
    }

    fn unlink(&mut self, segment: &Segment) -> Result<(), StorageError> {
        self.active.forget(segment.body.id);
        let path = self.catalog.folder().segment(segment.name);
        fs::remove_file(&path).map_err(|source| StorageError::io("remove", path, source))?;
        // Left behind, it would only take space until the next open.
        let _ = fs::remove_file(self.catalog.folder().index(segment.body.id));
        Ok(())
    }

    fn erase_until(&mut self, segment: &Segment, cutoff: Timestamp) -> Result<u64, StorageError> {
        let path = self.catalog.folder().segment(segment.name);
        let failed = |source| StorageError::io("read the index of", &path, source);
        let mut cursor =
            Cursor::new(segment.body.clone(), Timestamp::MIN, cutoff, Order::Ascending)
                .map_err(failed)?;
        let mut lines = Vec::new();
        let mut deleted = 0;
        loop {
            let line = cursor.peek().map_err(failed)?;
            cursor.advance();
            if let Some(line) = line {
                // Only what still is the line that was indexed is overwritten.
                let bytes = cursor.read(line);
                let entry = self.catalog.understand(segment, line, bytes.as_deref())?;
                if entry.is_some_and(|entry| entry.timestamp == line.timestamp) {
                    lines.push((segment, line));
                }
            }
            if lines.len() == ERASURES_AT_ONCE || (line.is_none() && !lines.is_empty()) {
                self.erase(&lines)?;
                deleted += lines.len() as u64;
                lines.clear();
            }
            if line.is_none() {
                return Ok(deleted);
            }
        }
    }

    fn erase(&mut self, lines: &[(&Segment, Line)]) -> Result<(), StorageError> {
        let records = lines.iter().map(|(segment, line)| Record {
            segment: segment.name,
            offset: line.offset,
            length: u64::from(line.length),
            sums: Vec::new(),
        });
        let erased = self.erasures.erase(records.collect());
        if erased.is_ok() || self.erasures.is_pending() {
            self.catalog.note_erased(lines)?;
        }
        erased
    }
}

impl Job {
    /// Answers that it was not begun.
    fn refuse(self, error: &StorageError) {
        match self {
            Self::Append(append) => drop(append.answer.send(Err(share(error)))),
            Self::Delete { answer, .. } => drop(answer.send(Err(share(error)))),
            Self::DeleteUntil { answer, .. } | Self::Compact { answer } => {
                drop(answer.send(Err(share(error))));
            }
            Self::Flush { answer } | Self::Close { answer } => drop(answer.send(Err(share(error)))),
        }
    }
}

struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
