//! What callers hand to the committer, in order, bounded by bytes.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use attestry_core::{EntryId, StorageError, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::sync::{Condvar, Mutex, MutexGuard};
use crate::erasure::Note;
use crate::segment::LineEnd;

/// Bytes of lines that may wait; further callers wait for room. A single longer line takes it all.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// A caller's end of an answer.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job {
    Append(Append),
    Delete {
        id: EntryId,
        note: Note,
        answer: Answer<bool>,
    },
    DeleteUntil {
        cutoff: Timestamp,
        note: Note,
        answer: Answer<u64>,
    },
    Compact {
        answer: Answer<u64>,
    },
    Flush {
        answer: Answer<()>,
    },
    #[cfg(feature = "evidence")]
    Checkpoint {
        answer: oneshot::Sender<Result<String, crate::EvidenceError>>,
    },
    #[cfg(feature = "evidence")]
    Cosign {
        text: String,
        policy: Box<attestry_evidence::Policy>,
        answer: oneshot::Sender<Result<(), crate::EvidenceError>>,
    },
    Close {
        answer: Answer<()>,
    },
}

/// Lines to append.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) lines: Lines,
    /// Gives the lines back: freeing buffers is cheap only on the threads that allocate such ones.
    pub(crate) answer: Answer<Lines>,
    /// Held until the job is done.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// Serialised entries, one line each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<LineEnd>,
    /// The ids, where it must be made sure that none of them is stored; else empty.
    pub(crate) checked_ids: Vec<EntryId>,
}

/// The queue between callers and the committer.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Nothing is taken in any more; what is there will be done.
    closed: bool,
    /// The committer sleeps and has to be woken.
    parked: bool,
    /// It is to return even if nothing is queued.
    roused: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self::with_room(MAX_WAITING_BYTES)
    }

    /// A queue in which lines of at most `capacity` bytes wait, or a single longer one.
    pub(super) fn with_room(capacity: usize) -> Self {
        Self {
            capacity,
            room: Arc::new(Semaphore::new(capacity)),
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// Appends `lines` and waits until they are stored. Dropped while it waits for room, nothing
    /// was queued; dropped later, the lines are stored all the same.
    pub(crate) async fn append(&self, lines: Lines) -> Result<(), StorageError> {
        // At most the capacity, which fits.
        let bytes = lines.bytes.len().min(self.capacity) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let _room = room.map_err(|_| StorageError::Closed)?;
        let stored = self.submit(|answer| Job::Append(Append { lines, answer, _room })).await;
        stored.map(drop)
    }

    /// Queues a job and waits for its answer.
    pub(crate) async fn submit<T, E: From<StorageError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        let (answer, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.closed {
                return Err(StorageError::Closed.into());
            }
            let job = job(answer);
            state.closed = matches!(job, Job::Close { .. });
            state.jobs.push_back(job);
            // Waking costs a system call, which a committer at work does not need.
            if std::mem::take(&mut state.parked) {
                self.work.notify_one();
            }
        }
        receiver.await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
    }

    /// Takes all that is queued, waiting until there is something, the moment `until` has come, or
    /// somebody [rouses](Self::rouse) it; `None` once the queue is closed and empty.
    pub(crate) fn take(&self, until: Option<Instant>) -> Option<VecDeque<Job>> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !std::mem::take(&mut state.roused) {
            if state.closed {
                return None;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            state.parked = true;
            state = match left {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let woken = self.work.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.parked = false;
        }
        Some(std::mem::take(&mut state.jobs))
    }

    /// Lets whoever [takes](Self::take) come back and ask itself anew until when it may wait.
    pub(crate) fn rouse(&self) {
        let mut state = self.lock();
        state.roused = true;
        if std::mem::take(&mut state.parked) {
            self.work.notify_one();
        }
    }

    /// Whether nothing waits and the queue is open.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.jobs.is_empty() && !state.closed
    }

    /// Takes nothing in any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.parked = false;
        drop(state);
        self.room.close();
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
