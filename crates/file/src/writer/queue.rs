//! What callers hand to the committer, in order, bounded by bytes.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::hint;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use attestry_core::{EntryId, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::answered::{Answered, Told};
use super::batch::{Batch, Buffers, Part};
use super::chore::Chore;
use super::outcome::Waiting;
use super::sync::{Condvar, Mutex, MutexGuard, thread};
use crate::observer::{EraseReason, LogObserver};

/// Bytes of lines that may wait; further callers wait for room. A single longer line takes it all.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// Where so many times as many callers have yet to come to their answers as wait for one, the next
/// batch waits for more: at worst it is a third of them all then, and two thirds go on meanwhile.
const LATE_TO_WAITING: usize = 2;

/// In a time as a sync takes, somebody has to have come to an answer or called, or no more are
/// waited for.
const STEP: Duration = Duration::from_micros(200);

/// How often it spins before it looks again whether others have called, so as not to be in their way.
const SPINS: usize = 64;

/// A caller's end of an answer.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Job {
    Append(Batch),
    Delete {
        id: EntryId,
        note: EraseReason,
        answer: Answer<bool>,
    },
    Chore(Chore),
    Flush {
        answer: Answer<()>,
    },
    #[cfg_attr(not(feature = "evidence"), allow(dead_code))] // only the tree is called
    Observer(ObserverCall),
    Close {
        answer: Answer<()>,
    },
}

/// A function to call with the observer, under the store lock and with all lines synced; or with the
/// reason why that was not possible. It sends its own answer.
pub(crate) struct ObserverCall(Box<ObserverFn>);

type AnyObserver = dyn LogObserver + 'static;
type ObserverFn = dyn FnOnce(Result<&mut AnyObserver, StorageError>) + Send;

impl ObserverCall {
    pub(super) fn run(self, observer: Result<&mut AnyObserver, StorageError>) {
        (self.0)(observer);
    }
}

impl fmt::Debug for ObserverCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserverCall").finish_non_exhaustive()
    }
}

impl Job {
    /// A job that calls `function` with the observer. Type and lifetime of the argument allow a downcast.
    #[cfg(feature = "evidence")]
    pub(crate) fn observer(
        function: impl FnOnce(Result<&mut AnyObserver, StorageError>) + Send + 'static,
    ) -> Self {
        Self::Observer(ObserverCall(Box::new(function)))
    }
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
    answered: Answered,
    /// How many calls there have been.
    calls: u64,
    /// When something was last taken.
    taken: Option<Instant>,
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

    /// Appends the `part` of `lines` and waits until it is stored. Dropped while it waits for room,
    /// nothing was queued; dropped later, the lines are stored all the same.
    ///
    /// `lines` are dropped as soon as they are copied: what they were in is in the processor's cache
    /// then, where the next caller wants memory, and far away when hundreds of others have been at work.
    pub(crate) async fn append<L>(
        &self,
        lines: L,
        part: impl Fn(&L) -> Part<'_>,
    ) -> Result<(), StorageError> {
        // At most the capacity, which fits.
        let bytes = part(&lines).len().min(self.capacity) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| StorageError::Closed)?;
        let mut brought = Some((lines, room));
        let mut call = Call { queue: self, waiting: None };
        poll_fn(|context| match (brought.take(), &call.waiting) {
            (Some((lines, room)), _) => match self.join(part(&lines), room, context.waker()) {
                Ok(waiting) => {
                    call.waiting = Some(waiting);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            (None, Some(waiting)) => waiting.poll(context),
            (None, None) => Poll::Ready(Err(StorageError::Closed)), // cannot be
        })
        .await
    }

    /// Copies `lines` behind those of the callers before.
    fn join(
        &self,
        lines: Part<'_>,
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
        state.calls += 1;
        self.offer(state);
        Ok(waiting)
    }

    /// Keeps the buffers of a batch for the next.
    pub(crate) fn keep(&self, buffers: Buffers) {
        if let Some(buffers) = buffers.if_usual() {
            self.lock().spare = Some(buffers);
        }
    }

    /// How many calls there have been.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Keeps in mind who was told, for the next batch to be shared with them, and how many calls there
    /// had been before they were.
    pub(crate) fn note(&self, told: Told, calls_before: u64) {
        let mut state = self.lock();
        let now = Instant::now();
        let commit = state.taken.map_or(Duration::ZERO, |taken| now - taken);
        state.answered.note(told, calls_before, now, commit);
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
            self.offer(state);
        }
        receiver.await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
    }

