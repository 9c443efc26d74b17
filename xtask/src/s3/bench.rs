//! The S3 backend beside the Python package and the bare requests, on one server behind one slow line.

use std::env::consts::ARCH;
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

use super::bucket::Scripts;
use super::map::{self, MapServer};
use super::server::Server;
use super::{BUCKETS, SDK, SERVER};
use crate::cmd::{Cmd, Result};
use crate::interop::PACKAGE;
use crate::workspace::Workspace;

const DELAY: Duration = Duration::from_millis(20);

/// One row: what is done, to what, and how many times faster it is asked to be.
pub(super) struct Row {
    /// The operation, by the name it has in both programs and behind `--row`.
    operation: &'static str,
    what: &'static str,
    /// Days and entries a day that are there before.
    filled: (usize, usize),
    /// How often, in turns; the median counts. Only what changes nothing can run again.
    runs: usize,
    on: On,
    asked: Option<f64>,
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    SeaweedFs,
    /// One that has so little to do for an answer that the clients are measured, not the server.
    Map,
}

const ROWS: &[Row] = &[
    Row {
        operation: "append",
        what: "2,000 calls of `append` at once; Python has `write`",
        filled: (0, 0),
        runs: 1,
        on: On::SeaweedFs,
        asked: Some(30.0),
    },
    Row {
        operation: "list",
        what: "`list_entries` of 2,000 entries of four days",
        filled: (4, 500),
        runs: 1,
        on: On::SeaweedFs,
        asked: Some(20.0),
    },
    Row {
        operation: "count",
        what: "`count` of 60,000 entries of 60 days",
        filled: (60, 1_000),
        runs: 3,
        on: On::SeaweedFs,
        asked: Some(10.0),
    },
    Row {
        operation: "count",
        what: "the same, of a map in memory",
        filled: (60, 1_000),
        runs: 3,
        on: On::Map,
        asked: Some(10.0),
    },
    Row {
        operation: "read_unknown",
        what: "`get_entry` of an id that is not there, 365 days",
        filled: (365, 1),
        runs: 3,
        on: On::SeaweedFs,
        asked: Some(30.0),
    },
    Row {
        operation: "read_recent",
        what: "`get_entry` of an id just written, 365 days",
        filled: (365, 1),
        runs: 1,
        on: On::SeaweedFs,
        asked: None,
    },
    Row {
        operation: "cleanup",
        what: "`cleanup_expired` of 2,000 entries of four days",
        filled: (4, 500),
        runs: 1,
        on: On::SeaweedFs,
        asked: Some(100.0),
    },
];

/// The rows that `--row` names, or all where it names none.
pub(super) fn rows(arguments: &[&str]) -> Result<Vec<&'static Row>> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        names.push(match argument.strip_prefix("--row") {
            Some("") => *arguments.next().ok_or("--row needs the name of a row")?,
            Some(rest) if rest.starts_with('=') => &rest[1..],
            _ => {
                return Err(format!("there is no option {argument}; see cargo xtask --help").into());
            }
        });
    }
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|row| row.operation != **name))
    {
        let known: Vec<&str> = ROWS.iter().map(|row| row.operation).collect();
        return Err(format!("there is no row {unknown}; there are {}", known.join(", ")).into());
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.contains(&row.operation)).collect())
}

/// Measures these rows and returns the lines they are in the table.
pub(super) fn run(
    workspace: &Workspace,
    scripts: &Scripts<'_>,
    server: &Server,
    rows: &[&Row],
) -> Result<Vec<String>> {
    let port = super::slow::listen(server.port(), DELAY)?;
    let bench = Bench { workspace, scripts, server, port };
    let mut lines = Vec::new();
    for row in rows {
        let Seconds { ours, bare, theirs } = match row.on {
            On::SeaweedFs => bench.on_seaweedfs(row)?,
            On::Map => bench.on_a_map(row)?,
        };
        let (ratio, of_limit) = (theirs / ours, bare / ours);
        let (asked, reached) = match row.asked {
            Some(asked) if ratio >= asked => (format!("{asked:.0}"), "yes"),
            Some(asked) => (format!("{asked:.0}"), "**no**"),
            None => (String::new(), ""),
        };
        println!(
            "  {}: {ours:.3} s, {of_limit:.2} of what the requests allow, Python {theirs:.3} s, {ratio:.1} times \
             faster",
            row.what
        );
        lines.push(format!(
            "| `{}` | {} | {ours:.3} | {bare:.3} | {of_limit:.2} | {theirs:.3} | {ratio:.1} | {asked} | {reached} |",
            row.operation, row.what
        ));
    }
    Ok(lines)
}

