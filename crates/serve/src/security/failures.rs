//! Bounds what failed authentications write: without a token, anyone could fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One entry of the access log at most in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Failed authentications that are not in the access log yet.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    unrecorded: u64,
    recorded_at: Option<Instant>,
}

impl Failures {
    /// Counts a failure. Returns how many are to be recorded now, if any.
    pub(crate) fn add(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unrecorded += 1;
        if state.recorded_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return None;
        }
        state.recorded_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unrecorded))
    }

    /// How many are left, for the last entry.
    pub(crate) fn take(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).unrecorded)
    }
}
