//! Running work on a Tokio task, so that its progress does not depend on the caller's polling.

use std::panic::resume_unwind;

use attestry_core::StorageError;
use tokio::task::{JoinError, JoinSet};

/// Runs `request` to its end even if the returned future is dropped. For requests that change
/// something: once sent they take effect in any case, and a later one must not overtake them.
pub(crate) async fn detached<T: Send + 'static>(
    request: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    join(tokio::spawn(request).await)
}

/// Runs `work` on a task that is aborted when the returned future is dropped.
pub(crate) async fn abortable<T: Send + 'static>(
    work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(joined) => join(joined),
        None => Err(StorageError::Closed),
    }
}

fn join<T>(joined: Result<Result<T, StorageError>, JoinError>) -> Result<T, StorageError> {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(error) => Err(StorageError::other(
            "the Tokio runtime shut down before the request completed",
            error,
        )),
    })
}
