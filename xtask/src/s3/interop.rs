//! One bucket, written, read and deleted from by the Python package and by us in turn.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::BUCKETS;
use super::bucket::Scripts;
use super::server::Server;
use crate::cmd::{Cmd, Result};
use crate::workspace::Workspace;

const PYTHONS: usize = 48;
const OURS: usize = 120;
const PREFIX: &str = "shared/audit";

/// The `attestry` program on the bucket.
struct Attestry<'a> {
    program: Cmd,
    server: &'a Server,
}

impl Attestry<'_> {
    fn done(&self, arguments: &[&str]) -> Result<String> {
        // All in the URL. The host is a name: to an address, buckets are always named in the path.
        let (bucket, endpoint) =
            (BUCKETS[0], self.server.endpoint().replace("127.0.0.1", "localhost"));
        let options = format!("region=us-east-1&endpoint={endpoint}&path_style=true");
        let store = format!("s3://{bucket}/{PREFIX}?{options}");
        let command = self.server.reach(self.program.clone());
        let command = command.without_env("AWS_ENDPOINT_URL").without_env("AWS_REGION");
        let command = command.without_env("AWS_DEFAULT_REGION");
        command.args(["--store", &store]).args(arguments).read()
    }

    fn count(&self) -> Result<Value> {
        Ok(serde_json::from_str(self.done(&["count"])?.trim())?)
    }

    /// The stored lines of all entries by id, and the times in the order they are listed in.
    fn list(&self) -> Result<(HashMap<String, String>, Vec<String>)> {
        let printed = self.done(&["list", "--format", "json"])?;
        // Not parsed: Python writes NaN and Infinity, which are no JSON.
        let text = |line: &str, name: &str| {
            let value = line.split_once(&format!("\"{name}\": \"")).map(|(_, rest)| rest);
            value.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
        };
        let times = printed.lines().map(|line| with_fraction(text(line, "timestamp"))).collect();
        Ok((printed.lines().map(|line| (text(line, "id"), line.to_owned())).collect(), times))
    }
}

pub(super) fn check(
    workspace: &Workspace,
    scripts: &Scripts<'_>,
    server: &Server,
    run: &Path,
) -> Result {
    let program = workspace.build_cli_in_full()?;
    let attestry = Attestry { program: Cmd::new(program), server };
    let python =
        |name: &str, rest: &[&str]| scripts.run(name, [&[BUCKETS[0], PREFIX][..], rest].concat());

    // Python writes, also on days that its own listing passes over.
    let written = python("write_bucket.py", &["--count", &PYTHONS.to_string()])?;
    let written = written.as_array().ok_or("write_bucket.py printed no list")?;
    ensure_equal("the count of Python's entries", &json!(PYTHONS), &attestry.count()?)?;
    let (listed, times) = attestry.list()?;
    if !times.is_sorted() {
        return Err(format!("entries are listed out of order: {times:?}").into());
    }
    for entry in written {
        let id = entry["id"].as_str().ok_or("an entry without id")?;
        let expected = &entry["read_as"];
        let line = listed.get(id).ok_or_else(|| format!("{id} is not listed"))?;
        ensure_equal(&format!("entry {id}"), &entry["body"], &json!(line))?;
        let got: Value = serde_json::from_str(&attestry.done(&["get", id])?)?;
        ensure_equal(&format!("`get {id}`"), &expected["input_hash"], &got["input_hash"])?;
    }

    // We write, Python reads.
    let interactions = run.join("interactions.jsonl");
    let lines: Vec<String> = (0..OURS).map(|number| interaction(number).to_string()).collect();
    fs::write(&interactions, lines.join("\n"))?;
    let printed = attestry.done(&["import", "--store-content", &interactions.to_string_lossy()])?;
    let ids: Vec<&str> = printed.lines().collect();
    ensure_equal("the number of ids printed", &OURS, &ids.len())?;
    let found = python("read_bucket.py", &[])?;
    ensure_equal("Python's count", &json!(PYTHONS + OURS), &found["count"])?;
    let entries = &found["entries"];
    for (number, id) in ids.iter().enumerate() {
        let entry = &entries[*id];
        for flag in ["read_is_same", "body_is_pythons", "listed"] {
            ensure_equal(&format!("{flag} of our entry {id}"), &json!(true), &entry[flag])?;
        }
        let given = &interaction(number)["input"];
        ensure_equal(&format!("the input of {id}"), given, &entry["entry"]["input_content"])?;
    }

    // Each deletes of the other's.
    let theirs = written[PYTHONS / 2]["id"].as_str().ok_or("an entry without id")?;
    attestry.done(&["delete", theirs, ids[0]])?;
    let deleted = python("delete_from_bucket.py", &[ids[1]])?;
    ensure_equal("what Python deleted", &json!([true]), &deleted)?;
    ensure_equal("the count in the end", &json!(PYTHONS + OURS - 3), &attestry.count()?)?;
    let found = python("read_bucket.py", &[])?;
    for id in [theirs, ids[0], ids[1]] {
        ensure_equal(&format!("{id}, deleted"), &Value::Null, &found["entries"][id])?;
    }
    println!("  {PYTHONS} objects of Python's and {OURS} of ours, read and deleted from by both");
    Ok(())
}

/// A made-up interaction on one of a few days; the last days of a month are Attestry's to read.
fn interaction(number: usize) -> Value {
    let day = 1 + number % 28;
    json!({
        "input": format!("{number}: Où est la clé ? 🔑"),
        "output": "Sous le paillasson.",
        "timestamp": format!("2026-03-{day:02}T10:{:02}:00.{:06}Z", number % 60, number),
        "provider": "openai",
        "model": "gpt-4",
        "latency_ms": number as f64 * 0.5,
        "metadata": {"größe": [1, null, {"tief": true}]},
    })
}

/// With six digits, so that texts sort as times do.
fn with_fraction(time: String) -> String {
    if time.contains('.') { time } else { time + ".000000" }
}

fn ensure_equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what} differs\n  expected {expected:?}\n  found    {found:?}").into())
}
