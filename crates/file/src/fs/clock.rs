//! The clock that decides which segment is written to.

use attestry_core::Timestamp;

use crate::fs::segment_name::SegmentName;

/// The Python package appends to a segment at the latest this long after it chose it.
const MAX_DELAY_MICROS: i64 = 60_000_000;

/// The system's clock; in tests one that they set. It may jump, also back over midnight: it decides
/// which segment is written to and how segments are read, never what is in them.
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

    /// The segments that may be about to be appended to: that of the day, and in its first minute that
    /// of the day before. The Python package chooses one, and then opens it, without a lock.
    pub(crate) fn written_to(self) -> [SegmentName; 2] {
        let now = self.now();
        let before = Timestamp::from_unix_micros(now.unix_micros() - MAX_DELAY_MICROS);
        [now, before.unwrap_or(now)].map(SegmentName::active_on)
    }
}

#[cfg(test)]
pub(crate) mod by_hand;
#[cfg(test)]
mod tests;
