//! How long a test goes on, and what it was told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::TempDir;

use crate::outcome::Result;
use crate::rng::Rng;

/// What every test can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// At most this many rounds; each test has a number of its own
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rounds: Option<usize>,
    /// Stops after the round in which so many seconds have passed (`all`: of each test)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seconds: Option<u64>,
    /// Repeats the decisions of an earlier run (what threads and disks do, no seed repeats)
    #[arg(long, value_name = "NUMBER", default_value_t = fresh_seed())]
    pub(crate) seed: u64,
    /// How many processes write at once; with 1, the same process also deletes (kill)
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub(crate) writers: usize,
    /// Whether stores keep evidence; by default some do and some do not
    #[arg(long, value_name = "BOOL")]
    pub(crate) evidence: Option<bool>,
    /// The program to test; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    pub(crate) attestry: Option<PathBuf>,
}

fn fresh_seed() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Rng::new(since.as_nanos() as u64).next() % 1_000_000_000
}

impl Options {
    /// Whether a store keeps evidence: the other one than before, where nothing is asked for.
    pub(crate) fn with_evidence(&self, number: usize) -> bool {
        self.evidence.unwrap_or((self.seed as usize).wrapping_add(number).is_multiple_of(2))
    }
}

/// Rounds until there were enough.
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

    /// The number of the next round, from 0.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let in_time = self.longest.is_none_or(|longest| self.begun.elapsed() < longest);
        (self.done < self.most && in_time).then(|| {
            self.done += 1;
            self.done - 1
        })
    }

    /// How many were begun.
    pub(crate) fn done(&self) -> usize {
        self.done
    }
}

/// A folder for one test, kept where the test fails.
pub(crate) fn with_folder<T>(name: &str, test: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder: TempDir = tempfile::Builder::new().prefix(&format!("torture-{name}-")).tempdir()?;
    let outcome = test(folder.path());
    if let Err(crate::outcome::Stop::Failed(reason)) = outcome {
        let kept = folder.keep();
        return crate::outcome::failed(format!("{reason}\n  evidence: {}", kept.display()));
    }
    outcome
}
