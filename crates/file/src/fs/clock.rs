//! What tells the day, and with it which segment is written to.

use attestry_core::Timestamp;

use crate::fs::segment_name::SegmentName;

/// Whoever chose a segment has appended to it after so long.
const LATE_MICROS: i64 = 60_000_000;

/// The system's clock; in tests one that they set. It may jump, back over midnight too: what it says
/// decides which segment is written to and how segments are looked at, never what is in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(fn() -> Timestamp);

impl Default for Clock {
    fn default() -> Self {
        Self(Timestamp::now)
    }
}

impl Clock {
    pub(crate) fn now(self) -> Timestamp {
        (self.0)()
    }

    /// The segments that somebody may be about to append to: that of the day, and in its first minute
    /// that of the day before. The Python package chooses one, and then opens it, without a lock.
    pub(crate) fn written_to(self) -> [SegmentName; 2] {
        let now = self.now();
        let before = Timestamp::from_unix_micros(now.unix_micros() - LATE_MICROS);
        [now, before.unwrap_or(now)].map(SegmentName::active_on)
    }
}

#[cfg(test)]
pub(crate) mod by_hand;
#[cfg(test)]
mod tests;
