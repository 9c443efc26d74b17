//! The committer: the one thread that changes files.
//!
//! It takes everything that callers have queued since it last looked, takes the store's lock, writes
//! and syncs the lines of consecutive appends once, and wakes their callers. While it syncs, the next
//! batch gathers: a caller that is alone waits for no timer, and hundreds share a sync.

mod active_segment;
mod answered;
mod batch;
mod burst;
mod chore;
mod compact;
mod delete;
mod expire;
mod newest;
mod outcome;
mod queue;
mod slice;
mod sync;

#[cfg(all(test, shuttle))]
mod interleavings;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use attestry_core::{EntryId, StorageError, line};

use crate::builder::Durability;
use crate::callback;
use crate::erase::Erasures;
use crate::fs::lock::{Held, Kept, StoreLock};
use crate::fs::sys::FileId;
use crate::observer::LogObserver;
use crate::reader::{Catalog, Found};
use crate::recovery::RecoveryReport;
pub(crate) use active_segment::{ActiveSegment, AppendError, Appended};
pub(crate) use batch::Lines;
use batch::{Answers, Batch, share};
use burst::Burst;
pub(crate) use chore::Chore;
pub(crate) use compact::Compaction;
pub(crate) use expire::Expiry;
pub(crate) use queue::Job;
use queue::Queue;
use sync::{Mutex, thread};
use tokio::sync::oneshot;

/// More lines of one call go to the disk in several batches: each is copied once, and the lines of
/// others come in between.
const PART_BYTES: usize = 4 << 20;

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
    observer: Box<dyn LogObserver>,
    burst: Burst,
    /// When the committer comes to sign a checkpoint, as it last knew.
    awaited: Option<Instant>,
    /// It comes when it is roused. It does not while it runs what a caller wants to be told by.
    at_hand: bool,
}

impl Committer {
    /// Starts the thread. It ends when the queue is closed and empty.
    pub(crate) fn start(
        catalog: Arc<Catalog>,
        lock: Arc<StoreLock>,
        (erasures, observer): (Erasures, Box<dyn LogObserver>),
        report: Arc<std::sync::Mutex<RecoveryReport>>,
        rotation_bytes: u64,
        durability: Durability,
    ) -> Result<Arc<Self>, StorageError> {
        let path = catalog.folder().path().to_path_buf();
        let active = ActiveSegment::new(catalog.folder().clone(), rotation_bytes, durability)
            .with_clock(catalog.clock());
        let changes = Mutex::new(Changes {
            catalog,
            active,
            erasures,
            observer,
            burst: Burst::default(),
            awaited: None,
            at_hand: true,
        });
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
        if lines.ends.is_empty() {
            return Ok(());
        }
        if self.durability == Durability::Buffered
            && let Some(outcome) = self.append_at_once(&lines)
        {
            return outcome;
        }
        if lines.bytes.len() <= PART_BYTES {
            return self.queue.append(lines, Lines::whole).await;
        }
        for part in lines.parts(PART_BYTES) {
            self.queue.append(part, |part| *part).await?;
        }
        Ok(())
    }

    /// Hands `lines` to the operating system on the caller's thread, which spares a hop to another
    /// and back; `None` when anything more than that has to be done or waited for.
    fn append_at_once(&self, lines: &Lines) -> Option<Result<(), StorageError>> {
        if !lines.checked_ids.is_empty() || !self.queue.is_idle() {
            return None;
        }
        let mut changes = self.changes.try_lock().ok()?;
        let held = self.lock.try_acquire()?;
        if !changes.active.has_room_for(lines.bytes.len(), held.turn()) {
            return None;
        }
        let Changes { active, erasures, observer, burst, awaited, at_hand, .. } = &mut *changes;
        let Lines { bytes, ends, .. } = lines;
        let appended =
            active.append(held.turn(), erasures, &mut **observer, &Appended { bytes, ends });
        let now = Instant::now();
        let due = observer.deadline();
        if due.is_some_and(|due| awaited.is_none_or(|awaited| due < awaited)) {
            *awaited = due;
            self.queue.rouse();
        }
        if burst.goes_on(now) && *at_hand {
            match held.keep(now) {
                Kept::Newly => self.queue.rouse(),
                Kept::Still => {}
                Kept::Not => burst.end(),
            }
        }
        Some(appended.map_err(|failed| failed.error))
    }

