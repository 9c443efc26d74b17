//! What tells the day, and with it which segment is written to.

use attestry_core::Timestamp;

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
}

#[cfg(test)]
pub(crate) mod by_hand;
#[cfg(test)]
mod tests;
