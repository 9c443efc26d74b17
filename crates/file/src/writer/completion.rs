//! The shared result of a batch, and the waiters for it.

use std::mem;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use attestry_core::StorageError;

use super::sync::{Mutex, MutexGuard};
use crate::callback;
use crate::fs::sys;

/// The result of a batch, shared by its waiters.
#[derive(Debug, Default)]
pub(super) struct Completion {
    result: OnceLock<BatchResult>,
    /// By the number of the call; empty once completed.
    wakers: Mutex<Vec<Waker>>,
}

#[derive(Debug)]
pub(super) enum BatchResult {
    /// Every call succeeded.
    Stored,
    /// By the number of the call, each to be taken once.
    PerCall(Mutex<Vec<Option<Result<(), StorageError>>>>),
    /// The store was closed before the batch was committed.
    Closed,
}

impl Completion {
    pub(super) fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the result and wakes all waiters, the first time only.
    pub(super) fn complete(&self, result: BatchResult) {
        if self.result.set(result).is_ok() {
            let wakers = mem::take(&mut *self.wakers());
            for waker in wakers {
                callback::run(|| waker.wake());
            }
        }
    }
}

/// Waits for one call of a batch.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) completion: Arc<Completion>,
    /// The number of the call.
    pub(super) call: usize,
}

impl Waiter {
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Result<(), StorageError>> {
        if let Some(result) = self.completion.result.get() {
            return Poll::Ready(self.take_result(result));
        }
        // Cloning and dropping a waker is user code, which does not run under the lock.
        let mut waker = context.waker().clone();
        if let Some(registered) = self.completion.wakers().get_mut(self.call) {
            mem::swap(registered, &mut waker);
        }
        drop(waker);
        // The batch may have been completed since the first check, with the old waker.
        match self.completion.result.get() {
            Some(result) => Poll::Ready(self.take_result(result)),
            None => Poll::Pending,
        }
    }

    /// Drops the waiter; returns whether it was the last one of its batch.
    pub(super) fn cancel(self) -> bool {
        Arc::into_inner(self.completion).is_some()
    }

    fn take_result(&self, result: &BatchResult) -> Result<(), StorageError> {
        match result {
            BatchResult::Stored => Ok(()),
            BatchResult::PerCall(results) => {
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results[self.call].take().unwrap_or(Err(StorageError::Closed))
            }
            BatchResult::Closed => Err(StorageError::Closed),
        }
    }
}

/// Copies an error, for another waiter of the same operation.
pub(super) fn share(error: &StorageError) -> StorageError {
    match error {
        StorageError::Io { action, path, source, .. } => {
            StorageError::io(action, path, sys::share(source))
        }
        StorageError::Locked { path, .. } => StorageError::locked(path),
        StorageError::Closed => StorageError::Closed,
        other => StorageError::message(other.to_string()),
    }
}
