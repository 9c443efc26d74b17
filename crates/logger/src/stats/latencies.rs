//! Percentiles of latencies in bounded memory.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Counts latencies in milliseconds in buckets whose width is at most 1/128 (0.8 %) of their value.
///
/// A percentile is the middle of its bucket, so its error is less than 0.4 %. The maximum is exact.
/// Each used bucket takes 16 bytes. Latencies between a microsecond and a day use at most 5,000 buckets.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    buckets: BTreeMap<u64, u64>,
    count: u64,
    max: f64,
}

/// A percentile from 0 to 100, in steps of 0.001.
///
/// ```
/// use attestry_logger::stats::Percentile;
///
/// assert_eq!("99.9".parse::<Percentile>()?.to_string(), "99.9");
/// assert!("101".parse::<Percentile>().is_err());
/// # Ok::<(), attestry_logger::stats::InvalidPercentile>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u32);

/// The text is not a percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a number from 0 to 100, such as 95 or 99.9")]
#[non_exhaustive]
pub struct InvalidPercentile;

impl Percentile {
    const WHOLE: u32 = 100_000;

    /// The 50th, 90th and 99th percentile.
    pub const USUAL: [Self; 3] = [Self(50_000), Self(90_000), Self(99_000)];
}

impl FromStr for Percentile {
    type Err = InvalidPercentile;

    fn from_str(text: &str) -> Result<Self, InvalidPercentile> {
        let percent: f64 = text.parse().map_err(|_| InvalidPercentile)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(InvalidPercentile);
        }
        // In range, and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self((percent * 1_000.0).round() as u32))
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1_000.0)
    }
}

/// The number of fraction bits of an `f64` except the first seven, which select the bucket.
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - 7;

impl Latencies {
    /// Counts `value` if it is finite and greater than zero.
    pub(super) fn add(&mut self, value: f64) {
        if !(value > 0.0 && value.is_finite()) {
            return;
        }
        // Positive floats have the same order as their bits.
        *self.buckets.entry(value.to_bits() >> SHIFT).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds the counts of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// Number of counted values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The exact maximum.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// The nearest-rank percentile; `None` if nothing was counted.
    #[must_use]
    pub fn percentile(&self, percentile: Percentile) -> Option<f64> {
        let whole = u128::from(Percentile::WHOLE);
        let rank = (u128::from(self.count) * u128::from(percentile.0)).div_ceil(whole).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += u128::from(*count);
            if seen >= rank {
                let edge = |bucket: u64| f64::from_bits(bucket << SHIFT);
                return Some(f64::midpoint(edge(*bucket), edge(bucket + 1)).min(self.max));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_error_is_below_0_4_percent() {
        let mut histogram = Latencies::default();
        // Shuffled, over nine orders of magnitude.
        let mut values: Vec<f64> =
            (0..10_000u32).map(|n| 1e-3 * 1.002_1f64.powi((n * 7919 % 10_000) as i32)).collect();
        values.iter().for_each(|&value| histogram.add(value));
        values.sort_by(f64::total_cmp);
        for percent in 1..=100u32 {
            let exact = values[percent as usize * 100 - 1];
            let estimate = histogram.percentile(Percentile(percent * 1_000)).unwrap();
            assert!((estimate / exact - 1.0).abs() < 0.004, "p{percent}: {estimate} for {exact}");
        }
        assert_eq!(histogram.max(), values.last().copied());
        assert_eq!(
            histogram.percentile(Percentile(100_000)),
            histogram.max().map(|max| max.min(max))
        );
    }

    #[test]
    fn zero_negative_and_non_finite_are_ignored() {
        let mut histogram = Latencies::default();
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            histogram.add(value);
        }
        assert_eq!(
            (histogram.count(), histogram.max(), histogram.percentile(Percentile(50_000))),
            (0, None, None)
        );
    }

    #[test]
    fn merge_adds_all_counts() {
        let (mut all, mut low, mut high) =
            (Latencies::default(), Latencies::default(), Latencies::default());
        for n in 1..=1000 {
            let value = f64::from(n);
            all.add(value);
            if n <= 300 { low.add(value) } else { high.add(value) }
        }
        low.merge(&high);
        assert_eq!(low.count(), all.count());
        assert_eq!(low.percentile(Percentile(90_000)), all.percentile(Percentile(90_000)));
        assert_eq!(low.max(), Some(1000.0));
    }
}