    /// Takes all that is queued, waiting until that is [worth it](State::is_worth_it), the moment
    /// `until` has come, or somebody [rouses](Self::rouse) it; `None` once the queue is closed and
    /// empty.
    pub(crate) fn take(&self, until: Option<Instant>) -> Option<VecDeque<Job>> {
        let mut state = self.lock();
        let mut step: Option<(Instant, Progress)> = None;
        loop {
            let now = Instant::now();
            let calls = state.calls;
            state.answered.forget_late_ones(calls, now);
            let progress = state.progress();
            step = match step {
                _ if progress.late <= LATE_TO_WAITING => None,
                Some((end, before)) if end <= now && before == progress => {
                    state.answered.forget();
                    None
                }
                Some((end, _)) if end > now => step,
                _ => Some((now + STEP, progress)),
            };
            if state.gathers(now) {
                // Soon over: going to sleep would take as long.
                drop(state);
                (0..SPINS).for_each(|_| hint::spin_loop());
                thread::yield_now();
                state = self.lock();
                continue;
            }
            if state.is_worth_it() || std::mem::take(&mut state.roused) {
                break;
            }
            if state.closed && state.jobs.is_empty() {
                return None;
            }
            if state.closed || until.is_some_and(|until| until <= now) {
                break;
            }
            let until = until.into_iter().chain(step.map(|(end, _)| end)).min();
            let left = until.map(|until| until.saturating_duration_since(now));
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
        state.taken = Some(Instant::now());
        Some(std::mem::take(&mut state.jobs))
    }

    /// Puts what was taken and is not done yet before all that is queued.
    pub(crate) fn put_back(&self, jobs: impl Iterator<Item = Job>) {
        let mut state = self.lock();
        jobs.for_each(|job| state.jobs.push_front(job));
    }

    /// Lets whoever [takes](Self::take) come back and ask itself anew until when it may wait.
    pub(crate) fn rouse(&self) {
        let mut state = self.lock();
        state.roused = true;
        self.wake(state);
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
        self.wake(state);
        self.room.close();
    }

    /// Takes nothing in any more, and tells all who wait that it is closed.
    pub(crate) fn abandon(&self) {
        self.close();
        let jobs = std::mem::take(&mut self.lock().jobs);
        drop(jobs); // behind the lock: it wakes those who wait
    }

    /// Lets go of the lock, and wakes whoever takes where that finds something worth it.
    fn offer(&self, state: MutexGuard<'_, State>) {
        if state.parked && state.is_worth_it() {
            self.wake(state);
        }
    }

    /// Waking costs a system call, which a committer at work does not need. Before the lock is let go
    /// of, it would wake up to wait for that.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let sleeps = std::mem::take(&mut state.parked);
        drop(state);
        if sleeps {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Callers who wait, and who have not come to their last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    waiting: usize,
    late: usize,
}

impl State {
    fn progress(&self) -> Progress {
        let waiting = match self.jobs.back() {
            Some(Job::Append(batch)) => batch.calls(),
            _ => 0,
        };
        Progress { waiting, late: self.answered.count() }
    }

    /// A sync for few lines is not, as long as more callers who were answered last have not come to
    /// it yet: processors are short, and those make the lines that may share it.
    fn is_worth_it(&self) -> bool {
        let Progress { waiting, late } = self.progress();
        !self.jobs.is_empty() && (!self.appends_alone() || LATE_TO_WAITING * waiting >= late)
    }

    /// Whether lines wait and nothing besides.
    fn appends_alone(&self) -> bool {
        self.jobs.len() == 1 && matches!(self.jobs.back(), Some(Job::Append(_)))
    }

    /// Whether there are lines to be stored, and it is better to wait a moment for those of others.
    fn gathers(&self, now: Instant) -> bool {
        !self.closed
            && self.appends_alone()
            && self.is_worth_it()
            && self.answered.gather_until().is_some_and(|until| until > now)
    }
}

/// A call whose lines are queued.
struct Call<'a> {
    queue: &'a Queue,
    waiting: Option<Waiting>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // Nobody is left to wait for.
        if self.waiting.take().is_some_and(Waiting::leave) {
            let mut state = self.queue.lock();
            let calls = state.calls;
            state.answered.forget_late_ones(calls, Instant::now());
            self.queue.offer(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    use super::*;
    use crate::observer::LineEnd;
    use crate::writer::Lines;

    fn line() -> Lines {
        let bytes = b"{}\n".to_vec();
        let ends = vec![LineEnd { at: bytes.len(), leaf: None }];
        Lines { bytes, ends, checked_ids: Vec::new() }
    }

    fn begun<F: Future + ?Sized>(call: std::pin::Pin<&mut F>) {
        let polled = call.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }

    fn tell(queue: &Queue, batch: Batch) {
        let before = queue.calls();
        let (buffers, told) = batch.stored().tell();
        queue.keep(buffers);
        queue.note(told, before);
    }

    fn take_batch(queue: &Queue) -> Batch {
        match queue.take(None).expect("the queue is open").pop_front() {
            Some(Job::Append(batch)) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_that_nobody_polls_to_its_end_is_not_waited_for_for_ever() {
        let (queue, line) = (Queue::new(), line());
        let mut calls: Vec<_> =
            (0..10).map(|_| Box::pin(queue.append(&line, |line| line.whole()))).collect();
        calls.iter_mut().for_each(|call| begun(call.as_mut()));
        let batch = take_batch(&queue);
        assert_eq!(batch.calls(), 10);
        tell(&queue, batch);
        let mut next = pin!(queue.append(&line, |line| line.whole()));
        begun(next.as_mut());
        assert_eq!(take_batch(&queue).calls(), 1);
        drop(calls);
    }

    #[test]
    fn whoever_waits_when_the_committer_is_gone_is_told() {
        let (queue, line) = (Queue::new(), line());
        let mut call = pin!(queue.append(&line, |line| line.whole()));
        begun(call.as_mut());
        let mut flush = pin!(queue.submit::<(), StorageError>(|answer| Job::Flush { answer }));
        begun(flush.as_mut());
        queue.abandon();
        let mut context = Context::from_waker(Waker::noop());
        let told = [call.poll(&mut context), flush.poll(&mut context)];
        assert!(told.iter().all(|told| matches!(told, Poll::Ready(Err(StorageError::Closed)))));
    }

    type Calling<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), StorageError>> + 'a>>;

    fn call<'a>(queue: &'a Queue, line: &'a Lines) -> Calling<'a> {
        let mut call: Calling<'a> = Box::pin(queue.append(line, |line| line.whole()));
        begun(call.as_mut());
        call
    }

    /// So many callers, who were answered twice and called again at once between.
    fn who_call_again<'a>(queue: &'a Queue, line: &'a Lines, callers: usize) -> Vec<Calling<'a>> {
        let first: Vec<_> = (0..callers).map(|_| call(queue, line)).collect();
        tell(queue, take_batch(queue));
        assert!(!gathers(queue), "nobody knows yet whether they call again");
        let again = come_and_call(queue, line, first);
        tell(queue, take_batch(queue));
        again
    }

    fn come_and_call<'a>(
        queue: &'a Queue,
        line: &'a Lines,
        answered: Vec<Calling<'a>>,
    ) -> Vec<Calling<'a>> {
        let comes = |answered| {
            drop(answered);
            call(queue, line)
        };
        answered.into_iter().map(comes).collect()
    }

    /// Whether lines would be held back a moment for callers who were just told.
    fn gathers(queue: &Queue) -> bool {
        queue.lock().answered.gather_until().is_some()
    }

    #[test]
    fn a_few_callers_who_call_again_at_once_are_gathered() {
        let (queue, line) = (Queue::new(), line());
        let answered = who_call_again(&queue, &line, 4);
        assert!(gathers(&queue));
        // One that was not answered is there; those who were are not waited for for ever.
        let other = call(&queue, &line);
        assert_eq!(take_batch(&queue).calls(), 1);
        // They came to their answers and went away.
        drop(answered);
        assert!(!gathers(&queue));
        let calls: Vec<_> = (0..4).map(|_| call(&queue, &line)).collect();
        tell(&queue, take_batch(&queue));
        assert!(!gathers(&queue), "the last ones did not call again");
        drop((other, calls));
    }

    #[test]
    fn many_callers_are_not_gathered() {
        let (queue, line) = (Queue::new(), line());
        let answered = who_call_again(&queue, &line, 17);
        assert!(!gathers(&queue));
        drop(answered);
    }

    #[test]
    fn a_caller_who_does_not_come_is_gathered_for_once() {
        let (queue, line) = (Queue::new(), line());
        let mut answered = who_call_again(&queue, &line, 4);
        let stays_away = answered.pop();
        let answered = come_and_call(&queue, &line, answered);
        assert!(gathers(&queue));
        tell(&queue, take_batch(&queue));
        assert!(!gathers(&queue), "not all of the last ones came");
        let answered = come_and_call(&queue, &line, answered);
        tell(&queue, take_batch(&queue));
        assert!(gathers(&queue), "those who were told then have all called again");
        let calls = come_and_call(&queue, &line, answered);
        assert!(!gathers(&queue), "they are all there");
        drop((stays_away, calls));
    }

    #[test]
    fn nothing_but_lines_is_held_back() {
        let (queue, line) = (Queue::new(), line());
        let answered = who_call_again(&queue, &line, 4);
        let others: Vec<_> = (0..2).map(|_| call(&queue, &line)).collect();
        let until = queue.lock().answered.gather_until().unwrap();
        let within = until - Duration::from_nanos(1);
        assert!(queue.lock().gathers(within));
        assert!(!queue.lock().gathers(until));
        let mut flush = pin!(queue.submit::<(), StorageError>(|answer| Job::Flush { answer }));
        begun(flush.as_mut());
        assert!(!queue.lock().gathers(within));
        drop(queue.take(None));
        let last: Vec<_> = (0..2).map(|_| call(&queue, &line)).collect();
        assert!(queue.lock().gathers(within));
        queue.close();
        assert!(!queue.lock().gathers(within));
        drop((answered, others, last));
    }

    #[test]
    fn it_waits_for_callers_who_were_just_answered() {
        let (queue, line) = (Queue::new(), line());
        let mut calls: Vec<_> =
            (0..10).map(|_| Box::pin(queue.append(&line, |line| line.whole()))).collect();
        calls.iter_mut().for_each(|call| begun(call.as_mut()));
        tell(&queue, take_batch(&queue));
        let mut again: Vec<_> =
            (0..3).map(|_| Box::pin(queue.append(&line, |line| line.whole()))).collect();
        for call in &mut again {
            begun(call.as_mut());
            assert!(!queue.lock().is_worth_it());
            drop(calls.pop());
        }
        // Six are left, and three wait.
        drop(calls.pop());
        assert!(queue.lock().is_worth_it());
        // Whatever else is asked for does not wait.
        let mut flush = pin!(queue.submit::<(), StorageError>(|answer| Job::Flush { answer }));
        begun(flush.as_mut());
        assert_eq!(queue.take(None).map(|jobs| jobs.len()), Some(2));
    }
}
