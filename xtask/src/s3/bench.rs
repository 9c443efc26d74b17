//! Compares the backend with the Python package and with the requests alone, on one server behind a proxy
//! that delays requests.

use std::env::consts::ARCH;
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

use super::map_server::{self, MapServer};
use super::scripts::Scripts;
use super::seaweedfs::SeaweedFs;
use super::{BUCKETS, SDK, SERVER, delay};
use crate::cmd::{Cmd, Result};
use crate::interop::PACKAGE;
use crate::workspace::Workspace;

const DELAY: Duration = Duration::from_millis(20);

/// A row of the table.
pub(super) struct Row {
    /// The name of the operation, in both programs and for `--row`.
    operation: &'static str,
    description: &'static str,
    /// Days, and entries a day, in the bucket before the measurement.
    filled: (usize, usize),
    /// Number of alternating runs, of which the median counts. 1 for operations that change the bucket.
    runs: usize,
    server: ServerKind,
    /// The required speedup over the Python package.
    required: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ServerKind {
    SeaweedFs,
    /// Responds so fast that the clients are measured, not the server.
    Map,
}

const ROWS: &[Row] = &[
    Row {
        operation: "append",
        description: "2,000 concurrent calls of `append`; Python: `write`",
        filled: (0, 0),
        runs: 1,
        server: ServerKind::SeaweedFs,
        required: Some(30.0),
    },
    Row {
        operation: "list",
        description: "`list_entries` of 2,000 entries of four days",
        filled: (4, 500),
        runs: 1,
        server: ServerKind::SeaweedFs,
        required: Some(20.0),
    },
    Row {
        operation: "count",
        description: "`count` of 60,000 entries of 60 days",
        filled: (60, 1_000),
        runs: 3,
        server: ServerKind::SeaweedFs,
        required: Some(10.0),
    },
    Row {
        operation: "count",
        description: "the same on a map in memory",
        filled: (60, 1_000),
        runs: 3,
        server: ServerKind::Map,
        required: Some(10.0),
    },
    Row {
        operation: "read_unknown",
        description: "`get_entry` of an unknown id, 365 days",
        filled: (365, 1),
        runs: 3,
        server: ServerKind::SeaweedFs,
        required: Some(30.0),
    },
    Row {
        operation: "read_recent",
        description: "`get_entry` of an id just written, 365 days",
        filled: (365, 1),
        runs: 1,
        server: ServerKind::SeaweedFs,
        required: None,
    },
    Row {
        operation: "cleanup",
        description: "`cleanup_expired` of 2,000 entries of four days",
        filled: (4, 500),
        runs: 1,
        server: ServerKind::SeaweedFs,
        required: Some(100.0),
    },
];

/// The rows selected by `--row`, or all rows without arguments.
pub(super) fn rows(arguments: &[&str]) -> Result<Vec<&'static Row>> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        names.push(match argument.strip_prefix("--row") {
            Some("") => *arguments.next().ok_or("--row needs the name of a row")?,
            Some(rest) if rest.starts_with('=') => &rest[1..],
            _ => return Err(format!("unknown option {argument}; see cargo xtask --help").into()),
        });
    }
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|row| row.operation != **name))
    {
        let all: Vec<&str> = ROWS.iter().map(|row| row.operation).collect();
        return Err(format!("unknown row {unknown}; the rows are {}", all.join(", ")).into());
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.contains(&row.operation)).collect())
}

/// Measures `rows` and returns their lines of the table.
pub(super) fn run(
    workspace: &Workspace,
    scripts: &Scripts<'_>,
    server: &SeaweedFs,
    rows: &[&Row],
) -> Result<Vec<String>> {
    let port = delay::start(server.port(), DELAY)?;
    let bench = Bench { workspace, scripts, server, port };
    let mut lines = Vec::new();
    for row in rows {
        let Seconds { attestry, requests, python } = match row.server {
            ServerKind::SeaweedFs => bench.on_seaweedfs(row)?,
            ServerKind::Map => bench.on_map(row)?,
        };
        let (speedup, of_limit) = (python / attestry, requests / attestry);
        let (required, met) = match row.required {
            Some(required) if speedup >= required => (format!("{required:.0}"), "yes"),
            Some(required) => (format!("{required:.0}"), "**no**"),
            None => (String::new(), ""),
        };
        println!(
            "  {}: {attestry:.3} s, requests alone {requests:.3} s, Python {python:.3} s, speedup {speedup:.1}",
            row.description
        );
        lines.push(format!(
            "| `{}` | {} | {attestry:.3} | {requests:.3} | {of_limit:.2} | {python:.3} | {speedup:.1} | {required} | {met} |",
            row.operation, row.description
        ));
    }
    Ok(lines)
}

