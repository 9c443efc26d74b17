//! Samples and their statistics.

use std::time::Duration;

use serde::Serialize;

/// Samples with a unit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// The median; ratios are of medians unless samples are paired.
    pub(crate) median: f64,
    /// Minimum.
    pub(crate) min: f64,
    /// Maximum.
    pub(crate) max: f64,
    /// Unit.
    pub(crate) unit: &'static str,
    /// Number of samples.
    pub(crate) samples: usize,
    /// All samples, one per round.
    #[serde(skip)]
    rounds: Vec<f64>,
}

impl Figure {
    /// Statistics of `samples`, which must not be empty.
    pub(crate) fn of(samples: &[f64], unit: &'static str) -> Self {
        let sorted = sorted(samples);
        Self {
            median: quantile_of(&sorted, 0.5),
            min: sorted.first().copied().unwrap_or(f64::NAN),
            max: sorted.last().copied().unwrap_or(f64::NAN),
            unit,
            samples: sorted.len(),
            rounds: samples.to_vec(),
        }
    }

    /// This divided by `other`, round by round if both have the same rounds: the speed of a machine varies between
    /// rounds, but is the same for both within one.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
        if self.samples == other.samples {
            let rounds = self.rounds.iter().zip(&other.rounds);
            Self::of(&rounds.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>(), "×")
        } else {
            Self::one(self.median / other.median, "×")
        }
    }

    /// A single sample.
    pub(crate) fn one(value: f64, unit: &'static str) -> Self {
        Self::of(&[value], unit)
    }
}

/// The quantile `q` of `samples`.
pub(crate) fn quantile(samples: &[f64], q: f64) -> f64 {
    quantile_of(&sorted(samples), q)
}

/// The median of `samples`.
pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // an index
fn quantile_of(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// A rate per second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    to_f64(count) / time.as_secs_f64()
}

/// A duration in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Exact up to 2^53.
#[allow(clippy::cast_precision_loss)] // see above
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_samples() {
        let figure = Figure::of(&[3.0, 1.0, 2.0, 10.0], "s");
        assert_eq!((figure.min, figure.median, figure.max), (1.0, 2.5, 10.0));
        assert_eq!(quantile(&[5.0], 0.99), 5.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_pair_rounds() {
        let (ours, theirs) =
            (Figure::of(&[1.0, 10.0, 3.0], "s"), Figure::of(&[2.0, 20.0, 5.0], "s"));
        let ratio = ours.ratio_to(&theirs);
        assert_eq!((ratio.min, ratio.median, ratio.max), (0.5, 0.5, 0.6));
        assert_eq!(ours.ratio_to(&Figure::one(6.0, "s")).median, 0.5);
    }
}
