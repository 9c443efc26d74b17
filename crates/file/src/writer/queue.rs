//! The write queue between callers and the writer thread, bounded in bytes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use attestry_core::StorageError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batch::{Batch, Buffers};
use super::completion::{Completion, Waiter};
use super::group_commit::CommitDelayPolicy;
use super::job::Job;
use super::lines::Chunk;
use super::sync::{Condvar, Mutex, MutexGuard};

/// Capacity in bytes of lines. Further callers wait (backpressure). A longer line takes all of it.
const CAPACITY: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// New jobs are refused; queued jobs are still executed.
    closed: bool,
    /// The writer thread is gone.
    abandoned: bool,
    /// The writer thread sleeps and must be woken.
    parked: bool,
    /// It sleeps because the next commit is delayed.
    delayed: bool,
    policy: CommitDelayPolicy,
    /// The buffers of an earlier batch.
    spare: Option<Buffers>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            capacity,
            room: Arc::new(Semaphore::new(capacity)),
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// Appends the `chunk` of `lines` and waits until it is committed. If the future is dropped while it
    /// waits for room, nothing was queued; if it is dropped later, the lines are stored all the same.
    ///
    /// `lines` are dropped as soon as they are copied: their memory is still in the processor's cache
    /// then, and is reused by the next caller.
    pub(super) async fn append<L>(
        &self,
        lines: L,
        chunk: impl Fn(&L) -> Chunk<'_>,
    ) -> Result<(), StorageError> {
        // At most the capacity, which fits.
        let bytes = chunk(&lines).bytes.len().min(self.capacity) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| StorageError::Closed)?;
        let mut to_enqueue = Some((lines, room));
        let mut call = Call { queue: self, waiter: None };
        poll_fn(|context| match (to_enqueue.take(), &call.waiter) {
            (Some((lines, room)), _) => match self.enqueue(chunk(&lines), room, context.waker()) {
                Ok(waiter) => {
                    call.waiter = Some(waiter);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            (None, Some(waiter)) => waiter.poll(context),
            (None, None) => Poll::Ready(Err(StorageError::Closed)), // polled after completion
        })
        .await
    }

    /// Copies `lines` into the last batch.
    fn enqueue(
        &self,
        lines: Chunk<'_>,
        room: OwnedSemaphorePermit,
        waker: &Waker,
    ) -> Result<Waiter, StorageError> {
        let waker = waker.clone();
        let mut state = self.lock();
        if state.closed {
            return Err(StorageError::Closed);
        }
        if !matches!(state.jobs.back(), Some(Job::Append(_))) {
            let buffers = state.spare.take().unwrap_or_default();
            state.jobs.push_back(Job::Append(Batch::with_buffers(buffers)));
        }
        let Some(Job::Append(batch)) = state.jobs.back_mut() else {
            return Err(StorageError::Closed); // unreachable: it was pushed above
        };
        let waiter = batch.add(lines, room, waker);
        self.wake(state);
        Ok(waiter)
    }

    /// A batch was completed; its waiters are likely to append again.
    pub(super) fn completed(&self, completion: &Arc<Completion>) {
        self.lock().policy.completed(completion);
    }

    /// Keeps the buffers of a batch for another.
    pub(super) fn reuse(&self, buffers: Buffers) {
        if let Some(buffers) = buffers.if_reusable() {
            self.lock().spare = Some(buffers);
        }
    }

    /// Queues a job and waits for its response. `Close` closes the queue; a second one waits for the
    /// same end.
    pub(super) async fn submit<T, E: From<StorageError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        let (responder, response) = oneshot::channel();
        {
            let mut state = self.lock();
            let job = job(responder);
            let closes = matches!(job, Job::Close { .. });
            if state.abandoned || (state.closed && !closes) {
                return Err(StorageError::Closed.into());
            }
            state.closed |= closes;
            state.jobs.push_back(job);
            self.wake(state);
        }
        response.await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
    }

    /// Takes all jobs; waits for one, at most until `deadline`, and while the policy delays it. `None`
    /// once the queue is closed and empty.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<VecDeque<Job>> {
        let mut state = self.lock();
        loop {
            let delay = state.delay_until();
            if delay.is_none() && !state.jobs.is_empty() {
                break;
            }
            if state.closed && state.jobs.is_empty() {
                return None;
            }
            let until = deadline.into_iter().chain(delay).min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            (state.parked, state.delayed) = (true, delay.is_some());
            state = match left {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let woken = self.work.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (state.parked, state.delayed) = (false, false);
        Some(std::mem::take(&mut state.jobs))
    }

    /// Puts jobs with steps left before all that are queued, in this order.
    pub(super) fn requeue_front(&self, jobs: Vec<Job>) {
        let mut state = self.lock();
        jobs.into_iter().rev().for_each(|job| state.jobs.push_front(job));
    }

    /// Whether it is open and empty.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.jobs.is_empty() && !state.closed
    }

    /// Refuses further jobs.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
        self.room.close();
    }

    /// Refuses further jobs, and responds to all queued ones that the store is closed.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        (state.closed, state.abandoned) = (true, true);
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.room.close();
        drop(jobs); // without the lock: it wakes the callers
    }

    /// Wakes the writer thread if it sleeps; otherwise a system call is saved. Unlocks first, so that
    /// the thread does not wake up to wait for the lock.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.delayed && state.delay_until().is_some() {
            return;
        }
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if parked {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Until when the next commit is delayed by the policy, if nothing but appends is queued.
    fn delay_until(&self) -> Option<Instant> {
        match self.jobs.front() {
            _ if self.closed || self.jobs.len() > 1 => None,
            None => self.policy.delay_until(0),
            Some(Job::Append(batch)) => self.policy.delay_until(batch.calls()),
            Some(_) => None,
        }
    }
}

