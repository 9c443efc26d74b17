//! Code of others that ours calls.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a hook or a waker. One that panics has told of it in its own way (the panic hook of the
/// program), and must not end the thread that all callers wait for.
pub(crate) fn run(code: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(code));
}
