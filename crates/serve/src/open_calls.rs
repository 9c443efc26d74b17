//! Calls that have started and not ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use attestry::{Call, EntryId};
use tokio::sync::watch;

use crate::http::problem::Problem;

/// The calls that have started and not ended.
#[derive(Debug)]
pub(crate) struct OpenCalls {
    calls: Mutex<HashMap<EntryId, OpenCall>>,
    capacity: usize,
    idle: Duration,
}

#[derive(Debug)]
struct OpenCall {
    call: Call,
    /// Only the client that started it may continue it.
    owner: String,
    used: Instant,
}

impl OpenCalls {
    pub(crate) fn new(capacity: usize, idle: Duration) -> Self {
        Self { calls: Mutex::default(), capacity, idle }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Stores all of them as abandoned, in the background.
    pub(crate) fn abandon_all(&self) {
        let calls = std::mem::take(&mut *self.lock());
        drop(calls); // without the lock
    }

    /// Abandons calls that have been idle for too long, until `shutdown` is true.
    pub(crate) async fn sweep(&self, mut shutdown: watch::Receiver<bool>) {
        let mut interval = tokio::time::interval((self.idle / 4).max(Duration::from_millis(10)));
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                _ = interval.tick() => {}
            }
            let idle: Vec<_> =
                self.lock().extract_if(|_, open| open.used.elapsed() >= self.idle).collect();
            drop(idle); // without the lock
        }
    }

    pub(crate) fn insert(&self, id: EntryId, call: Call, owner: &str) {
        let open = OpenCall { call, owner: owner.to_owned(), used: Instant::now() };
        self.lock().insert(id, open);
    }

    /// Changes a call, such as by appending to its output.
    pub(crate) fn update(
        &self,
        id: &str,
        owner: &str,
        change: impl FnOnce(&mut Call),
    ) -> Result<(), Problem> {
        let mut calls = self.lock();
        let open = calls.get_mut(id);
        let open = open.filter(|open| open.owner == owner).ok_or_else(|| unknown(id))?;
        change(&mut open.call);
        open.used = Instant::now();
        Ok(())
    }

    pub(crate) fn take(&self, id: &str, owner: &str) -> Result<Call, Problem> {
        let mut calls = self.lock();
        let is_owned = calls.get(id).is_some_and(|open| open.owner == owner);
        let open = if is_owned { calls.remove(id) } else { None };
        open.map(|open| open.call).ok_or_else(|| unknown(id))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EntryId, OpenCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!(
        "no call {id} of this token is open; it may have ended, been idle for too long, or been started before the server was restarted"
    ))
}
