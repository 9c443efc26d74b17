//! The S3 backend beside the Python package, on one server behind one slow line.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::bucket::Scripts;
use super::server::Server;
use super::{BUCKETS, SERVER};
use crate::cmd::{Cmd, Result};
use crate::workspace::Workspace;

const DELAY: Duration = Duration::from_millis(20);

/// One row: what is done, to what, and how many times faster it is asked to be.
pub(super) struct Row {
    /// The operation, by the name it has in both programs and behind `--row`.
    operation: &'static str,
    what: &'static str,
    /// Days and entries a day that are there before.
    filled: (usize, usize),
    asked: Option<f64>,
}

const ROWS: &[Row] = &[
    Row { operation: "write", what: "2,000 writes at once", filled: (0, 0), asked: Some(30.0) },
    Row {
        operation: "list",
        what: "`list_entries` of 2,000 entries of four days",
        filled: (4, 500),
        asked: Some(20.0),
    },
    Row {
        operation: "count",
        what: "`count` of 60,000 entries of 60 days",
        filled: (60, 1_000),
        asked: Some(10.0),
    },
    Row {
        operation: "read_unknown",
        what: "`get_entry` of an id that is not there, 365 days",
        filled: (365, 1),
        asked: Some(30.0),
    },
    Row {
        operation: "read_recent",
        what: "`get_entry` of an id just written, 365 days",
        filled: (365, 1),
        asked: None,
    },
    Row {
        operation: "cleanup",
        what: "`cleanup_expired` of 2,000 entries of four days",
        filled: (4, 500),
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

/// Measures these rows and returns the table.
pub(super) fn run(
    workspace: &Workspace,
    scripts: &Scripts<'_>,
    server: &Server,
    rows: &[&Row],
) -> Result<String> {
    let port = super::slow::listen(server.port(), DELAY)?;
    let slow = format!("http://127.0.0.1:{port}");
    let ours = |arguments: &[&str]| -> Result<Value> {
        let bench = ["bench", "--quiet", "--package", "attestry-s3", "--bench", "bucket", "--"];
        let command = server.reach(workspace.cargo()).args(bench).args(arguments);
        parse(&command, &slow)
    };
    let theirs = |arguments: &[&str]| -> Result<Value> {
        let command = scripts.command("time_bucket.py", arguments);
        parse(&command, &slow)
    };
    let mut table = String::new();
    writeln!(
        table,
        "\n`cargo xtask s3 bench`: SeaweedFS {} on loopback, {} ms added to each request; one run \
         each, in seconds.\n",
        SERVER.1,
        DELAY.as_millis()
    )?;
    table.push_str("| what | ours | the Python package | times faster | asked | reached |\n");
    table.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let place = |whose: &str| format!("bench/{whose}/{}", row.operation);
        let (days, a_day) = (row.filled.0.to_string(), row.filled.1.to_string());
        for whose in ["ours", "theirs"] {
            ours(&["fill", BUCKETS[0], &place(whose), &days, &a_day])?;
        }
        let us = seconds(&ours(&[row.operation, BUCKETS[0], &place("ours")])?)?;
        let them = seconds(&theirs(&[row.operation, BUCKETS[0], &place("theirs")])?)?;
        let ratio = them / us;
        let (asked, reached) = match row.asked {
            Some(asked) if ratio >= asked => (format!("{asked:.0}"), "yes"),
            Some(asked) => (format!("{asked:.0}"), "**no**"),
            None => (String::new(), ""),
        };
        println!("  {}: {us:.3} s, Python {them:.3} s, {ratio:.0} times faster", row.what);
        writeln!(
            table,
            "| {} | {us:.3} | {them:.3} | {ratio:.0} | {asked} | {reached} |",
            row.what
        )?;
    }
    table.push('\n');
    Ok(table)
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
        assert_eq!(chosen(&["--row", "list", "--row=count"]), ["list", "count"]);
        assert_eq!(chosen(&[]).len(), ROWS.len());
        for wrong in [&["--row"][..], &["--row", "none"], &["--rows"], &["count"]] {
            assert!(rows(wrong).is_err(), "{wrong:?}");
        }
    }
}
