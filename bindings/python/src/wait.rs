//! Waiting on the calling thread, detached from the interpreter.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::prelude::*;

use crate::failure::Failure;
use crate::process;

/// How often signals are looked at, so that Ctrl-C ends a wait.
const SIGNALS: Duration = Duration::from_millis(200);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `work` to its end on this thread. Other Python threads run meanwhile. A signal whose handler raises ends it.
pub(crate) fn block_on<T: Send>(
    py: Python<'_>,
    work: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    let runtime = process::runtime(py)?;
    py.detach(|| {
        let _context = runtime.enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
                return result;
            }
            let parked = std::time::Instant::now();
            thread::park_timeout(SIGNALS);
            if parked.elapsed() >= SIGNALS {
                Python::attach(|py| py.check_signals()).map_err(Failure::Python)?;
            }
        }
    })
}
