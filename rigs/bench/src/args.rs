//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures Attestry beside its peers and the machine's limits, prints a table and writes
/// `result.json` into the folder.
#[derive(Debug, Parser)]
#[command(name = "attestry-bench", max_term_width = 100)]
pub(crate) struct Args {
    /// Measure only this row, or these; see the list below
    #[arg(long = "row", value_name = "NAME")]
    pub(crate) rows: Vec<String>,

    /// How many entries the stores hold, ascending, as 20k,200k or 1M: `sizes` measures each,
    /// the other rows the last
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = number)]
    pub(crate) entries: Option<Vec<u64>>,

    /// The sizes 100k,1M,10M; needs 12 GB of disk and most of an hour
    #[arg(long, conflicts_with = "entries")]
    pub(crate) full: bool,

    /// Interleaved rounds of each comparison
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// Where the stores lie while they are measured; the file system there is what is measured
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub(crate) dir: PathBuf,

    /// A Python that has rotalabs-comply, for the row `python`
    #[arg(long, value_name = "PROGRAM", requires = "attestry")]
    pub(crate) python: Option<PathBuf>,

    /// The `attestry` program, for the row `python`
    #[arg(long, value_name = "PROGRAM", requires = "python")]
    pub(crate) attestry: Option<PathBuf>,

    /// Replay the interactions of this file, a JSON object a line, each at the time it has, through
    /// a durable logger that encrypts; measures nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "entries", "full"])]
    pub(crate) replay: Option<PathBuf>,

    /// How many times faster than they came
    #[arg(long, value_name = "FACTOR", requires = "replay", default_value = "1",
          value_parser = factor)]
    pub(crate) speed: f64,

    /// How often to replay the file, one time after another
    #[arg(long, value_name = "N", requires = "replay", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,

    /// From how many tasks
    #[arg(long, value_name = "N", requires = "replay", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tasks: u32,

    #[command(subcommand)]
    pub(crate) child: Option<Child>,
}

/// What the program runs itself as, where a measurement needs a process of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Child {
    /// Writes into a store and scans it; prints how much memory that took
    #[command(hide = true)]
    Memory {
        /// The store
        store: PathBuf,
        /// Its rotation size in bytes
        rotation: u64,
        /// How many entries to write
        write: usize,
    },
    /// Deletes one entry, between two marks that strace shows
    #[command(hide = true)]
    Delete {
        /// The store
        store: PathBuf,
        /// The entry
        id: String,
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

/// A number above 0.
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
    fn factors_are_above_zero() {
        assert_eq!((factor("100"), factor("0.5")), (Ok(100.0), Ok(0.5)));
        assert!(["0", "-1", "inf", "NaN", "x", ""].iter().all(|text| factor(text).is_err()));
    }

    #[test]
    fn numbers_may_be_short() {
        assert_eq!(number("12345"), Ok(12_345));
        assert_eq!(number("200k"), Ok(200_000));
        assert_eq!(number("10M"), Ok(10_000_000));
        assert!(number("many").is_err() && number("10").is_err() && number("").is_err());
    }
}
