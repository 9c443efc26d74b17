//! What tells the order in which entries of one moment were written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The key of the metadata (`x-amz-meta-` before it on the wire).
pub(crate) const METADATA_KEY: &str = "attestry-sequence";
/// Always so many digits, so that the order of the texts is that of the numbers.
const DIGITS: usize = 20;

/// Numbers that grow, each at least the nanoseconds since 1970 when it was given out.
#[derive(Debug, Default)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    /// The first of `count` numbers in a row that nobody else gets.
    pub(crate) fn reserve(&self, count: usize) -> u64 {
        let now = nanos(SystemTime::now());
        let count = count as u64;
        let last = |next: u64| next.max(now);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                Some(last(next).saturating_add(count))
            })
            .map_or(now, last)
    }
}

fn nanos(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn to_text(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// The number in `text`, unless it was not made by [`to_text`].
pub(crate) fn from_text(text: &str) -> Option<u64> {
    let well_formed = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| well_formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_and_never_overlap() {
        let sequence = Sequence::default();
        let mut last = 0;
        for count in [1, 1_000_000, 1, 3] {
            let first = sequence.reserve(count);
            assert!(first > last);
            last = first + count as u64 - 1;
        }
    }

    #[test]
    fn the_order_of_texts_is_that_of_numbers() {
        for (a, b) in [(0, 1), (9, 10), (1_769_591_700_000_000_000, u64::MAX)] {
            assert!(to_text(a) < to_text(b));
            assert_eq!((from_text(&to_text(a)), from_text(&to_text(b))), (Some(a), Some(b)));
        }
        for text in ["", "1", "+0000000000000000001", "99999999999999999999", "x"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
