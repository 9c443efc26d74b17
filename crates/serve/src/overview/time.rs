//! Hours and days of UTC, and the range of an overview.

use attestry::Timestamp;

pub(crate) const HOUR: i64 = 3_600_000_000;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Points of a chart at most.
const MAX_POINTS: i64 = 92;
/// The times that a point of a chart may be of.
const WIDTHS: [i64; 6] = [HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY, 364 * DAY];
/// A longer range begins and ends with a day.
const LONG: i64 = 14 * DAY;

/// The start of the hour or day, `unit`, of a time in microseconds.
pub(crate) fn floor(micros: i64, unit: i64) -> i64 {
    micros.div_euclid(unit) * unit
}

/// The time, or the first or the last one that there is.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    let bound = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_unix_micros(micros).unwrap_or(bound)
}

/// A range of whole hours, in microseconds since 1970: from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Range {
    /// The whole hours, or if it is long, the whole days that have the times from `since` to `until`.
    pub(crate) fn around(since: Timestamp, until: Timestamp) -> Self {
        let (since, until) = (since.unix_micros(), until.unix_micros().max(since.unix_micros()));
        let unit = if until - since > LONG { DAY } else { HOUR };
        Self { start: floor(since, unit), end: floor(until, unit).saturating_add(unit) }
    }

    /// The range, begun and ended with a day where it is before `coarse_before`.
    pub(crate) fn fitting(self, coarse_before: i64) -> Self {
        let start = if self.start < coarse_before { floor(self.start, DAY) } else { self.start };
        let end = match self.end < coarse_before {
            true => floor(self.end - 1, DAY).saturating_add(DAY),
            false => self.end,
        };
        Self { start, end }
    }

    pub(crate) fn since(self) -> Timestamp {
        timestamp(self.start)
    }

    /// The last time in the range.
    pub(crate) fn until(self) -> Timestamp {
        timestamp(self.end - 1)
    }

    /// The time of each point of a chart. With a day that is before `coarse_before`, at least one.
    fn width(self, coarse_before: i64) -> i64 {
        let span = self.end - self.start;
        let fits = |width: &&i64| {
            span / **width <= MAX_POINTS && (**width >= DAY || self.start >= coarse_before)
        };
        let widest = |span: i64| (span / MAX_POINTS / DAY + 1) * DAY;
        WIDTHS.iter().find(fits).copied().unwrap_or_else(|| widest(span))
    }

    /// The parts of the range that are the points of a chart.
    pub(crate) fn points(self, coarse_before: i64) -> Vec<Self> {
        let width = self.width(coarse_before);
        let mut points = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let end = start.saturating_add(width).min(self.end);
            points.push(Self { start, end });
            start = end;
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(since: &str, until: &str) -> Range {
        Range::around(since.parse().unwrap(), until.parse().unwrap())
    }

    #[test]
    fn range_has_whole_hours_or_days() {
        let short = range("2026-01-28T09:15:00", "2026-01-28T11:00:00");
        assert_eq!(short.since().to_string(), "2026-01-28T09:00:00");
        assert_eq!(short.until().to_string(), "2026-01-28T11:59:59.999999");
        assert_eq!(short.points(i64::MIN).len(), 3);
        let coarse = short.fitting(short.end + 1);
        assert_eq!(coarse.since().to_string(), "2026-01-28T00:00:00");
        assert_eq!(coarse.until().to_string(), "2026-01-28T23:59:59.999999");
        let long = range("2026-01-01T09:15:00", "2026-03-28T11:00:00");
        assert_eq!(long.since().to_string(), "2026-01-01T00:00:00");
        assert_eq!(long.points(i64::MIN).len(), 87);
    }

    #[test]
    fn points_are_few_and_cover_the_range() {
        let first = Timestamp::MIN.unix_micros();
        for since in [first, -1, 0, 1_769_000_000_000_000] {
            for span in [0, 1, HOUR, DAY, 40 * DAY, 4_000 * DAY, 900_000 * DAY] {
                let until = timestamp(since.saturating_add(span));
                for coarse_before in [i64::MIN, 0, i64::MAX] {
                    let range = Range::around(timestamp(since), until).fitting(coarse_before);
                    let points = range.points(coarse_before);
                    assert!((1..=93).contains(&points.len()), "{since} {span}: {}", points.len());
                    assert_eq!(points[0].start, range.start);
                    assert_eq!(points[points.len() - 1].end, range.end);
                    assert!(points.windows(2).all(|pair| pair[0].end == pair[1].start));
                }
            }
        }
    }
}
