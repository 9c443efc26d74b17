//! Runs user code: callbacks and wakers.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `code`. A panic in it was reported by the program's panic hook; it must not end the writer
/// thread, which every caller waits for.
pub(crate) fn run(code: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(code));
}
