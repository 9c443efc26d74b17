//! Segment names: `audit_YYYYMMDD.jsonl` and `audit_YYYYMMDD_NNN.jsonl`.

use std::fmt;

use attestry_core::Timestamp;

/// The name of a segment. Names sort in write order: by day, then by number, the active segment, which has
/// no number, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// The UTC day of the write, as the number YYYYMMDD.
    day: u32,
    /// `u64::MAX` for the active segment, which sorts last.
    number: u64,
}

const ACTIVE: u64 = u64::MAX;

impl SegmentName {
    /// The active segment of the UTC day of `time`.
    pub(crate) fn active_on(time: Timestamp) -> Self {
        let (year, month, day) = time.date();
        Self { day: year.unsigned_abs() * 10_000 + month * 100 + day, number: ACTIVE }
    }

    /// The UTC day of the write, as the number YYYYMMDD.
    #[cfg(feature = "evidence")]
    pub(crate) fn day(self) -> u32 {
        self.day
    }

    /// The first and the last name that a segment of the same day can have.
    #[cfg(feature = "evidence")]
    pub(crate) fn bounds_of_day(self) -> (Self, Self) {
        (Self { number: 0, ..self }, Self { number: ACTIVE, ..self })
    }

    /// Whether this is the name of an active segment.
    pub(crate) fn is_active(self) -> bool {
        self.number == ACTIVE
    }

    /// The sealed name of this active segment; `existing` are the segments of the store.
    pub(crate) fn sealed(self, existing: impl IntoIterator<Item = Self>) -> Self {
        let of_day =
            existing.into_iter().filter(|name| name.day == self.day && name.number != ACTIVE);
        let greatest = of_day.map(|name| name.number).max().unwrap_or(0);
        Self { day: self.day, number: greatest + 1 }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix("audit_")?.strip_suffix(".jsonl")?;
        let (day, number) = match stem.split_once('_') {
            Some((day, number)) => (day, Some(number)),
            None => (stem, None),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if day.len() != 8 || !all_digits(day) {
            return None;
        }
        let number = match number {
            None => ACTIVE,
            Some(number) if all_digits(number) && (3..=18).contains(&number.len()) => {
                number.parse().ok()?
            }
            Some(_) => return None,
        };
        let parsed = Self { day: day.parse().ok()?, number };
        // Each name has one spelling: neither this crate nor Python writes `_0007`.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            ACTIVE => write!(f, "audit_{:08}.jsonl", self.day),
            number => write!(f, "audit_{:08}_{number:03}.jsonl", self.day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SegmentName {
        SegmentName::parse(text).unwrap_or_else(|| panic!("{text} should parse"))
    }

    #[test]
    fn names_sort_in_write_order() {
        let written = [
            "audit_20260127_001.jsonl",
            "audit_20260127.jsonl",
            "audit_20260128_001.jsonl",
            "audit_20260128_002.jsonl",
            "audit_20260128_999.jsonl",
            "audit_20260128_1000.jsonl",
            "audit_20260128.jsonl",
            "audit_20260129.jsonl",
        ];
        let mut sorted = written.map(name);
        sorted.sort();
        assert_eq!(sorted.map(|name| name.to_string()), written);
    }

    #[test]
    fn other_names_are_not_segments() {
        for text in [
            "audit_2026012.jsonl",
            "audit_20260128.json",
            "audit_20260128_1.jsonl",
            "audit_20260128_0001.jsonl",
            "audit_20260128_001.jsonl.tmp",
            "audit_20260128_-01.jsonl",
            "audit_backup.jsonl",
            "audit_20260128_99999999999999999999.jsonl",
            "Audit_20260128.jsonl",
            "audit_.jsonl",
        ] {
            assert_eq!(SegmentName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sealed_name_takes_the_next_number_of_the_day() {
        let active = name("audit_20260128.jsonl");
        let existing = ["audit_20260127_009.jsonl", "audit_20260128.jsonl"].map(name);
        assert_eq!(active.sealed(existing).to_string(), "audit_20260128_001.jsonl");
        let existing = ["audit_20260128_001.jsonl", "audit_20260128_007.jsonl"].map(name);
        assert_eq!(active.sealed(existing).to_string(), "audit_20260128_008.jsonl");
        let existing = ["audit_20260128_999.jsonl"].map(name);
        assert_eq!(active.sealed(existing).to_string(), "audit_20260128_1000.jsonl");
        let day = "0007-03-04T00:00:00".parse().unwrap();
        assert_eq!(SegmentName::active_on(day).to_string(), "audit_00070304.jsonl");
    }
}
