//! Callers who were answered and have not come to it yet.
//!
//! Mostly each is a task that could run and has no processor. While there are many, a sync for the
//! few lines that wait would take processors from those who make the next ones. But nothing tells
//! such a task from one that does something else first, or that nobody polls, so they are waited for
//! only as long as some of them do come.

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
    /// The batch told last, while somebody has not come.
    last: Option<Noted>,
    /// Those before it.
    earlier: Vec<Noted>,
    /// When this was seen last, all had come, and half as many calls besides. Whose calls those are is
    /// not known; where others call that often, they are worth gathering as well.
    call_again: bool,
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
    /// Until when it is better to wait for them than to sync without them, if they call again at once.
    gather_until: Instant,
    /// They are not waited for any longer than this, whatever they do.
    until: Instant,
}

impl Told {
    /// So many `callers` hold `outcome`.
    pub(super) fn of(outcome: &Arc<Outcome>, callers: usize) -> Self {
        Self { outcome: Arc::downgrade(outcome), callers }
    }

    /// How many have not come to it.
    fn late(&self) -> usize {
        self.outcome.strong_count()
    }
}

impl Noted {
    fn is_over(&self, now: Instant) -> bool {
        self.told.late() == 0 || self.until <= now
    }
}

impl Answered {
    /// They were told at `now`, after a commit that took so long, and before they were there had been
    /// so many calls.
    pub(super) fn note(&mut self, told: Told, calls_before: u64, now: Instant, commit: Duration) {
        self.learn(calls_before);
        self.earlier.extend(self.last.take());
        let gather_until = now + (commit / 2).min(GATHERING);
        self.last = Some(Noted { told, calls_before, gather_until, until: now + PATIENCE });
        self.earlier.retain(|noted| !noted.is_over(now));
    }

    /// Until when it is better to wait for the callers told last than to sync without them.
    ///
    /// Callers in a loop fall into two groups otherwise: while one syncs, the other makes its lines, and
    /// each call waits for two syncs. A few are together again in less than half of a sync.
    pub(super) fn gather_until(&self) -> Option<Instant> {
        let few = |last: &&Noted| last.told.callers <= MOST && last.told.late() > 0;
        self.last.as_ref().filter(few).filter(|_| self.call_again).map(|last| last.gather_until)
    }

    /// Waits for none of them any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.earlier.iter().chain(&self.last).map(|noted| noted.told.late()).sum()
    }

    /// Waits no longer for those whose time has come, when there were so many `calls` in all.
    pub(super) fn forget_late_ones(&mut self, calls: u64, now: Instant) {
        if self.last.as_ref().is_some_and(|last| last.is_over(now)) {
            self.learn(calls);
            self.last = None;
        }
        self.earlier.retain(|noted| !noted.is_over(now));
    }

    /// Sees what those told last do, when there were so many `calls` in all: no later than others are
    /// told, so that they have had the time of one commit.
    fn learn(&mut self, calls: u64) {
        if let Some(Noted { told, calls_before, .. }) = &self.last {
            let called = calls - calls_before;
            self.call_again = told.late() == 0 && 2 * called >= told.callers as u64;
        }
    }
}
