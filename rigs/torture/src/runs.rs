//! Options and duration of a test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::TempDir;

use crate::outcome::Result;
use crate::rng::Rng;

/// Options of all tests.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Maximum number of rounds; each test has its own default
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rounds: Option<usize>,
    /// Stops after the round in which this many seconds have passed (with `all`: per test)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seconds: Option<u64>,
    /// Repeats the random choices of an earlier run, but not the timing of threads and disks
    #[arg(long, value_name = "NUMBER", default_value_t = fresh_seed())]
    pub(crate) seed: u64,
    /// Number of concurrent writers; with 1, that process also deletes (kill)
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub(crate) writers: usize,
    /// Whether stores have evidence; by default they alternate
    #[arg(long, value_name = "BOOL")]
    pub(crate) evidence: Option<bool>,
    /// The program to test; by default the one next to this program
    #[arg(long, value_name = "FILE")]
    pub(crate) attestry: Option<PathBuf>,
}

fn fresh_seed() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Rng::new(since.as_nanos() as u64).next() % 1_000_000_000
}

impl Options {
    /// Whether the store of this round has evidence; alternates by default.
    pub(crate) fn with_evidence(&self, number: usize) -> bool {
        self.evidence.unwrap_or((self.seed as usize).wrapping_add(number).is_multiple_of(2))
    }
}

/// Counts rounds up to the limits.
#[derive(Debug)]
pub(crate) struct Runs {
    done: usize,
    most: usize,
    begun: Instant,
    longest: Option<Duration>,
}

impl Runs {
    pub(crate) fn new(options: &Options, rounds: usize) -> Self {
        Self {
            done: 0,
            most: options.rounds.unwrap_or(rounds),
            begun: Instant::now(),
            longest: options.seconds.map(Duration::from_secs),
        }
    }

    /// The number of the next round, from 0; `None` at a limit.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let in_time = self.longest.is_none_or(|longest| self.begun.elapsed() < longest);
        (self.done < self.most && in_time).then(|| {
            self.done += 1;
            self.done - 1
        })
    }

    /// Number of started rounds.
    pub(crate) fn done(&self) -> usize {
        self.done
    }
}

/// A folder for one test, kept if the test fails.
pub(crate) fn with_folder<T>(name: &str, test: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder: TempDir = tempfile::Builder::new().prefix(&format!("torture-{name}-")).tempdir()?;
    let outcome = test(folder.path());
    if let Err(crate::outcome::Stop::Failed(reason)) = outcome {
        let kept = folder.keep();
        return crate::outcome::failed(format!("{reason}\n  kept: {}", kept.display()));
    }
    outcome
}