    /// Queues a job and waits for its answer.
    pub(crate) async fn submit<T, E: From<StorageError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        self.queue.submit(job).await
    }

    /// Takes nothing in any more; what is queued will be done.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    fn tell(&self, answers: Option<Answers>) {
        if let Some(answers) = answers {
            let before = self.queue.calls();
            let (buffers, told) = answers.tell();
            self.queue.keep(buffers);
            // Where no sync is shared, there is nothing to wait for.
            if self.durability == Durability::Sync {
                self.queue.note(told, before);
            }
        }
    }

    fn run(&self) {
        // Should the thread ever panic, callers must get an error rather than wait for ever.
        let _close = CloseOnDrop(&self.queue);
        slice::ask_for_short_ones();
        let mut due = self.changes.lock().unwrap_or_else(PoisonError::into_inner).await_due();
        loop {
            // A lock that was kept for calls which came no more goes back in time.
            let until = due.into_iter().chain(self.lock.give_back()).min();
            let Some(jobs) = self.queue.take(until) else { break };
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            if jobs.is_empty() {
                due = changes.await_due();
                if due.is_none_or(|due| due > Instant::now()) {
                    continue;
                }
            }
            let mut answers = None;
            let mut unfinished = Vec::new();
            match self.lock.acquire() {
                Ok(held) => {
                    answers = changes.work(jobs, &held, &mut unfinished);
                    if changes.observer.deadline().is_some_and(|due| due <= Instant::now()) {
                        self.tell(answers.take());
                        changes.sign();
                    }
                }
                Err(error) => jobs.into_iter().for_each(|job| job.refuse(&error)),
            }
            due = changes.await_due();
            let mended = changes.active.take_mended();
            if !mended.is_empty() {
                let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                report.torn_tails.extend(mended);
            }
            let callbacks = changes.observer.take_callbacks();
            changes.at_hand = callbacks.is_empty();
            drop(changes);
            self.tell(answers);
            if !unfinished.is_empty() {
                self.queue.put_back(unfinished.into_iter().rev().map(Job::Chore));
                self.lock.give_way();
            }
            if !callbacks.is_empty() {
                callbacks.into_iter().for_each(callback::run);
                self.changes.lock().unwrap_or_else(PoisonError::into_inner).at_hand = true;
            }
        }
        // Dropped without `close`: what was acknowledged as buffered still goes to the disk. There
        // is nobody left to tell of a failure.
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = match self.lock.acquire() {
            Ok(held) => changes.close(&held),
            Err(_) => changes.active.close(),
        };
        let callbacks = changes.observer.take_callbacks();
        drop(changes);
        callbacks.into_iter().for_each(callback::run);
    }
}

impl Changes {
    /// When the next checkpoint is due, for the committer to wait until then.
    fn await_due(&mut self) -> Option<Instant> {
        self.awaited = self.observer.deadline();
        self.awaited
    }

    /// Does all of `jobs`, or a part of those that take long, which are `unfinished` then. What callers
    /// are told of appends that nothing came behind is left to be told.
    fn work(
        &mut self,
        jobs: VecDeque<Job>,
        held: &Held<'_>,
        unfinished: &mut Vec<Chore>,
    ) -> Option<Answers> {
        self.erasures.notice_pending();
        let mut answers: Option<Answers> = None;
        for job in jobs {
            if let Some(answers) = answers.take() {
                answers.tell();
            }
            match job {
                Job::Append(batch) => answers = Some(self.append(batch, held)),
                // A caller that went away does not hear the answer.
                Job::Delete { id, note, answer } => {
                    drop(answer.send(self.delete(&id, note, held)));
                }
                Job::Chore(chore) => unfinished.extend(self.go_on(chore, held)),
                Job::Flush { answer } => drop(answer.send(self.active.sync())),
                Job::Close { answer } => {
                    self.finish(unfinished.drain(..), held);
                    drop(answer.send(self.close(held)));
                }
                Job::Observer(call) => {
                    call.run(self.active.sync().map(|()| &mut *self.observer));
                }
            }
        }
        answers
    }

    fn append(&mut self, mut batch: Batch, held: &Held<'_>) -> Answers {
        let mut confirmed = HashSet::new();
        batch.sift(|id, line| self.is_stored(id, line, &mut confirmed, held));
        let Self { active, erasures, observer, .. } = self;
        batch.commit(|lines| active.append(held.turn(), erasures, &mut **observer, lines))
    }

    /// Whether an entry equal to that of `line` is stored already, as durably as if it had been stored
    /// now; `confirmed` are the segments that are known to be.
    fn is_stored(
        &mut self,
        id: &EntryId,
        line: &[u8],
        confirmed: &mut HashSet<FileId>,
        held: &Held<'_>,
    ) -> Result<bool, StorageError> {
        // An erasure that was begun will be carried out, and must not take what is acknowledged now.
        self.erasures.finish_pending(&mut *self.observer)?;
        let segments = self.catalog.snapshot_locked(held)?;
        let Some(Found { segment, entry, .. }) = self.catalog.find(&segments, id)? else {
            return Ok(false);
        };
        if line::decode(line).ok() != Some(entry) {
            return Err(StorageError::AlreadyExists { id: id.clone() });
        }
        if !confirmed.contains(&segment.file.id) {
            self.active.confirm(&segment)?;
            confirmed.insert(segment.file.id);
        }
        Ok(true)
    }

