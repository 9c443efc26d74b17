//! Locks on entry ids, so that changes of one id do not overtake each other within a process.
//!
//! A change that was sent to S3 takes effect even if its caller stops waiting. Its [`KeyGuard`] therefore
//! lives in the task that waits for the response, not in the caller's future.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, sync::Arc};

use attestry_core::EntryId;
use tokio::sync::Notify;

/// The ids that are locked at the moment.
#[derive(Default)]
pub(crate) struct KeyLocks {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Default)]
struct State {
    /// Each locked id with the ticket of its guard.
    locked: HashMap<EntryId, u64>,
    next_ticket: u64,
}

/// Exclusive access to a set of ids, until it is dropped.
pub(crate) struct KeyGuard {
    locks: Arc<KeyLocks>,
    ids: Vec<EntryId>,
}

impl KeyLocks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks `ids`, which must be distinct. It locks all of them at once or none, so two calls with
    /// overlapping ids cannot deadlock.
    pub(crate) async fn lock(self: &Arc<Self>, ids: Vec<EntryId>) -> KeyGuard {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            {
                let mut state = self.state();
                if ids.iter().all(|id| !state.locked.contains_key(id)) {
                    let ticket = state.next_ticket;
                    state.next_ticket += 1;
                    state.locked.extend(ids.iter().map(|id| (id.clone(), ticket)));
                    break;
                }
            }
            released.await;
        }
        KeyGuard { locks: Arc::clone(self), ids }
    }

    /// Waits until every guard that was acquired before this call is released.
    pub(crate) async fn wait_for_earlier(&self) {
        let next = self.state().next_ticket;
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.state().locked.values().all(|&ticket| ticket >= next) {
                return;
            }
            released.await;
        }
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        for id in &self.ids {
            state.locked.remove(id);
        }
        drop(state);
        self.locks.released.notify_waiters();
    }
}

impl fmt::Debug for KeyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyGuard").field("ids", &self.ids.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn ids(names: &[&str]) -> Vec<EntryId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn only_overlapping_ids_wait() {
        let locks = Arc::new(KeyLocks::default());
        let first = locks.lock(ids(&["a", "b"])).await;
        let mut second = std::pin::pin!(locks.lock(ids(&["b", "c"])));
        assert!(second.as_mut().now_or_never().is_none());
        // A waiting call holds no lock.
        drop(locks.lock(ids(&["c"])).now_or_never().unwrap());
        drop(first);
        drop(second.now_or_never().unwrap());
        assert!(locks.state().locked.is_empty());
    }

    #[tokio::test]
    async fn later_guards_are_not_waited_for() {
        let locks = Arc::new(KeyLocks::default());
        assert!(locks.wait_for_earlier().now_or_never().is_some());
        let earlier = locks.lock(ids(&["a"])).await;
        let mut waiting = std::pin::pin!(locks.wait_for_earlier());
        assert!(waiting.as_mut().now_or_never().is_none());
        let _later = locks.lock(ids(&["b"])).await;
        drop(earlier);
        assert!(waiting.now_or_never().is_some());
    }
}
