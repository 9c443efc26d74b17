//! What belongs to one process: its runtime, and its open stores.
//!
//! After a fork the child has neither the threads of the parent's runtime nor those that write its stores, and locks that
//! those threads held stay locked. Nothing of the parent is used in the child, nor dropped: dropping waits for threads.
//! The locks here are only held by threads that are attached to the interpreter, and a fork is made by such a thread, so
//! that none is held while another thread forks.

use std::mem;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::logger::Opened;
use crate::wait;

/// How long the end of the interpreter waits for all stores.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

struct Process {
    id: u32,
    /// Never dropped: its threads end with the process.
    runtime: &'static Runtime,
    /// To be closed before the interpreter ends.
    opened: Vec<Weak<Opened>>,
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
pub(crate) fn register(_attached: Python<'_>, opened: Weak<Opened>) -> Result<(), Failure> {
    with_process(|process| {
        process.opened.retain(|opened| opened.strong_count() > 0);
        process.opened.push(opened);
    })
}

/// Closes every store that is open in this process; called when the interpreter ends.
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
    wait::block_on(py, async move {
        let close = async {
            for logger in loggers {
                logger.close().await?;
            }
            Ok(())
        };
        tokio::time::timeout(CLOSE_TIMEOUT, close).await.unwrap_or(Ok(()))
    })
    .map_err(|failure: Failure| failure.into_error(py))
}