/// The table of `lines`, with its conditions.
pub(super) fn table(lines: &[String]) -> Result<String> {
    let date = Cmd::new("date").args(["--utc", "+%F"]).read()?;
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(format!(
        "\n`cargo xtask s3 bench`, last run {}: {}, {} cores, Linux {}; {} {}, {} {}, SeaweedFS {} on \
         loopback, requests delayed by {} ms; seconds, the median of three runs for `count` and \
         `read_unknown`, otherwise one run.\n\n\
         | `--row` | what | Attestry | requests alone | share of the limit | Python package | speedup | required | met |\n\
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

/// The times of a row.
struct Seconds {
    attestry: f64,
    /// The requests of the operation without a backend.
    requests: f64,
    python: f64,
}

struct Bench<'a> {
    workspace: &'a Workspace,
    scripts: &'a Scripts<'a>,
    server: &'a SeaweedFs,
    /// The port of the delaying proxy in front of the server.
    port: u16,
}

impl Bench<'_> {
    fn attestry(&self, arguments: &[&str]) -> Cmd {
        let bench = ["bench", "--quiet", "--package", "attestry-s3", "--bench", "bucket", "--"];
        self.server.configure(self.workspace.cargo()).args(bench).args(arguments)
    }

    fn python(&self, arguments: &[&str]) -> Cmd {
        self.scripts.command("time_bucket.py", arguments)
    }

    /// Each contender has its own prefix, filled by Attestry.
    fn on_seaweedfs(&self, row: &Row) -> Result<Seconds> {
        let prefix = |contender: &str| format!("bench/{contender}/{}", row.operation);
        let (days, entries_a_day) = (row.filled.0.to_string(), row.filled.1.to_string());
        let (attestry, requests, python) =
            (prefix("attestry"), prefix("requests"), prefix("python"));
        let endpoint = endpoint(self.port);
        for prefix in [&attestry, &requests, &python] {
            let fill = self.attestry(&["fill", BUCKETS[0], prefix, &days, &entries_a_day]);
            read_json(&fill, &endpoint)?;
        }
        let timed = |command: Cmd| seconds(&read_json(&command, &endpoint)?);
        alternate(
            row.runs,
            || timed(self.attestry(&[row.operation, BUCKETS[0], &attestry])),
            || timed(self.attestry(&["requests", row.operation, BUCKETS[0], &requests])),
            || timed(self.python(&[row.operation, BUCKETS[0], &python])),
        )
    }

    /// On a [`MapServer`] behind the same delay. All contenders read the same prefix.
    fn on_map(&self, row: &Row) -> Result<Seconds> {
        let (days, entries_a_day) = (row.filled.0.to_string(), row.filled.1.to_string());
        let server = MapServer::start(self.workspace, &days, &entries_a_day)?;
        let endpoint = endpoint(delay::start(server.port, DELAY)?);
        let arguments = [row.operation, map_server::BUCKET, map_server::PREFIX];
        let requests = ["requests", row.operation, map_server::BUCKET, map_server::PREFIX];
        let timed = |command: Cmd| {
            let command = command.env("AWS_ACCESS_KEY_ID", map_server::ACCESS_KEY);
            let command = command.env("AWS_SECRET_ACCESS_KEY", map_server::SECRET_KEY);
            seconds(&read_json(&command, &endpoint)?)
        };
        alternate(
            row.runs,
            || timed(self.attestry(&arguments)),
            || timed(self.attestry(&requests)),
            || timed(self.python(&arguments)),
        )
    }
}

/// The medians of alternating runs.
fn alternate(
    runs: usize,
    mut attestry: impl FnMut() -> Result<f64>,
    mut requests: impl FnMut() -> Result<f64>,
    mut python: impl FnMut() -> Result<f64>,
) -> Result<Seconds> {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        all[0].push(attestry()?);
        all[1].push(requests()?);
        all[2].push(python()?);
    }
    let [attestry, requests, python] = all.map(median);
    Ok(Seconds { attestry, requests, python })
}

/// The median of an odd number of values.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Runs a command with this endpoint and parses its output.
fn read_json(command: &Cmd, endpoint: &str) -> Result<Value> {
    let command = command.clone().env("AWS_ENDPOINT_URL", endpoint);
    let printed = command.read()?;
    serde_json::from_str(printed.trim())
        .map_err(|error| format!("`{command}` printed invalid JSON: {error}").into())
}

fn seconds(printed: &Value) -> Result<f64> {
    printed["seconds"].as_f64().ok_or_else(|| format!("no seconds in {printed}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_by_name() {
        let selected = |arguments: &[&str]| -> Vec<&str> {
            rows(arguments).unwrap().iter().map(|row| row.operation).collect()
        };
        assert_eq!(selected(&["--row", "list", "--row=count"]), ["list", "count", "count"]);
        assert_eq!(selected(&[]).len(), ROWS.len());
        for wrong in [&["--row"][..], &["--row", "none"], &["--rows"], &["count"]] {
            assert!(rows(wrong).is_err(), "{wrong:?}");
        }
    }
}
