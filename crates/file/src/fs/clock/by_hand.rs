//! Clocks set by tests.

use std::sync::atomic::{AtomicI64, Ordering};

use attestry_core::Timestamp;

use super::Clock;

static MOMENTS: [AtomicI64; 16] = [const { AtomicI64::new(0) }; 16];

/// The clock with this number. Tests run in parallel, so each uses numbers of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByHand<const NUMBER: usize>;

impl<const NUMBER: usize> ByHand<NUMBER> {
    pub(crate) fn set(self, moment: &str) {
        let moment: Timestamp = moment.parse().unwrap();
        MOMENTS[NUMBER].store(moment.unix_micros(), Ordering::SeqCst);
    }

    pub(crate) fn clock(self) -> Clock {
        Clock(|| Timestamp::from_unix_micros(MOMENTS[NUMBER].load(Ordering::SeqCst)).unwrap())
    }
}
