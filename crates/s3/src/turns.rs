//! Changes to one id take turns, also where the call that began one was dropped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, sync::Arc};

use attestry_core::EntryId;
use tokio::sync::Notify;

/// The ids that are being changed.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Each with the number of its turn.
    busy: HashMap<EntryId, u64>,
    next: u64,
}

/// The right to change some ids. Ends when it is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    ids: Vec<EntryId>,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until none of `ids`, which must be distinct, is being changed, and takes them all.
    /// It takes all or none, so that two that want the same ids never wait for each other.
    pub(crate) async fn take(self: &Arc<Self>, ids: Vec<EntryId>) -> Turn {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let mut state = self.lock();
                if ids.iter().all(|id| !state.busy.contains_key(id)) {
                    let number = state.next;
                    state.next += 1;
                    state.busy.extend(ids.iter().map(|id| (id.clone(), number)));
                    break;
                }
            }
            ended.await;
        }
        Turn { turns: Arc::clone(self), ids }
    }

    /// Waits until every turn that was taken before this call has ended.
    pub(crate) async fn settled(&self) {
        let now = self.lock().next;
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.lock().busy.values().all(|&number| number >= now) {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        for id in &self.ids {
            state.busy.remove(id);
        }
        drop(state);
        self.turns.ended.notify_waiters();
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("ids", &self.ids.len()).finish_non_exhaustive()
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
    async fn the_same_id_waits_and_another_does_not() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(ids(&["a", "b"])).await;
        let mut second = std::pin::pin!(turns.take(ids(&["b", "c"])));
        assert!(second.as_mut().now_or_never().is_none());
        // What waits holds nothing.
        drop(turns.take(ids(&["c"])).now_or_never().unwrap());
        drop(first);
        drop(second.now_or_never().unwrap());
        assert!(turns.lock().busy.is_empty());
    }

    #[tokio::test]
    async fn settled_waits_for_earlier_turns_only() {
        let turns = Arc::new(Turns::default());
        assert!(turns.settled().now_or_never().is_some());
        let earlier = turns.take(ids(&["a"])).await;
        let mut settled = std::pin::pin!(turns.settled());
        assert!(settled.as_mut().now_or_never().is_none());
        let _later = turns.take(ids(&["b"])).await;
        drop(earlier);
        assert!(settled.now_or_never().is_some());
    }
}
