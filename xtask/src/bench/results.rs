//! `rigs/bench/results/`: what a run measured, in full, as JSON and as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::plots;
use crate::cmd::Result;
use crate::workspace::Workspace;

const FOLDER: &str = "rigs/bench/results";

/// The table of a run, from the repository's root.
pub(crate) fn path(name: &str) -> String {
    format!("{FOLDER}/{name}.md")
}

/// Writes the table of a run.
pub(crate) fn write(workspace: &Workspace, name: &str, table: &str) -> Result {
    write_whole(&workspace.path(&path(name)), table)
}

/// The rows in the table of a run, of which `rows` replace those with the same first two cells.
pub(crate) fn with_rows(workspace: &Workspace, name: &str, rows: &[String]) -> Result<Vec<String>> {
    let path = path(name);
    let text = fs::read_to_string(workspace.path(&path))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    replaced_rows(&text, rows)
}

fn replaced_rows(table: &str, rows: &[String]) -> Result<Vec<String>> {
    let cells = |row: &str| row.split('|').take(3).map(str::to_owned).collect::<Vec<_>>();
    let is_row = |line: &&str| line.starts_with("| `");
    // The first cell of the heading is code, too.
    let mut all: Vec<_> = table.lines().filter(is_row).skip(1).map(str::to_owned).collect();
    for row in rows {
        let same = all.iter_mut().find(|line| cells(line) == cells(row));
        same.ok_or_else(|| format!("the table has no such row: {row}"))?.clone_from(row);
    }
    Ok(all)
}

/// Writes a result, as JSON and as a table.
pub(super) fn write_result(workspace: &Workspace, name: &str, result: &Value) -> Result {
    let kind = result["run"]["kind"].as_str().unwrap_or_default();
    let rows = result["rows"].as_array().ok_or("the result has no rows")?;
    let text = format!(
        "# {}\n\n{}{}",
        command(&result["run"]),
        table(rows, &conditions(result, kind)?)?,
        sizes(rows)
    );
    write(workspace, name, &text)?;
    write_whole(&workspace.path(FOLDER).join(format!("{name}.json")), &format!("{result:#}\n"))
}

/// The file gets all of the text or stays as it is.
pub(super) fn write_whole(path: &std::path::Path, text: &str) -> Result {
    let temporary = PathBuf::from(format!("{}.tmp", path.display()));
    let written = fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::write(&temporary, text))
        .and_then(|()| fs::rename(temporary, path));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// The machine, the versions and the sizes of a run.
pub(super) fn conditions(result: &Value, kind: &str) -> Result<String> {
    let (machine, run) = (&result["machine"], &result["run"]);
    let mut text = String::new();
    write!(
        text,
        "`{}` on {}, in {} s: {}, {} cores, {} MB of memory, {} {}, {}; {}. {}",
        command(run),
        shown(&machine["date"]),
        shown(&run["seconds"]),
        shown(&machine["cpu"]),
        shown(&machine["cores"]),
        shown(&machine["memory_mb"]),
        shown(&machine["system"]),
        shown(&machine["kernel"]),
        shown(&machine["file_system"]),
        versions(machine),
        sizes_of_run(run, kind),
    )?;
    Ok(text)
}

/// The rows in Markdown.
pub(super) fn table<'a>(
    rows: impl IntoIterator<Item = &'a Value>,
    conditions: &str,
) -> Result<String> {
    let mut text = format!(
        "{conditions}\n\n\
         | `--row` | what | Attestry | compared with | ratio | of the limit | required | reached |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        let reached = match row["asked"]["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let note = row["note"].as_str().map_or_else(String::new, |note| format!(" ({note})"));
        writeln!(
            text,
            "| `{}` | {}{note} | {} | {} | {} | {} | {} | {reached} |",
            shown(&row["row"]),
            shown(&row["what"]),
            shown(&row["shown"]["ours"]),
            shown(&row["shown"]["reference"]),
            shown(&row["shown"]["ratio"]),
            shown(&row["shown"]["of_limit"]),
            shown(&row["shown"]["asked"]),
        )?;
    }
    text.push('\n');
    Ok(text)
}

/// The command line of a run.
fn command(run: &Value) -> String {
    match run["kind"].as_str().unwrap_or_default() {
        "full" => "cargo xtask bench --full".to_owned(),
        "replay" => format!(
            "cargo xtask bench --replay {} --speed {} --times {}",
            shown(&run["file"]),
            run["speed"].as_f64().unwrap_or(f64::NAN),
            shown(&run["times"])
        ),
        "part" => {
            let rows = run["rows"].as_array().into_iter().flatten();
            let rows: String = rows.map(|row| format!(" --row {}", shown(row))).collect();
            format!("cargo xtask bench{rows}")
        }
        _ => "cargo xtask bench".to_owned(),
    }
}

