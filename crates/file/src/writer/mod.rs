//! The writer thread: the one thread of an open store that changes its files.
//!
//! It takes all jobs that were queued while it was busy, acquires the store lock, writes and syncs the
//! lines of consecutive appends once (group commit), and wakes their callers. Appends that arrive
//! during the sync form the next batch: a single caller waits for no timer, and hundreds share a sync
//! (`group_commit`).
//!
//! One exception: with [`Durability::Buffered`], a caller appends on its own thread if nothing else has
//! to be done.

mod batch;
mod completion;
mod group_commit;
mod job;
mod lines;
mod queue;
mod state;
mod sync;

#[cfg(all(test, shuttle))]
#[path = "../../tests/shuttle/interleavings.rs"]
mod interleavings;

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use attestry_core::{StorageError, event};
use tokio::sync::oneshot;

use crate::active_segment::LinesToAppend;
use crate::callback;
use crate::durability::Durability;
use crate::fs::lock::StoreLock;
use crate::maintenance::LogParts;
use crate::recovery::RecoveryReport;
use batch::Acks;
pub(crate) use job::Job;
pub(crate) use lines::{EncodedLines, StoredLines};
use queue::Queue;
use sync::{Mutex, MutexGuard, thread};

/// Longer calls are split into several batches: bounds the memory of a batch, and calls of others get
/// in between.
const CHUNK_BYTES: usize = 4 << 20;

/// The writer thread of a store, as its callers see it.
#[derive(Debug)]
pub(crate) struct WriterThread {
    queue: Queue,
    lock: Arc<StoreLock>,
    durability: Durability,
    log: Mutex<LogParts>,
    report: Arc<std::sync::Mutex<RecoveryReport>>,
}

impl WriterThread {
    /// Starts the thread. It ends when the queue is closed and empty.
    pub(crate) fn start(
        log: LogParts,
        lock: Arc<StoreLock>,
        durability: Durability,
        report: Arc<std::sync::Mutex<RecoveryReport>>,
    ) -> Result<Arc<Self>, StorageError> {
        let path = log.catalog.folder().path().to_path_buf();
        let log = Mutex::new(log);
        let writer = Arc::new(Self { queue: Queue::new(), lock, durability, log, report });
        let of_thread = Arc::clone(&writer);
        thread::Builder::new()
            .name("attestry-writer".into())
            .spawn(move || of_thread.run())
            .map_err(|source| StorageError::io("start a thread for", path, source))?;
        Ok(writer)
    }

    /// Appends `lines`; returns when they are as durable as the store promises.
    pub(crate) async fn append(&self, lines: EncodedLines) -> Result<(), StorageError> {
        if lines.line_ends.is_empty() {
            return Ok(());
        }
        if self.durability == Durability::Buffered
            && let Some(result) = self.append_directly(&lines)
        {
            return result;
        }
        if lines.bytes.len() <= CHUNK_BYTES {
            return self.queue.append(lines, EncodedLines::as_chunk).await;
        }
        for chunk in lines.chunks(CHUNK_BYTES) {
            self.queue.append(chunk, |chunk| *chunk).await?;
        }
        Ok(())
    }

    /// Appends `lines` on the caller's thread, without a hop to the writer thread and back. `None` if
    /// anything would have to be waited for, checked or prepared, or if an observer is active.
    fn append_directly(&self, lines: &EncodedLines) -> Option<Result<(), StorageError>> {
        if !lines.checked_ids.is_empty() || !self.queue.is_idle() {
            return None;
        }
        let mut log = self.log.try_lock().ok()?;
        let LogParts { active, observer, .. } = &mut *log;
        if observer.leaf_hasher().is_some() {
            return None;
        }
        let guard = self.lock.try_acquire()?;
        let EncodedLines { bytes, line_ends: ends, terms, .. } = lines;
        active.append_if_ready(guard.epoch(), &LinesToAppend { bytes, ends, terms })
    }

    /// Queues a job and waits for its response.
    pub(crate) async fn submit<T, E: From<StorageError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        self.queue.submit(job).await
    }

    /// Refuses further jobs. Queued jobs are still executed.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    fn log(&self) -> MutexGuard<'_, LogParts> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, acks: Option<Acks>) {
        if let Some(mut acks) = acks {
            let completion = acks.completion();
            // Before its waiters run, so that their next calls find the buffers.
            self.queue.reuse(acks.take_buffers());
            acks.send();
            // Buffered batches share no sync.
            if self.durability == Durability::Sync {
                self.queue.completed(&completion);
            }
        }
    }

    fn run(&self) {
        // If the thread panics, callers get an error instead of waiting forever.
        let _abandon = AbandonOnDrop(&self.queue);
        let mut deadline = state::deadline(&self.log());
        let mut closed = false;
        while let Some(jobs) = self.queue.take(deadline) {
            let mut log = self.log();
            if jobs.is_empty() && deadline.is_none_or(|deadline| deadline > Instant::now()) {
                deadline = state::deadline(&log);
                continue;
            }
            event!(TRACE, jobs = jobs.len(), "jobs taken");
            let mut remaining = state::Remaining::default();
            match self.lock.acquire() {
                Ok(guard) => {
                    remaining = state::execute(&mut log, jobs, &guard);
                    if state::deadline_has_passed(&log) {
                        self.send(remaining.acks.take()); // before it: a checkpoint takes milliseconds
                        state::sync_for_deadline(&mut log);
                    }
                }
                Err(error) => jobs.into_iter().for_each(|job| job.refuse(&error)),
            }
            deadline = state::deadline(&log);
            let repaired = log.active.take_repaired();
            if !repaired.is_empty() {
                let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                report.torn_tails.extend(repaired);
            }
            let callbacks = log.observer.take_callbacks();
            drop(log);
            // After the locks: the next calls of these callers need them.
            self.send(remaining.acks);
            if !remaining.pending.is_empty() {
                self.queue.requeue_front(remaining.pending);
                StoreLock::yield_to_waiters();
            }
            callbacks.into_iter().for_each(callback::run);
            // After the last callbacks: none runs after `close` has returned.
            for (responder, result) in remaining.closed {
                closed |= result.is_ok();
                drop(responder.send(result));
            }
        }
        if closed {
            return;
        }
        // Dropped without `close`: buffered lines are still synced. No caller is left for an error.
        let mut log = self.log();
        let _ = match self.lock.acquire() {
            Ok(guard) => state::close(&mut log, &guard),
            Err(_) => log.active.close(),
        };
        let callbacks = log.observer.take_callbacks();
        drop(log);
        callbacks.into_iter().for_each(callback::run);
    }
}

struct AbandonOnDrop<'a>(&'a Queue);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
