//! Group-commit delay policy.
//!
//! After a commit, its waiters are runnable but may not have been polled yet. Committing the few lines
//! that are already queued would spend an `fdatasync`, and processor time, that the next appends of those
//! waiters could have shared. The policy delays the next commit while unpolled waiters of recent batches
//! outnumber the queued calls by more than [`UNPOLLED_PER_QUEUED`], for at most [`MAX_DELAY`] after the last
//! batch was completed. It never delays a lone caller, nor any job but appends. A waiter that is never
//! polled counts for [`MAX_DELAY`] only.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::completion::Completion;

/// At worst a third of the callers waits for the other two thirds.
const UNPOLLED_PER_QUEUED: usize = 2;

const MAX_DELAY: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct CommitDelayPolicy {
    /// Recent batches in order, each with the end of its delay.
    recent: Vec<(Weak<Completion>, Instant)>,
}

impl CommitDelayPolicy {
    /// A batch was completed.
    pub(super) fn completed(&mut self, completion: &Arc<Completion>) {
        let now = Instant::now();
        self.recent.retain(|(batch, end)| batch.strong_count() > 0 && now < *end);
        self.recent.push((Arc::downgrade(completion), now + MAX_DELAY));
    }

    /// Until when the commit of `queued` calls is delayed, unless something changes.
    pub(super) fn delay_until(&self, queued: usize) -> Option<Instant> {
        let now = Instant::now();
        let (_, end) = self.recent.last().filter(|(_, end)| now < *end)?;
        // A waiter holds the completion until it was polled, and dropped by that.
        let recent = self.recent.iter().filter(|(_, end)| now < *end);
        let unpolled: usize = recent.map(|(batch, _)| batch.strong_count()).sum();
        (unpolled > UNPOLLED_PER_QUEUED * queued).then_some(*end)
    }
}
