//! What became of a batch, and those who wait to hear it.

use std::mem;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use attestry_core::StorageError;

use super::sync::{Mutex, MutexGuard};
use crate::callback;

/// What became of a batch, which all its callers look at.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    news: OnceLock<News>,
    /// By the number of the call; none any more when it is told.
    wakers: Mutex<Vec<Waker>>,
}

#[derive(Debug)]
pub(super) enum News {
    /// All that every call needs.
    Stored,
    /// By the number of the call, each to be taken once.
    Each(Mutex<Vec<Option<Result<(), StorageError>>>>),
    /// Nothing: the store was closed.
    Closed,
}

impl Outcome {
    pub(super) fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody, the first time.
    pub(super) fn settle(&self, news: News) {
        if self.news.set(news).is_ok() {
            let wakers = mem::take(&mut *self.wakers());
            for waker in wakers {
                callback::run(|| waker.wake());
            }
        }
    }
}

/// A caller's end of its call.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) outcome: Arc<Outcome>,
    pub(super) number: usize,
}

impl Waiting {
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Result<(), StorageError>> {
        if let Some(news) = self.outcome.news.get() {
            return Poll::Ready(self.hear(news));
        }
        // A waker is somebody else's code; none of it runs under the lock.
        let mut waker = context.waker().clone();
        if let Some(before) = self.outcome.wakers().get_mut(self.number) {
            mem::swap(before, &mut waker);
        }
        drop(waker);
        // Told in between, nobody may be left to wake this.
        match self.outcome.news.get() {
            Some(news) => Poll::Ready(self.hear(news)),
            None => Poll::Pending,
        }
    }

    /// Goes, and tells whether all others of the batch went before.
    pub(super) fn leave(self) -> bool {
        Arc::into_inner(self.outcome).is_some()
    }

    fn hear(&self, news: &News) -> Result<(), StorageError> {
        match news {
            News::Stored => Ok(()),
            News::Each(each) => {
                let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                each[self.number].take().unwrap_or(Err(StorageError::Closed))
            }
            News::Closed => Err(StorageError::Closed),
        }
    }
}
