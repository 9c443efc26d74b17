//! What callers hand to the committer, in order, bounded by bytes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use attestry_core::{EntryId, StorageError, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::{Batch, Buffers, Lines, Waiting};
use super::sync::{Condvar, Mutex, MutexGuard};
use crate::erasure::Note;

/// Bytes of lines that may wait; further callers wait for room. A single longer line takes it all.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// A caller's end of an answer.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job {
    Append(Batch),
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
    /// What the next batch is gathered in.
    spare: Option<Buffers>,
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
    pub(crate) async fn append(&self, lines: &Lines) -> Result<(), StorageError> {
        // At most the capacity, which fits.
        let bytes = lines.bytes.len().min(self.capacity) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let mut room = Some(room.map_err(|_| StorageError::Closed)?);
        let mut waiting = None;
        poll_fn(|context| match (room.take(), &waiting) {
            (Some(room), _) => match self.join(lines, room, context.waker()) {
                Ok(call) => {
                    waiting = Some(call);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            (None, Some(call)) => call.poll(context),
            (None, None) => Poll::Ready(Err(StorageError::Closed)), // polled behind its end
        })
        .await
    }

    /// Copies `lines` behind those of the callers before.
    fn join(
        &self,
        lines: &Lines,
        room: OwnedSemaphorePermit,
        waker: &Waker,
    ) -> Result<Waiting, StorageError> {
        let waker = waker.clone();
        let mut state = self.lock();
        if state.closed {
            return Err(StorageError::Closed);
        }
        if !matches!(state.jobs.back(), Some(Job::Append(_))) {
            let buffers = state.spare.take().unwrap_or_default();
            state.jobs.push_back(Job::Append(Batch::in_buffers(buffers)));
        }
        let Some(Job::Append(batch)) = state.jobs.back_mut() else {
            return Err(StorageError::Closed); // pushed just now
        };
        let waiting = batch.join(lines, room, waker);
        self.wake(&mut state);
        Ok(waiting)
    }

    /// Keeps the buffers of a batch for the next.
    pub(crate) fn give_back(&self, buffers: Buffers) {
        if let Some(buffers) = buffers.if_usual() {
            self.lock().spare = Some(buffers);
        }
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
            self.wake(&mut state);
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
        self.wake(&mut state);
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

    /// Waking costs a system call, which a committer at work does not need.
    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.parked) {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