/// The table of these lines, with what it is of.
pub(super) fn table(lines: &[String]) -> Result<String> {
    let date = Cmd::new("date").args(["--utc", "+%F"]).read()?;
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(format!(
        "\n`cargo xtask s3 bench`, last on {}: {}, {} cores, Linux {}; {} {}, {} {}, SeaweedFS {} on \
         loopback, {} ms added to each request; in seconds; the median of three runs for `count` and \
         `read_unknown`, else one run.\n\n\
         | `--row` | what | ours | the bare requests | of the limit | the Python package | times faster | asked | reached |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{}\n\n",
        date.trim(),
        processor.map_or(ARCH, |(_, name)| name.trim()),
        thread::available_parallelism().map_or(0, usize::from),
        read("/proc/sys/kernel/osrelease").trim(),
        PACKAGE.0,
        PACKAGE.1,
        SDK.0,
        SDK.1,
        SERVER.1,
        DELAY.as_millis(),
        lines.join("\n")
    ))
}

/// What one row took.
struct Seconds {
    ours: f64,
    /// The requests that the operation needs, by themselves.
    bare: f64,
    /// The Python package's.
    theirs: f64,
}

struct Bench<'a> {
    workspace: &'a Workspace,
    scripts: &'a Scripts<'a>,
    server: &'a Server,
    /// Of the slow line to the server.
    port: u16,
}

impl Bench<'_> {
    fn ours(&self, arguments: &[&str]) -> Cmd {
        let bench = ["bench", "--quiet", "--package", "attestry-s3", "--bench", "bucket", "--"];
        self.server.reach(self.workspace.cargo()).args(bench).args(arguments)
    }

    fn theirs(&self, arguments: &[&str]) -> Cmd {
        self.scripts.command("time_bucket.py", arguments)
    }

    /// Each in a place of its own, all filled by us.
    fn on_seaweedfs(&self, row: &Row) -> Result<Seconds> {
        let place = |whose: &str| format!("bench/{whose}/{}", row.operation);
        let (days, a_day) = (row.filled.0.to_string(), row.filled.1.to_string());
        let (ours, bare, theirs) = (place("ours"), place("bare"), place("theirs"));
        let endpoint = endpoint(self.port);
        for place in [&ours, &bare, &theirs] {
            parse(&self.ours(&["fill", BUCKETS[0], place, &days, &a_day]), &endpoint)?;
        }
        let timed = |command: Cmd| seconds(&parse(&command, &endpoint)?);
        in_turns(
            row.runs,
            || timed(self.ours(&[row.operation, BUCKETS[0], &ours])),
            || timed(self.ours(&["bare", row.operation, BUCKETS[0], &bare])),
            || timed(self.theirs(&[row.operation, BUCKETS[0], &theirs])),
        )
    }

    /// The same on a [`MapServer`], behind a line that is as slow; all read the same.
    fn on_a_map(&self, row: &Row) -> Result<Seconds> {
        let (days, a_day) = (row.filled.0.to_string(), row.filled.1.to_string());
        let server = MapServer::start(self.workspace, &days, &a_day)?;
        let endpoint = endpoint(super::slow::listen(server.port, DELAY)?);
        let arguments = [row.operation, map::BUCKET, map::PREFIX];
        let bare = ["bare", row.operation, map::BUCKET, map::PREFIX];
        let timed = |command: Cmd| {
            let command = command.env("AWS_ACCESS_KEY_ID", map::ACCESS_KEY);
            let command = command.env("AWS_SECRET_ACCESS_KEY", map::SECRET_KEY);
            seconds(&parse(&command, &endpoint)?)
        };
        in_turns(
            row.runs,
            || timed(self.ours(&arguments)),
            || timed(self.ours(&bare)),
            || timed(self.theirs(&arguments)),
        )
    }
}

/// The medians, run alternately.
fn in_turns(
    runs: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut bare: impl FnMut() -> Result<f64>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<Seconds> {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        all[0].push(ours()?);
        all[1].push(bare()?);
        all[2].push(theirs()?);
    }
    let [ours, bare, theirs] = all.map(median);
    Ok(Seconds { ours, bare, theirs })
}

/// Of an odd number of them.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Runs it behind the slow line.
fn parse(command: &Cmd, endpoint: &str) -> Result<Value> {
    let command = command.clone().env("AWS_ENDPOINT_URL", endpoint);
    let printed = command.read()?;
    serde_json::from_str(printed.trim())
        .map_err(|error| format!("`{command}` printed no JSON: {error}").into())
}

fn seconds(printed: &Value) -> Result<f64> {
    printed["seconds"].as_f64().ok_or_else(|| format!("no seconds in {printed}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name() {
        let chosen = |arguments: &[&str]| -> Vec<&str> {
            rows(arguments).unwrap().iter().map(|row| row.operation).collect()
        };
        assert_eq!(chosen(&["--row", "list", "--row=count"]), ["list", "count", "count"]);
        assert_eq!(chosen(&[]).len(), ROWS.len());
        for wrong in [&["--row"][..], &["--row", "none"], &["--rows"], &["count"]] {
            assert!(rows(wrong).is_err(), "{wrong:?}");
        }
    }
}
