//! Sequence numbers, which order entries of equal timestamp as they were written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the object's metadata field, sent as the header `x-amz-meta-attestry-sequence`.
pub(crate) const METADATA_KEY: &str = "attestry-sequence";
/// A fixed width, so that the texts sort as the numbers do.
const DIGITS: usize = 20;

/// Strictly increasing numbers, each at least the nanoseconds since 1970 at its reservation.
#[derive(Debug, Default)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    /// Reserves `count` consecutive numbers and returns the first.
    pub(crate) fn reserve(&self, count: usize) -> u64 {
        let now = nanos(SystemTime::now());
        let count = count as u64;
        let first = |next: u64| next.max(now);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                Some(first(next).saturating_add(count))
            })
            .map_or(now, first)
    }
}

fn nanos(time: SystemTime) -> u64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn to_text(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// Parses exactly what [`to_text`] writes.
pub(crate) fn from_text(text: &str) -> Option<u64> {
    let well_formed = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| well_formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ranges_grow_and_do_not_overlap() {
        let sequence = Sequence::default();
        let mut last = 0;
        for count in [1, 1_000_000, 1, 3] {
            let first = sequence.reserve(count);
            assert!(first > last);
            last = first + count as u64 - 1;
        }
    }

    #[test]
    fn texts_sort_as_numbers_do() {
        for (a, b) in [(0, 1), (9, 10), (1_769_591_700_000_000_000, u64::MAX)] {
            assert!(to_text(a) < to_text(b));
            assert_eq!((from_text(&to_text(a)), from_text(&to_text(b))), (Some(a), Some(b)));
        }
        for text in ["", "1", "+0000000000000000001", "99999999999999999999", "x"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
