//! Interoperability: the Python package and Attestry write, read and delete in one bucket in turn.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::BUCKETS;
use super::scripts::Scripts;
use super::seaweedfs::SeaweedFs;
use crate::cmd::{Cmd, Result};
use crate::workspace::Workspace;

const PYTHON_ENTRIES: usize = 48;
const RUST_ENTRIES: usize = 120;
const PREFIX: &str = "shared/audit";

/// The `attestry` program, run on the bucket.
struct Attestry<'a> {
    program: Cmd,
    server: &'a SeaweedFs,
}

impl Attestry<'_> {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        // All settings in the URL. A host name, because with an IP address the SDK always uses path style.
        let (bucket, endpoint) =
            (BUCKETS[0], self.server.endpoint().replace("127.0.0.1", "localhost"));
        let options = format!("region=us-east-1&endpoint={endpoint}&path_style=true");
        let store = format!("s3://{bucket}/{PREFIX}?{options}");
        let command = self.server.configure(self.program.clone());
        let command = command.without_env("AWS_ENDPOINT_URL").without_env("AWS_REGION");
        let command = command.without_env("AWS_DEFAULT_REGION");
        command.args(["--store", &store]).args(arguments).read()
    }

    fn count(&self) -> Result<Value> {
        Ok(serde_json::from_str(self.run(&["count"])?.trim())?)
    }

    /// The stored lines of all entries by id, and the timestamps in the order of the listing.
    fn list(&self) -> Result<(HashMap<String, String>, Vec<String>)> {
        let printed = self.run(&["list", "--format", "json"])?;
        // Not parsed: Python writes NaN and Infinity, which are invalid in JSON.
        let field = |line: &str, name: &str| {
            let value = line.split_once(&format!("\"{name}\": \"")).map(|(_, rest)| rest);
            value.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
        };
        let times = printed.lines().map(|line| with_fraction(field(line, "timestamp"))).collect();
        Ok((printed.lines().map(|line| (field(line, "id"), line.to_owned())).collect(), times))
    }
}

pub(super) fn check(
    workspace: &Workspace,
    scripts: &Scripts<'_>,
    server: &SeaweedFs,
    run: &Path,
) -> Result {
    let program = workspace.build_cli_in_full()?;
    let attestry = Attestry { program: Cmd::new(program), server };
    let python =
        |name: &str, rest: &[&str]| scripts.run(name, [&[BUCKETS[0], PREFIX][..], rest].concat());

    // Python writes, also on days that its own listing omits.
    let written = python("write_bucket.py", &["--count", &PYTHON_ENTRIES.to_string()])?;
    let written = written.as_array().ok_or("write_bucket.py printed no list")?;
    ensure_equal("the count of Python's entries", &json!(PYTHON_ENTRIES), &attestry.count()?)?;
    let (listed, times) = attestry.list()?;
    if !times.is_sorted() {
        return Err(format!("entries are listed out of order: {times:?}").into());
    }
    for entry in written {
        let id = entry["id"].as_str().ok_or("an entry without id")?;
        let expected = &entry["read_as"];
        let line = listed.get(id).ok_or_else(|| format!("{id} is not listed"))?;
        ensure_equal(&format!("entry {id}"), &entry["body"], &json!(line))?;
        let got: Value = serde_json::from_str(&attestry.run(&["get", id])?)?;
        ensure_equal(&format!("`get {id}`"), &expected["input_hash"], &got["input_hash"])?;
    }

    // Attestry writes, Python reads.
    let interactions = run.join("interactions.jsonl");
    let lines: Vec<String> =
        (0..RUST_ENTRIES).map(|number| interaction(number).to_string()).collect();
    fs::write(&interactions, lines.join("\n"))?;
    let printed = attestry.run(&["import", "--store-content", &interactions.to_string_lossy()])?;
    let ids: Vec<&str> = printed.lines().collect();
    ensure_equal("the number of ids printed", &RUST_ENTRIES, &ids.len())?;
    let found = python("read_bucket.py", &[])?;
    ensure_equal("Python's count", &json!(PYTHON_ENTRIES + RUST_ENTRIES), &found["count"])?;
    let entries = &found["entries"];
    for (number, id) in ids.iter().enumerate() {
        let entry = &entries[*id];
        for flag in ["read_is_same", "body_is_pythons", "listed"] {
            ensure_equal(&format!("{flag} of the entry {id}"), &json!(true), &entry[flag])?;
        }
        let given = &interaction(number)["input"];
        ensure_equal(&format!("the input of {id}"), given, &entry["entry"]["input_content"])?;
    }

    // Each deletes an entry of the other.
    let python_id = written[PYTHON_ENTRIES / 2]["id"].as_str().ok_or("an entry without id")?;
    attestry.run(&["delete", python_id, ids[0]])?;
    let deleted = python("delete_from_bucket.py", &[ids[1]])?;
    ensure_equal("the results of Python's deletion", &json!([true]), &deleted)?;
    ensure_equal("the final count", &json!(PYTHON_ENTRIES + RUST_ENTRIES - 3), &attestry.count()?)?;
    let found = python("read_bucket.py", &[])?;
    for id in [python_id, ids[0], ids[1]] {
        ensure_equal(&format!("the deleted entry {id}"), &Value::Null, &found["entries"][id])?;
    }
    println!(
        "  {PYTHON_ENTRIES} objects of Python and {RUST_ENTRIES} of Attestry, read and deleted by both"
    );
    Ok(())
}

/// A generated interaction on one of 28 days.
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

/// With six digits, so that the texts sort as the timestamps do.
fn with_fraction(time: String) -> String {
    if time.contains('.') { time } else { time + ".000000" }
}

fn ensure_equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what} differs\n  expected {expected:?}\n  found    {found:?}").into())
}
