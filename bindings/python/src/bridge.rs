//! From futures of Rust to futures of asyncio.
//!
//! Each event loop has a bridge: an event counter that the loop watches, and a list of what is ready. A thread of
//! ours that completes something adds to the list and raises the counter if the list was empty. It never waits for the
//! interpreter, and the loop is woken once for all that one commit completes.

use std::future::Future;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

use crate::convert::Reply;
use crate::failure::Failure;
use crate::process;
use crate::wait;

/// What a call does, detached from the interpreter.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// Where the work of a call for an event loop runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the loop's thread. For work that only waits.
    Loop,
    /// In the runtime. For work that reads files or computes.
    Runtime,
}

/// Does `work`: on this thread without a bridge, which returns the result; else the future of asyncio is returned.
pub(crate) fn run(
    py: Python<'_>,
    bridge: Option<&Bound<'_, Bridge>>,
    place: Place,
    work: Work,
) -> PyResult<Py<PyAny>> {
    match bridge {
        Some(bridge) => bridge.get().submit(py, place, work),
        None => match wait::block_on(py, work) {
            Ok(reply) => reply.into_python(py),
            Err(failure) => Err(failure.into_error(py)),
        },
    }
}

/// Delivers results to the event loop of asyncio that watches its descriptor.
#[pyclass(frozen)]
pub(crate) struct Bridge {
    shared: Arc<Shared>,
    /// Returns the loop: a weak reference to it, for instance.
    event_loop: Py<PyAny>,
}

struct Shared {
    counter: OwnedFd,
    ready: Mutex<Vec<Ready>>,
}

/// What the loop's thread has to do.
enum Ready {
    Poll(Arc<Task>),
    Deliver(Py<PyAny>, Result<Reply, Failure>),
}

impl Shared {
    fn push(&self, ready: Ready) {
        let was_empty = {
            let mut list = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(ready);
            list.len() == 1
        };
        if was_empty {
            // Fails only if the counter is at its maximum; then the loop is about to be woken.
            let _ = write(&self.counter, &1_u64.to_ne_bytes());
        }
    }
}

/// Work that is polled on the loop's thread.
struct Task {
    shared: Arc<Shared>,
    /// `None` once it is done.
    work: Mutex<Option<Work>>,
    future: Py<PyAny>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let shared = Arc::clone(&self.shared);
        shared.push(Ready::Poll(self));
    }
}

impl Task {
    fn poll(self: &Arc<Self>) -> Option<Result<Reply, Failure>> {
        let mut slot = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let work = slot.as_mut()?;
        let waker = Waker::from(Arc::clone(self));
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => {
                *slot = None;
                Some(result)
            }
            Poll::Pending => None,
        }
    }
}

#[pymethods]
impl Bridge {
    /// For the loop that `event_loop` returns when it is called.
    #[new]
    fn new(event_loop: Py<PyAny>) -> PyResult<Self> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))?;
        Ok(Self { shared: Arc::new(Shared { counter, ready: Mutex::default() }), event_loop })
    }

    /// The descriptor to watch.
    fn fileno(&self) -> i32 {
        self.shared.counter.as_fd().as_raw_fd()
    }

    /// Delivers what is ready; called by the loop.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let _ = read(&self.shared.counter, &mut [0; 8]);
        let ready =
            mem::take(&mut *self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner));
        let runtime = process::runtime(py).map_err(|failure| failure.into_error(py))?;
        let _context = runtime.enter();
        for item in ready {
            let delivered = match item {
                Ready::Poll(task) => match task.poll() {
                    Some(result) => deliver(py, &task.future, result),
                    None => Ok(()),
                },
                Ready::Deliver(future, result) => deliver(py, &future, result),
            };
            if let Err(error) = delivered {
                error.write_unraisable(py, None);
            }
        }
        Ok(())
    }
}

impl Bridge {
    fn submit(&self, py: Python<'_>, place: Place, work: Work) -> PyResult<Py<PyAny>> {
        let event_loop = self.event_loop.bind(py).call0()?;
        let future = event_loop.call_method0(intern!(py, "create_future"))?.unbind();
        let runtime = process::runtime(py).map_err(|failure| failure.into_error(py))?;
        match place {
            Place::Loop => {
                let task = Arc::new(Task {
                    shared: Arc::clone(&self.shared),
                    work: Mutex::new(Some(work)),
                    future: future.clone_ref(py),
                });
                let _context = runtime.enter();
                if let Some(result) = task.poll() {
                    deliver(py, &future, result)?;
                }
            }
            Place::Runtime => {
                let (shared, future) = (Arc::clone(&self.shared), future.clone_ref(py));
                runtime.spawn(async move {
                    let result = work.await;
                    shared.push(Ready::Deliver(future, result));
                });
            }
        }
        Ok(future)
    }
}

/// Completes a future of asyncio, unless it was cancelled.
fn deliver(py: Python<'_>, future: &Py<PyAny>, result: Result<Reply, Failure>) -> PyResult<()> {
    let future = future.bind(py);
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match result.map_err(|failure| failure.into_error(py)).and_then(|reply| reply.into_python(py)) {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error,)),
    }?;
    Ok(())
}
