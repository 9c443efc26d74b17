//! Pauses between attempts.

use std::time::Duration;

/// Exponential backoff with jitter: the upper bound of a pause doubles with each failure in a row, and the
/// pause is between half of it and all of it.
///
/// ```
/// use std::time::Duration;
/// use attestry_anchor::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// assert!(backoff.pause(1) <= Duration::from_secs(1));
/// assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&backoff.pause(100)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    /// Pauses of at most `first` after one failure, and never more than `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The pause after this many failures in a row.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let upper = self.first.saturating_mul(doubled).min(self.most);
        // Without random numbers all pauses are the longest, which is safe.
        let mut byte = [255_u8];
        let _ = getrandom::fill(&mut byte);
        upper / 2 + (upper / 2).mul_f64(f64::from(byte[0]) / 255.0)
    }
}

impl Default for Backoff {
    /// One second at first, at most five minutes.
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(300))
    }
}
