//! Entries written by Python, read and changed by Attestry, and read by Python again.

use serde_json::Value;

use super::{Content, Shared, ensure, ensure_equal};
use crate::cmd::Result;

/// Enough for several rotations.
const ENTRIES: usize = 60;
const ROTATION_BYTES: usize = 9_000;

/// An entry as described by the script that wrote it.
struct Written {
    id: String,
    /// Its time in a sortable form.
    time: String,
    /// The line in the file.
    line: String,
    /// The expected line, if the line in the file is not valid JSON (NaN).
    read_as: Option<String>,
    input: String,
    output: String,
}

impl Written {
    /// Whether `line` is this entry: equal bytes, or equal values if the line is not valid JSON.
    fn is(&self, line: &str) -> bool {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        line == self.line
            || self.read_as.as_deref().is_some_and(|read_as| parsed(read_as) == parsed(line))
    }
}

pub(super) fn check(shared: &Shared<'_>) -> Result<String> {
    let attestry = &shared.attestry;
    let (mut entries, files) = write(shared, ENTRIES, ROTATION_BYTES)?;
    ensure(files >= 4, || format!("rotation made only {files} files"))?;
    entries.sort_by(|a, b| a.time.cmp(&b.time)); // stable, so ties stay in write order

    ensure_equal("count", &entries.len(), &attestry.count()?)?;
    ensure_listed(shared, &entries)?;
    attestry.done(&["check"])?;
    for entry in &entries {
        ensure_gets(shared, entry)?;
    }

    // First, middle and last, so in sealed segments and in the active one.
    let middle = entries.len() / 2;
    let deleted = [entries.remove(middle), entries.remove(0), entries.remove(entries.len() - 1)];
    let ids = deleted.each_ref().map(|entry| entry.id.as_str());
    attestry.done(&[&["delete"][..], &ids].concat())?;
    for id in ids {
        attestry.ensure_absent(id)?;
    }
    ensure_python_reads(shared, &entries, &ids)?;

    // Python continues in the store and rotates at once.
    entries.extend(write(shared, 3, 1)?.0);
    entries.sort_by(|a, b| a.time.cmp(&b.time));
    ensure_equal("count after Python went on", &entries.len(), &attestry.count()?)?;
    ensure_listed(shared, &entries)?;
    ensure_python_reads(shared, &entries, &ids)?;
    attestry.done(&["check"])?;
    Ok(format!("{ENTRIES} entries of Python's in {files} files listed, read, deleted from"))
}

fn write(shared: &Shared<'_>, count: usize, rotation: usize) -> Result<(Vec<Written>, usize)> {
    let mut arguments = shared.python_arguments();
    for (name, value) in [
        ("--content", shared.content.to_string()),
        ("--count", count.to_string()),
        ("--rotation-bytes", rotation.to_string()),
    ] {
        arguments.extend([name.into(), value.into()]);
    }
    let written = shared.python.script("write_store.py", arguments)?;
    let entries = written["entries"].as_array().ok_or("no entries")?;
    let files = written["files"].as_array().ok_or("no files")?.len();
    Ok((entries.iter().map(parse).collect::<Result<_>>()?, files))
}

fn parse(entry: &Value) -> Result<Written> {
    let text = |name: &str| {
        let text = entry[name].as_str().ok_or_else(|| format!("{name} is missing"))?;
        Ok::<_, String>(text.to_owned())
    };
    let mut time = text("timestamp")?;
    if !time.contains('.') {
        time.push_str(".000000");
    }
    Ok(Written {
        id: text("id")?,
        time,
        line: text("line")?,
        read_as: entry["read_as"].as_str().map(str::to_owned),
        input: text("input")?,
        output: text("output")?,
    })
}

fn ensure_listed(shared: &Shared<'_>, expected: &[Written]) -> Result {
    let lines = shared.attestry.list()?;
    ensure_equal("the number of entries listed", &expected.len(), &lines.len())?;
    for (number, (entry, line)) in expected.iter().zip(&lines).enumerate() {
        ensure(entry.is(line), || {
            format!("entry {number} is listed as\n{line}\nand was written as\n{}", entry.line)
        })?;
    }
    Ok(())
}

fn ensure_gets(shared: &Shared<'_>, expected: &Written) -> Result {
    let entry = shared.attestry.get(&expected.id)?;
    ensure_equal("id", &Some(expected.id.as_str()), &entry["id"].as_str())?;
    let (input, output) = match shared.content {
        Content::Hash => (None, None),
        Content::Plain | Content::Encrypted => {
            (Some(expected.input.as_str()), Some(expected.output.as_str()))
        }
    };
    ensure_equal("input", &input, &entry["input_content"].as_str())?;
    ensure_equal("output", &output, &entry["output_content"].as_str())
}

/// Checks that Python finds these entries with unchanged lines, and none of the ids in `gone`.
fn ensure_python_reads(shared: &Shared<'_>, expected: &[Written], gone: &[&str]) -> Result {
    let mut arguments = shared.python_arguments();
    for id in gone {
        arguments.extend(["--absent".into(), id.into()]);
    }
    let found = shared.python.script("read_store.py", arguments)?;
    ensure_equal("Python's count", &Some(expected.len() as u64), &found["count"].as_u64())?;
    let entries = found["entries"].as_array().ok_or("no entries")?;
    ensure_equal("Python's number of entries", &expected.len(), &entries.len())?;
    for written in expected {
        let entry = entries
            .iter()
            .find(|entry| entry["entry"]["id"] == written.id.as_str())
            .ok_or_else(|| format!("Python no longer finds {}", written.id))?;
        ensure_equal("the line", &Some(written.line.as_str()), &entry["line"].as_str())?;
        for flag in ["read_is_same", "hashes_match"] {
            ensure(entry[flag] == true, || format!("{}: {flag} is {}", written.id, entry[flag]))?;
        }
    }
    Ok(())
}