/// A call of [`Queue::append`].
struct Call<'a> {
    queue: &'a Queue,
    waiter: Option<Waiter>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // No unpolled waiter is left: ends a delay.
        if self.waiter.take().is_some_and(Waiter::cancel) {
            let state = self.queue.lock();
            if state.delayed && !state.jobs.is_empty() {
                self.queue.wake(state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::Context;

    use super::*;
    use crate::observer::LineEnd;
    use crate::writer::EncodedLines;

    fn line() -> EncodedLines {
        let bytes = b"{}\n".to_vec();
        let line_ends = vec![LineEnd { at: bytes.len(), terms: 0, leaf: None, key: None }];
        EncodedLines { bytes, line_ends, ..EncodedLines::default() }
    }

    /// Polls a call that must not be ready.
    fn start<F: Future + ?Sized>(call: Pin<&mut F>) {
        let polled = call.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }

    #[test]
    fn calls_are_completed_when_the_writer_is_gone() {
        let (queue, line) = (Queue::new(), line());
        let mut call = pin!(queue.append(&line, |line| line.as_chunk()));
        start(call.as_mut());
        let mut flush =
            pin!(queue.submit::<(), StorageError>(|responder| Job::Flush { responder }));
        start(flush.as_mut());
        queue.abandon();
        let mut context = Context::from_waker(Waker::noop());
        let polled = [call.poll(&mut context), flush.poll(&mut context)];
        assert!(
            polled.iter().all(|polled| matches!(polled, Poll::Ready(Err(StorageError::Closed))))
        );
    }

    #[test]
    fn consecutive_appends_share_a_batch() {
        let (queue, line) = (Queue::new(), line());
        let mut calls: Vec<_> =
            (0..10).map(|_| Box::pin(queue.append(&line, |line| line.as_chunk()))).collect();
        calls[..6].iter_mut().for_each(|call| start(call.as_mut()));
        let mut flush =
            pin!(queue.submit::<(), StorageError>(|responder| Job::Flush { responder }));
        start(flush.as_mut());
        calls[6..].iter_mut().for_each(|call| start(call.as_mut()));
        let jobs = queue.take(None).expect("the queue is open");
        let calls_of = |job: &Job| match job {
            Job::Append(batch) => batch.calls(),
            _ => 0,
        };
        assert_eq!(jobs.iter().map(calls_of).collect::<Vec<_>>(), [6, 0, 4]);
    }

    fn take_batch(queue: &Queue) -> Batch {
        match queue.take(None).expect("the queue is open").pop_front() {
            Some(Job::Append(batch)) => batch,
            other => panic!("{other:?}"),
        }
    }

    fn complete(queue: &Queue, batch: Batch) {
        let mut acks = batch.stored();
        let completion = acks.completion();
        queue.reuse(acks.take_buffers());
        acks.send();
        queue.completed(&completion);
    }

    fn is_delayed(queue: &Queue) -> bool {
        queue.lock().delay_until().is_some()
    }

    #[test]
    fn commit_waits_for_unpolled_waiters() {
        let (queue, line) = (Queue::new(), line());
        let mut calls: Vec<_> =
            (0..10).map(|_| Box::pin(queue.append(&line, |line| line.as_chunk()))).collect();
        calls.iter_mut().for_each(|call| start(call.as_mut()));
        complete(&queue, take_batch(&queue));
        let mut again: Vec<_> =
            (0..3).map(|_| Box::pin(queue.append(&line, |line| line.as_chunk()))).collect();
        for call in &mut again {
            start(call.as_mut());
            assert!(is_delayed(&queue));
            drop(calls.pop());
        }
        // Six unpolled waiters are left, and three calls are queued.
        drop(calls.pop());
        assert!(!is_delayed(&queue));
        drop(again.pop());
        let mut flush =
            pin!(queue.submit::<(), StorageError>(|responder| Job::Flush { responder }));
        start(flush.as_mut());
        assert_eq!(queue.take(None).map(|jobs| jobs.len()), Some(2));
    }

    #[test]
    fn only_appends_are_delayed() {
        let (queue, line) = (Queue::new(), line());
        let append = || Box::pin(queue.append(&line, |line| line.as_chunk()));
        let mut calls: Vec<_> = (0..10).map(|_| append()).collect();
        calls.iter_mut().for_each(|call| start(call.as_mut()));
        complete(&queue, take_batch(&queue));
        let mut next = append();
        start(next.as_mut());
        assert!(is_delayed(&queue));
        let mut flush =
            pin!(queue.submit::<(), StorageError>(|responder| Job::Flush { responder }));
        start(flush.as_mut());
        assert!(!is_delayed(&queue));
        drop(queue.take(None));
        let mut last = append();
        start(last.as_mut());
        queue.close();
        assert!(!is_delayed(&queue));
    }

    #[test]
    fn waiter_that_is_never_polled_delays_one_commit() {
        let (queue, line) = (Queue::new(), line());
        let append = || Box::pin(queue.append(&line, |line| line.as_chunk()));
        let mut calls: Vec<_> = (0..10).map(|_| append()).collect();
        calls.iter_mut().for_each(|call| start(call.as_mut()));
        complete(&queue, take_batch(&queue));
        let mut next = append();
        start(next.as_mut());
        let batch = take_batch(&queue); // after the maximum delay
        assert_eq!(batch.calls(), 1);
        complete(&queue, batch);
        drop(next);
        let mut last = append();
        start(last.as_mut());
        assert!(!is_delayed(&queue));
        drop(calls);
    }

    #[test]
    fn every_close_gets_a_response() {
        let queue = Queue::new();
        let close = || queue.submit::<(), StorageError>(|responder| Job::Close { responder });
        let (mut first, mut second) = (pin!(close()), pin!(close()));
        start(first.as_mut());
        start(second.as_mut());
        for job in queue.take(None).expect("there are jobs") {
            let Job::Close { responder } = job else { panic!("{job:?}") };
            responder.send(Ok(())).unwrap();
        }
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(first.poll(&mut context), Poll::Ready(Ok(()))));
        assert!(matches!(second.poll(&mut context), Poll::Ready(Ok(()))));
        assert!(queue.take(None).is_none());
        queue.abandon();
        let mut third = pin!(close());
        assert!(matches!(
            third.as_mut().poll(&mut context),
            Poll::Ready(Err(StorageError::Closed))
        ));
    }
}
