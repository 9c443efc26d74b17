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

/// More than this make lines for longer than it is worth to wait for all of them.
const MOST: usize = 16;

/// The committer is kept from syncing for no longer than this by those who call again.
const GATHERING: Duration = Duration::from_micros(200);

/// Nobody is waited for any longer.
const PATIENCE: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct Answered {
    batches: VecDeque<Noted>,
    /// Of those who came to their answers last, most called again at once.
    call_again: bool,
    /// Until when it is better to wait for such callers than to sync without them.
    gather_until: Option<Instant>,
}

/// A batch whose callers were told of it.
#[derive(Debug)]
pub(super) struct Told {
    /// Each caller holds it until it has come to it.
    outcome: Weak<Outcome>,
    callers: usize,
}

#[derive(Debug)]
struct Noted {
    told: Told,
    /// How many calls there had been before they were told.
    calls_before: u64,
    /// They are not waited for any longer than this.
    until: Instant,
}

impl Told {
    /// So many `callers` hold `outcome`.
    pub(super) fn of(outcome: &Arc<Outcome>, callers: usize) -> Self {
        Self { outcome: Arc::downgrade(outcome), callers }
    }
}

impl Answered {
    /// They were told at `now`, after a commit that took so long, and before they were there had been
    /// so many calls.
    pub(super) fn note(&mut self, told: Told, calls_before: u64, now: Instant, commit: Duration) {
        self.batches.push_back(Noted { told, calls_before, until: now + PATIENCE });
        self.gather_until = Some(now + (commit / 2).min(GATHERING));
    }

    /// Until when it is better to wait for more calls than to sync without them.
    ///
    /// Callers in a loop fall into two groups otherwise: while one syncs, the other makes its lines, and
    /// each call waits for two syncs. A few are together again in less than half of a sync.
    pub(super) fn gather_until(&self) -> Option<Instant> {
        self.gather_until.filter(|_| self.call_again && (1..=MOST).contains(&self.count()))
    }

    /// Waits for none of them any more.
    pub(super) fn forget(&mut self) {
        self.batches.clear();
        self.call_again = false;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.batches.iter().map(|noted| noted.told.outcome.strong_count()).sum()
    }

    /// Waits no longer for those whose time has come, and learns from the others who came, when there
    /// were so many `calls` in all.
    pub(super) fn forget_late_ones(&mut self, calls: u64, now: Instant) {
        while let Some(Noted { told, calls_before, until }) = self.batches.front() {
            let all_came = told.outcome.strong_count() == 0;
            if !all_came && *until > now {
                break;
            }
            let called = calls - calls_before;
            self.call_again = all_came && 2 * called >= told.callers as u64;
            self.batches.pop_front();
        }
    }
}
