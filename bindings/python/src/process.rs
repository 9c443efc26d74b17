//! What belongs to one process: its runtime, and its open stores.
//!
//! After a fork the child has neither the threads of the parent's runtime nor those that write its stores, and locks that
//! those threads held stay locked. Nothing of the parent is used in the child, nor dropped: dropping waits for threads.
//! The locks here are only held by threads that are attached to the interpreter, and a fork is made by such a thread, so
//! that none is held while another thread forks.

use std::mem;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use attestry::{AuditError, AuditLogger};
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::wait;

/// How long the end of the interpreter waits for all stores.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Something that is closed before the interpreter ends.
pub(crate) trait Closable: Send + Sync {
    /// The logger, if its store has been opened.
    fn ready(&self) -> Option<AuditLogger>;
}

struct Process {
    id: u32,
    /// Never dropped: its threads end with the process.
    runtime: &'static Runtime,
    /// To be closed before the interpreter ends.
    opened: Vec<Weak<dyn Closable>>,
}

static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

/// Calls `with` with what this process has, which is made at the first call in it.
fn with_process<T>(with: impl FnOnce(&mut Process) -> T) -> Result<T, Failure> {
    let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let id = std::process::id();
    if process.as_ref().is_none_or(|process| process.id != id) {
        mem::forget(process.take());
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("attestry")
            .enable_all()
            .build()
            .map_err(Failure::runtime)?;
        let runtime = Box::leak(Box::new(runtime));
        *process = Some(Process { id, runtime, opened: Vec::new() });
    }
    match process.as_mut() {
        Some(process) => Ok(with(process)),
        None => unreachable!("made above"),
    }
}

/// The runtime of this process.
pub(crate) fn runtime(_attached: Python<'_>) -> Result<&'static Runtime, Failure> {
    with_process(|process| process.runtime)
}

/// Has `opened` closed before the interpreter ends.
pub(crate) fn register(_attached: Python<'_>, opened: Weak<dyn Closable>) -> Result<(), Failure> {
    with_process(|process| {
        process.opened.retain(|opened| opened.strong_count() > 0);
        process.opened.push(opened);
    })
}

/// Closes every store that is open in this process; called when the interpreter ends.
///
/// A store that fails or hangs keeps no other one from being closed. Raises the first failure after that, and
/// `TimeoutError` if some are not closed in time.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) -> PyResult<()> {
    let id = std::process::id();
    let opened = {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        match process.as_mut().filter(|process| process.id == id) {
            Some(process) => mem::take(&mut process.opened),
            None => return Ok(()),
        }
    };
    let loggers = opened.iter().filter_map(Weak::upgrade).filter_map(|opened| opened.ready());
    let loggers: Vec<_> = loggers.collect();
    wait::block_on(py, close(loggers)).map_err(|failure| failure.into_error(py))
}

/// Flushes all loggers before the first store is closed: several loggers may have the same store.
async fn close(loggers: Vec<AuditLogger>) -> Result<(), Failure> {
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    let flushes = loggers.iter().cloned().map(|logger| async move { logger.flush().await });
    let flushed = all(flushes, deadline).await;
    let closes = loggers.into_iter().map(|logger| async move { logger.close().await });
    let closed = all(closes, deadline).await;
    flushed.and(closed)
}

/// Runs all to their ends; the first failure is returned after that.
async fn all<F>(works: impl Iterator<Item = F>, deadline: Instant) -> Result<(), Failure>
where
    F: Future<Output = Result<(), AuditError>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = works.collect();
    let mut result = Ok(());
    loop {
        match timeout_at(deadline, tasks.join_next()).await {
            Ok(None) => return result,
            Ok(Some(Ok(done))) => result = result.and(done.map_err(Failure::from)),
            Ok(Some(Err(error))) => {
                let message = format!("a store could not be closed: {error}");
                result = result.and(Err(Failure::Python(PyRuntimeError::new_err(message))));
            }
            Err(_) => {
                let message = format!(
                    "{} stores were not closed in {} seconds; what they had buffered may be lost",
                    tasks.len(),
                    CLOSE_TIMEOUT.as_secs()
                );
                return result.and(Err(Failure::Python(PyTimeoutError::new_err(message))));
            }
        }
    }
}
