//! Stores entries in the background, on a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures_util::future::BoxFuture;
use tokio::runtime;
use tokio::sync::Notify;

use crate::AuditError;

/// Stores one entry.
pub(crate) type Job = BoxFuture<'static, Result<(), AuditError>>;

/// Runs jobs that nothing awaits, for calls that are dropped.
///
/// A call may be dropped where nothing can be awaited and no runtime runs, so a thread with a runtime of
/// its own runs the job. The thread starts with the first job and ends with the last. The queue holds at
/// most one job for each call that was started.
#[derive(Default)]
pub(crate) struct Recorder {
    queue: Mutex<Queue>,
    /// Notified when the thread ends.
    idle: Notify,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    thread_runs: bool,
    /// The first failure since the last call of [`Recorder::drain`].
    failure: Option<AuditError>,
}

impl Recorder {
    /// Runs `job` in the background. The next [`drain`](Self::drain) returns its failure.
    pub(crate) fn run(self: &Arc<Self>, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        if !queue.thread_runs {
            let recorder = Arc::clone(self);
            let thread = thread::Builder::new().name("attestry-calls".into());
            // If no thread can be started, the job waits for the next one or for `drain`.
            queue.thread_runs = thread.spawn(move || recorder.run_all()).is_ok();
        }
    }

    /// Reports a failure by the next [`drain`](Self::drain).
    pub(crate) fn fail(&self, error: AuditError) {
        self.lock().failure.get_or_insert(error);
    }

    /// Returns once all jobs are done, or with the first failure since this was called last.
    ///
    /// Cancel safe: no job is lost.
    pub(crate) async fn drain(&self) -> Result<(), AuditError> {
        loop {
            let idle = self.idle.notified();
            let next = {
                let mut queue = self.lock();
                if queue.thread_runs { None } else { Some(queue.jobs.pop_front()) }
            };
            match next {
                None => idle.await,
                Some(Some(job)) => {
                    let mut job = Unfinished { job: Some(job), recorder: self };
                    let Some(future) = &mut job.job else { unreachable!("set above") };
                    let result = future.await;
                    job.job = None;
                    result.unwrap_or_else(|error| self.fail(error));
                }
                Some(None) => return self.lock().failure.take().map_or(Ok(()), Err),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread.
    fn run_all(&self) {
        // Without a runtime the jobs wait, as above.
        let runtime = runtime::Builder::new_current_thread().enable_all().build().ok();
        loop {
            let (runtime, job) = {
                let mut queue = self.lock();
                let job = if runtime.is_some() { queue.jobs.pop_front() } else { None };
                let (Some(runtime), Some(job)) = (&runtime, job) else {
                    queue.thread_runs = false;
                    self.idle.notify_waiters();
                    return;
                };
                (runtime, job)
            };
            runtime.block_on(job).unwrap_or_else(|error| self.fail(error));
        }
    }
}

/// A job that [`Recorder::drain`] runs. Dropping it puts the job back.
struct Unfinished<'a> {
    job: Option<Job>,
    recorder: &'a Recorder,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.recorder.lock().jobs.push_front(job);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("waiting", &self.lock().jobs.len()).finish()
    }
}
