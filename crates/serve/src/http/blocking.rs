//! Work that takes long, away from the threads of the runtime.

use super::problem::Problem;

/// Runs `work` on a thread for blocking work. Cancelled, it still runs to its end, without a result.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::unavailable("the server shuts down"))
}