fn sizes_of_run(run: &Value, kind: &str) -> String {
    if kind == "replay" {
        let span = run["span_seconds"].as_f64().unwrap_or(f64::NAN);
        return format!("{} interactions in {span:.2} s.", shown(&run["entries"]));
    }
    format!(
        "{} rounds; lines of {} bytes from texts of {} bytes.",
        shown(&run["rounds"]),
        shown(&run["mean_line_bytes"]),
        shown(&run["mean_text_bytes"])
    )
}

fn versions(machine: &Value) -> String {
    let versions = machine["versions"].as_object();
    let versions = versions.into_iter().flatten();
    let named = versions.map(|(name, version)| format!("{name} {}", shown(version)));
    let named: Vec<String> = named.chain([shown(&machine["rustc"])]).collect();
    named.join(", ")
}

/// The rows with a value for each size of the store, as a table of their own.
fn sizes(rows: &[Value]) -> String {
    let points = |row: &Value| -> Vec<(f64, f64)> {
        let points = row["series"]["points"].as_array();
        points.into_iter().flatten().filter_map(plots::point).collect()
    };
    let by_size = |row: &&Value| row["series"]["by"].as_str().unwrap_or("entries") == "entries";
    let with: Vec<&Value> =
        rows.iter().filter(by_size).filter(|row| !points(row).is_empty()).collect();
    let Some(first) = with.first() else { return String::new() };
    let sizes: Vec<String> = points(first).iter().map(|(entries, _)| entries.to_string()).collect();
    let mut text = format!("| entries | {} |\n", sizes.join(" | "));
    text.push_str(&format!("| --- |{}\n", " --- |".repeat(sizes.len())));
    for row in with {
        let what = shown(&row["series"]["what"]);
        let unit = shown(&row["ours"]["unit"]);
        let values: Vec<String> =
            points(row).iter().map(|(_, value)| format!("{value:.1} {unit}")).collect();
        text.push_str(&format!("| {what} | {} |\n", values.join(" | ")));
    }
    text
}

/// A value in a cell; nothing for `null`.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('|', "\\|"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_named_rows_are_replaced() {
        let table = "text\n| `--row` | what |\n| --- | --- |\n| `a` | x | 1 |\n| `a` | y | 2 |\n";
        let new = replaced_rows(table, &["| `a` | y | 3 |".to_owned()]).unwrap();
        assert_eq!(new, ["| `a` | x | 1 |", "| `a` | y | 3 |"]);
        assert!(replaced_rows(table, &["| `b` | y | 3 |".to_owned()]).is_err());
    }

    #[test]
    fn every_row_is_in_the_table() {
        let row = |met: Value, point: Value| {
            json!({"row": "get", "what": "get_entry, 5 entries", "note": "p99 9 µs",
                "shown": {"ours": "5 µs", "reference": "redb: 2 µs", "ratio": "2.5 ×",
                    "of_limit": "0.2 of parsing", "asked": "≤ 3 ×"},
                "ours": {"unit": "µs"}, "asked": {"met": met}, "series": {"what": "get", "points": [point]}})
        };
        let rows = [
            row(json!(true), json!({"entries": 5, "value": 5.04})),
            row(json!(false), json!({"at": 5.0, "value": 6.0})),
        ];
        let text = table(&rows, "on a machine").unwrap();
        assert!(text.contains(
            "| `get` | get_entry, 5 entries (p99 9 µs) | 5 µs | redb: 2 µs | 2.5 × | 0.2 of parsing | ≤ 3 × | yes |"
        ));
        assert!(text.starts_with("on a machine\n") && text.contains("**no**"), "{text}");
        let text = sizes(&rows);
        assert!(text.contains("| entries | 5 |"), "{text}");
        assert!(text.contains("| get | 5.0 µs |") && text.contains("| get | 6.0 µs |"), "{text}");
    }

    #[test]
    fn a_replay_is_described_by_its_trace() {
        let run = json!({"kind": "replay", "file": "trace.jsonl", "speed": 100.0, "times": 1,
            "entries": 24, "span_seconds": 8.25});
        assert!(command(&run).ends_with("--replay trace.jsonl --speed 100 --times 1"));
        assert_eq!(sizes_of_run(&run, "replay"), "24 interactions in 8.25 s.");
        let run = json!({"kind": "part", "rows": ["get", "scan"]});
        assert_eq!(command(&run), "cargo xtask bench --row get --row scan");
    }
}
