//! A histogram of durations with fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Upper bounds of the buckets in microseconds; the last bucket has none.
const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// How often durations were within certain bounds, from 50 µs to 10 s.
///
/// Serialises as an object with `count`, `sum_seconds`, `max_seconds` and `buckets`, an array of objects
/// with `up_to_seconds` (`null` for the last one) and `count`. The counts of buckets are not cumulative.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: Duration,
    max: Duration,
}

impl Histogram {
    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest duration; zero if there is none.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The buckets in ascending order, each with its upper bound, inclusive, and the number of durations in
    /// it. The last one has no upper bound. The counts are not cumulative.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_micros(*bound)));
        bounds.chain([None]).zip(self.counts.iter().copied())
    }

    /// An upper bound of the `quantile` of the durations: the upper bound of its bucket, at most
    /// [`max`](Self::max). `quantile` is from 0 to 1, such as 0.99; numbers outside count as the nearest
    /// of them. `None` if there are no durations.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // Between 1 and the count, and an approximation anyway.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rank = ((count as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let (bound, _) = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        Some(bound.map_or(self.max, |bound| bound.min(self.max)))
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Bucket {
            up_to_seconds: Option<f64>,
            count: u64,
        }
        let bucket = |(bound, count): (Option<Duration>, u64)| Bucket {
            up_to_seconds: bound.map(|bound| bound.as_secs_f64()),
            count,
        };
        let mut object = serializer.serialize_struct("Histogram", 4)?;
        object.serialize_field("count", &self.count())?;
        object.serialize_field("sum_seconds", &self.sum.as_secs_f64())?;
        object.serialize_field("max_seconds", &self.max.as_secs_f64())?;
        object.serialize_field("buckets", &self.buckets().map(bucket).collect::<Vec<_>>())?;
        object.end()
    }
}

/// Counts durations of many threads.
#[derive(Debug, Default)]
pub(super) struct HistogramCounter {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

impl HistogramCounter {
    pub(super) fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound.saturating_mul(1_000) < nanos);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.max_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Histogram {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Histogram {
            counts: std::array::from_fn(|bucket| load(&self.counts[bucket])),
            sum: Duration::from_nanos(load(&self.sum_nanos)),
            max: Duration::from_nanos(load(&self.max_nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let counter = HistogramCounter::default();
        micros.into_iter().for_each(|micros| counter.record(Duration::from_micros(micros)));
        counter.snapshot()
    }

    #[test]
    fn bounds_are_inclusive_and_ascending() {
        assert!(BOUNDS.is_sorted());
        let found = histogram([0, 50, 51, 10_000_000, 10_000_001]);
        let counts: Vec<u64> = found.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[16], counts[17]), (2, 1, 1, 1));
        assert_eq!((found.count(), found.sum()), (5, Duration::from_micros(20_000_102)));
        assert_eq!(found.max(), Duration::from_micros(10_000_001));
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let found = histogram((1..=100).map(|n| n * 100));
        let ms = Duration::from_millis;
        assert_eq!(found.quantile(0.0), Some(Duration::from_micros(100)));
        assert_eq!(found.quantile(0.5), Some(ms(5)));
        assert_eq!(found.quantile(0.99), Some(ms(10)));
        assert_eq!(found.quantile(7.0), Some(ms(10)));
        // No longer than the longest.
        assert_eq!(histogram([600]).quantile(0.5), Some(Duration::from_micros(600)));
        assert_eq!(histogram([60_000_000]).quantile(0.5), Some(ms(60_000)));
    }

    #[test]
    fn json_names_units() {
        let json = serde_json::to_value(histogram([300, 20_000_000])).unwrap();
        assert_eq!(json["count"], 2);
        assert_eq!(json["max_seconds"], 20.0);
        assert_eq!(json["buckets"][3], serde_json::json!({"up_to_seconds": 0.0005, "count": 1}));
        assert_eq!(json["buckets"][17], serde_json::json!({"up_to_seconds": null, "count": 1}));
    }
}
