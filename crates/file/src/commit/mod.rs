//! The committer: the one thread that changes files.
//!
//! It takes everything that callers have queued since it last looked, joins the lines of
//! consecutive appends into one batch, writes and syncs the batch once, and wakes the callers
//! whose lines are durable. While it syncs, the next batch gathers: a lone caller waits for no
//! timer, and hundreds share a sync.

mod batch;
mod queue;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::sync::Arc;
use std::thread;

use attestry_core::{EntryId, StorageError, Timestamp};

use crate::builder::Durability;
use crate::catalog::{Catalog, Segment};
use crate::erasure::{Erasures, Record};
use crate::segment::{ActiveSegment, Line};
use crate::sys;
use batch::Batch;
use queue::Append;
pub(crate) use queue::Job;
pub(crate) use queue::{Lines, Queue};

/// So many lines share a journal; its size stays bounded whatever expires at once.
const ERASURES_AT_ONCE: usize = 4_096;

/// Owns everything that changes the folder.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<Queue>,
    catalog: Arc<Catalog>,
    active: ActiveSegment,
    erasures: Erasures,
    /// Held as long as the thread lives; dropping it gives the lock back.
    lock: Option<File>,
}

impl Committer {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        erasures: Erasures,
        lock: File,
        rotation_bytes: u64,
        durability: Durability,
    ) -> Self {
        let active = ActiveSegment::new(catalog.folder().clone(), rotation_bytes, durability);
        Self { queue: Arc::new(Queue::new()), catalog, active, erasures, lock: Some(lock) }
    }

    /// Starts the thread. It ends when the queue it returns is closed and empty.
    pub(crate) fn start(self) -> Result<Arc<Queue>, StorageError> {
        let queue = Arc::clone(&self.queue);
        let path = self.catalog.folder().path().to_path_buf();
        thread::Builder::new()
            .name("attestry-commit".into())
            .spawn(move || self.run())
            .map_err(|source| StorageError::io("start a thread for", path, source))?;
        Ok(queue)
    }

    fn run(mut self) {
        // Should the thread ever panic, callers must get an error rather than wait for ever.
        let _close = CloseOnDrop(Arc::clone(&self.queue));
        while let Some(jobs) = self.queue.take() {
            self.work(jobs);
        }
        // Dropped without `close`: what was acknowledged as buffered still goes to the disk. There
        // is nobody left to tell of a failure.
        let _ = self.active.sync();
    }

    fn work(&mut self, mut jobs: VecDeque<Job>) {
        let mut appends = Vec::new();
        loop {
            match jobs.pop_front() {
                Some(Job::Append(append)) => {
                    appends.push(append);
                    continue;
                }
                other => {
                    self.append(std::mem::take(&mut appends));
                    match other {
                        // A caller that went away does not hear the answer.
                        Some(Job::Delete { id, answer }) => drop(answer.send(self.delete(&id))),
                        Some(Job::DeleteUntil { cutoff, answer }) => {
                            drop(answer.send(self.delete_until(cutoff)));
                        }
                        Some(Job::Flush { answer }) => drop(answer.send(self.active.sync())),
                        Some(Job::Close { answer }) => {
                            let flushed = self.active.sync();
                            self.lock = None;
                            drop(answer.send(flushed));
                        }
                        Some(Job::Append(_)) | None => return,
                    }
                }
            }
        }
    }

    fn append(&mut self, appends: Vec<Append>) {
        if appends.is_empty() {
            return;
        }
        let batch = Batch::gather(appends, &self.catalog);
        batch.commit(|bytes, ends| self.active.append(&mut self.erasures, bytes, ends));
    }

    fn delete(&mut self, id: &EntryId) -> Result<bool, StorageError> {
        let found = self.catalog.find(id)?;
        let lines: Vec<_> =
            found.iter().map(|(segment, line, _)| (segment, line.offset, line.length)).collect();
        self.erase(&lines)?;
        Ok(!found.is_empty())
    }

    fn delete_until(&mut self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let segments = self.catalog.snapshot()?;
        let mut deleted = 0;
        let mut lines = Vec::new();
        let mut unlinked = false;
        for segment in &segments {
            let expired: Vec<Line> = {
                let index = segment.index();
                index.lines().filter(|line| line.timestamp <= cutoff).copied().collect()
            };
            let index = segment.index();
            let nothing_else =
                expired.len() as u64 == index.records() && index.covered() == segment.length;
            drop(index);
            if nothing_else && !expired.is_empty() {
                deleted += expired.len() as u64;
                self.unlink(segment)?;
                unlinked = true;
            } else {
                for line in expired {
                    // Only what still is the line that was indexed is overwritten.
                    let stored = self.catalog.read(segment, line)?;
                    if stored.is_some_and(|stored| stored.entry.timestamp == line.timestamp) {
                        lines.push((segment, line.offset, line.length));
                    }
                }
            }
        }
        if unlinked {
            let path = self.catalog.folder().path();
            sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))?;
        }
        for group in lines.chunks(ERASURES_AT_ONCE) {
            self.erase(group)?;
            deleted += group.len() as u64;
        }
        Ok(deleted)
    }

    fn unlink(&mut self, segment: &Segment) -> Result<(), StorageError> {
        // The journal may name it, and a new segment must not inherit the name with it.
        self.erasures.finish_pending()?;
        self.active.forget(segment.id);
        let path = self.catalog.folder().segment(segment.name);
        fs::remove_file(&path).map_err(|source| StorageError::io("remove", path, source))
    }

    fn erase(&mut self, lines: &[(&Segment, u64, u32)]) -> Result<(), StorageError> {
        let records = lines.iter().map(|&(segment, offset, length)| Record {
            segment: segment.name,
            offset,
            length: u64::from(length),
        });
        let erased = self.erasures.erase(records.collect());
        if erased.is_ok() || self.erasures.is_pending() {
            for (segment, offset, _) in lines {
                segment.forget_line(*offset);
            }
        }
        erased
    }
}

struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
