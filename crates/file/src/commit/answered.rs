//! Callers who were answered and have not come to it yet.
//!
//! Mostly each is a task that could run and has no processor. While there are many, a sync for the
//! few lines that wait would take processors from those who make the next ones. But nothing tells
//! such a task from one that does something else first, or that nobody polls, so they are waited for
//! only as long as some of them do come.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::outcome::Outcome;

/// Nobody is waited for any longer.
const PATIENCE: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct Answered {
    batches: VecDeque<(Instant, Told)>,
}

/// A batch whose callers were told of it.
#[derive(Debug)]
pub(super) struct Told(Weak<Outcome>);

impl Told {
    /// `outcome` is held by each caller until it has come to it.
    pub(super) fn of(outcome: &Arc<Outcome>) -> Self {
        Self(Arc::downgrade(outcome))
    }
}

impl Answered {
    pub(super) fn note(&mut self, told: Told, now: Instant) {
        self.batches.push_back((now + PATIENCE, told));
    }

    /// Waits for none of them any more.
    pub(super) fn forget(&mut self) {
        self.batches.clear();
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.batches.iter().map(|(_, Told(outcome))| outcome.strong_count()).sum()
    }

    /// Waits no longer for those whose time has come.
    pub(super) fn forget_late_ones(&mut self, now: Instant) {
        let is_done =
            |(until, Told(outcome)): &(Instant, Told)| *until <= now || outcome.strong_count() == 0;
        while self.batches.front().is_some_and(is_done) {
            self.batches.pop_front();
        }
    }
}
