//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::exports::Export;

/// Measures Attestry, other stores and the machine's limits, prints a table and writes `result.json`
/// to the folder.
#[derive(Debug, Parser)]
#[command(name = "attestry-bench", max_term_width = 100)]
pub(crate) struct Args {
    /// Measure only this row (repeatable); see the list below
    #[arg(long = "row", value_name = "NAME")]
    pub(crate) rows: Vec<String>,

    /// Entries per store, ascending, as in 20k,200k: `sizes` measures each, the other rows the last
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = number)]
    pub(crate) entries: Option<Vec<u64>>,

    /// The sizes 100k,1M,10M; needs 12 GB of disk and most of an hour
    #[arg(long, conflicts_with = "entries")]
    pub(crate) full: bool,

    /// Interleaved rounds of each comparison
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// The folder of the stores; its disk and file system are measured
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub(crate) dir: PathBuf,

    /// A Python with rotalabs-comply, for the row `python`
    #[arg(long, value_name = "PROGRAM", requires = "attestry")]
    pub(crate) python: Option<PathBuf>,

    /// The `attestry` program, for the rows `python`, `import`, `serve` and `query`
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) attestry: Option<PathBuf>,

    /// The `phoenix` program of Arize Phoenix, for the row `serve`
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) phoenix: Option<PathBuf>,

    /// The `mlflow` program, for the row `serve`
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) mlflow: Option<PathBuf>,

    /// Replay the interactions of this file, one JSON object per line, at their times, through a
    /// durable logger with encryption; measures nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "entries", "full"])]
    pub(crate) replay: Option<PathBuf>,

    /// Speed-up factor of the replay
    #[arg(long, value_name = "FACTOR", requires = "replay", default_value = "1",
          value_parser = factor)]
    pub(crate) speed: f64,

    /// Number of replays of the file
    #[arg(long, value_name = "N", requires = "replay", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,

    /// Number of tasks
    #[arg(long, value_name = "N", requires = "replay", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tasks: u32,

    #[command(subcommand)]
    pub(crate) child: Option<Child>,
}

/// Modes in which the program starts itself, for measurements that need a separate process.
#[derive(Debug, Subcommand)]
pub(crate) enum Child {
    /// Writes to a store and scans it; prints its memory
    #[command(hide = true)]
    Memory {
        /// The store
        store: PathBuf,
        /// Its rotation size in bytes
        rotation: u64,
        /// Number of entries to write
        write: usize,
    },
    /// Deletes one entry between two marks in the strace output
    #[command(hide = true)]
    Delete {
        /// The store
        store: PathBuf,
        /// The entry
        id: String,
    },
    /// Prints calls in the format of a program, for `attestry import -`
    Export {
        /// The format
        format: Export,
        /// Number of calls
        calls: u64,
    },
    /// Loads a server for minutes and prints its rate and its memory for each
    Soak {
        /// Where the store is made and removed; about 2 GB a minute
        folder: PathBuf,
        /// How long
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
        minutes: u64,
        /// The `attestry` program
        #[arg(long, value_name = "PROGRAM")]
        attestry: PathBuf,
    },
    /// Serves what appends raw bodies to a file
    #[command(hide = true)]
    ServeFloor {
        /// The file
        file: PathBuf,
    },
}

/// `200000`, `200k` or `10M`.
fn number(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a number such as 200k"))?;
    let number = number.checked_mul(factor).ok_or("too many")?;
    if number < 10_000 { Err("at least 10k entries are needed".into()) } else { Ok(number) }
}

/// A number greater than 0.
fn factor(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("{text:?} is not a factor such as 100 or 0.5"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn factors_are_positive() {
        assert_eq!((factor("100"), factor("0.5")), (Ok(100.0), Ok(0.5)));
        assert!(["0", "-1", "inf", "NaN", "x", ""].iter().all(|text| factor(text).is_err()));
    }

    #[test]
    fn numbers_may_be_abbreviated() {
        assert_eq!(number("12345"), Ok(12_345));
        assert_eq!(number("200k"), Ok(200_000));
        assert_eq!(number("10M"), Ok(10_000_000));
        assert!(number("many").is_err() && number("10").is_err() && number("").is_err());
    }
}
