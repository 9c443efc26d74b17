//! Calls that follow one another at once.

use std::time::{Duration, Instant};

/// Calls further apart have nothing to do with each other.
const AT_ONCE: Duration = Duration::from_micros(100);

/// So many make a burst. Fewer gain nothing by sharing a turn: that the committer has to be woken,
/// to give it back, takes as long as taking it some ten times.
const CALLS: u32 = 16;

/// Whether a caller is in the midst of many calls.
#[derive(Debug, Default)]
pub(super) struct Burst {
    last: Option<Instant>,
    calls: u32,
}

impl Burst {
    /// Notes a call, and tells whether it goes on with a burst.
    pub(super) fn goes_on(&mut self, now: Instant) -> bool {
        let before = self.last.replace(now);
        if before.is_some_and(|before| now.duration_since(before) < AT_ONCE) {
            self.calls = self.calls.saturating_add(1);
        } else {
            self.calls = 0;
        }
        self.calls >= CALLS
    }

    /// Begins to count anew.
    pub(super) fn end(&mut self) {
        self.calls = 0;
    }
}