    /// Puts everything on stable storage, under a last checkpoint where there are any.
    fn close(&mut self, held: &Held<'_>) -> Result<(), StorageError> {
        let mut closed = self.active.retire_distrusted(&mut self.erasures, &mut *self.observer);
        closed = closed.and(self.active.close());
        if closed.is_ok() && !self.erasures.is_pending() {
            closed = self.catalog.save_indexes(held, self.active.rotation_bytes());
        }
        if closed.is_ok() && self.observer.deadline().is_some() {
            self.sign();
        }
        closed.and(self.observer.close())
    }

    /// Signs a checkpoint that nobody asked for: who wants to know is told later.
    fn sign(&mut self) {
        let synced = self.active.sync();
        self.observer.on_deadline(synced);
    }
}

impl Job {
    /// Answers that it was not begun.
    fn refuse(self, error: &StorageError) {
        match self {
            Self::Append(batch) => batch.refuse(error),
            Self::Delete { answer, .. } => drop(answer.send(Err(share(error)))),
            Self::Chore(chore) => chore.refuse(error),
            Self::Flush { answer } | Self::Close { answer } => drop(answer.send(Err(share(error)))),
            Self::Observer(call) => call.run(Err(share(error))),
        }
    }
}

struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::io;

    use attestry_core::{AuditEntry, Timestamp};

    use super::*;
    use crate::fs::layout::Folder;
    use crate::observer::NoObserver;
    use crate::reader::Listener;
    use crate::recovery;
    use crate::segment::SegmentName;

    thread_local! {
        static SYNCS: Cell<usize> = const { Cell::new(0) };
        static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
    }

    fn sync_or_fail(_: &File) -> io::Result<()> {
        SYNCS.set(SYNCS.get() + 1);
        if SYNC_FAILS.get() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    /// Of a store in `folder`, which is made, as its committer has them.
    pub(super) fn changes_in(folder: &Folder) -> (Changes, Arc<StoreLock>) {
        recovery::create(folder).unwrap();
        let lock = Arc::new(StoreLock::open(folder).unwrap());
        let mut observer = NoObserver;
        let erasures = Erasures::recover(folder.clone(), &mut observer).unwrap().0;
        let listener = Listener::default();
        let changes = Changes {
            catalog: Arc::new(Catalog::new(folder.clone(), Some(lock.clone()), listener)),
            active: ActiveSegment::new(folder.clone(), 1 << 20, Durability::Sync),
            erasures,
            observer: Box::new(observer),
            burst: Burst::default(),
            awaited: None,
            at_hand: true,
        };
        (changes, lock)
    }

    /// As of a process that died between writing a line and syncing it: who stores the entry again
    /// relies on it.
    #[test]
    fn what_is_there_already_is_synced_before_it_is_called_stored() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let id = |number: u8| EntryId::new(number.to_string()).unwrap();
        let line_of = |number| {
            let entry =
                AuditEntry::new(id(number), Timestamp::UNIX_EPOCH, "in".into(), "out".into());
            line::encode(&entry).unwrap()
        };
        let path = folder.segment(SegmentName::parse("audit_20260128.jsonl").unwrap());
        fs::write(path, [line_of(0), line_of(1)].concat()).unwrap();
        for durability in [Durability::Sync, Durability::Buffered] {
            let (mut changes, lock) = changes_in(&folder);
            changes.active =
                ActiveSegment::new(folder.clone(), 1 << 20, durability).syncing_with(sync_or_fail);
            let held = lock.acquire().unwrap();
            let (syncs, fails) =
                if durability == Durability::Sync { (1, true) } else { (0, false) };
            SYNCS.set(0);
            let mut confirmed = HashSet::new();
            for number in [0, 1] {
                let line = line_of(number);
                assert!(changes.is_stored(&id(number), &line, &mut confirmed, &held).unwrap());
            }
            assert_eq!(SYNCS.get(), syncs, "once for all lines of the file");
            SYNC_FAILS.set(true);
            let stored = changes.is_stored(&id(0), &line_of(0), &mut HashSet::new(), &held);
            assert_eq!(stored.is_err(), fails);
            SYNC_FAILS.set(false);
        }
    }
}
