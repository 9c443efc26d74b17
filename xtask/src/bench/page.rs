//! The tables of `docs/performance.md`, and the plots under them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::plots;
use crate::cmd::Result;
use crate::workspace::Workspace;

/// Where the tables stand.
pub(crate) const PAGE: &str = "docs/performance.md";

/// Where the plots lie, and how the page gets there.
const PLOTS: &str = "docs/plots";
const FROM_PAGE: &str = "plots";

/// Writes the table and the plots of a result into the page, where it has a place for that kind
/// of run; or the table alone where `name` says. Says where that was, if anywhere.
pub(super) fn render(
    workspace: &Workspace,
    result: &Value,
    name: Option<&str>,
) -> Result<Option<String>> {
    let kind = result["run"]["kind"].as_str().unwrap_or_default();
    let rows = result["rows"].as_array().ok_or("the result has no rows")?;
    let place = match (name, kind) {
        (Some(name), _) => name,
        (None, "default" | "full" | "replay") => kind,
        (None, _) => return Ok(None),
    };
    let mut text = table(result, kind, rows)?;
    if name.is_none() && kind != "replay" {
        fs::create_dir_all(workspace.path(PLOTS))?;
        for plot in plots::of(rows) {
            let file = format!("{kind}-{}.svg", plot.name);
            writeln!(text, "![{}]({FROM_PAGE}/{file})\n", plot.alt)?;
            write(&workspace.path(PLOTS).join(file), &plot.svg)?;
        }
    }
    write_into(&workspace.path(PAGE), place, &text)?;
    Ok(Some(place.to_owned()))
}

/// Replaces what stands between the two marks of this kind.
pub(crate) fn write_into(page: &Path, kind: &str, table: &str) -> Result {
    let text = fs::read_to_string(page)
        .map_err(|error| format!("cannot read {}: {error}", page.display()))?;
    let replaced = replaced(&text, kind, table)
        .ok_or_else(|| format!("{} has no marks for the {kind} run", page.display()))?;
    write(page, &replaced)
}

/// The rows that the page has of this kind of run, of which these take the places of those with the
/// same name and description, the first two cells.
pub(crate) fn with_rows(page: &Path, kind: &str, rows: &[String]) -> Result<Vec<String>> {
    let text = fs::read_to_string(page)
        .map_err(|error| format!("cannot read {}: {error}", page.display()))?;
    rows_of(&text, kind, rows)
}

fn rows_of(text: &str, kind: &str, rows: &[String]) -> Result<Vec<String>> {
    let no_marks = || format!("there are no marks for the {kind} run");
    let (_, rest) = text.split_once(&begin(kind)).ok_or_else(no_marks)?;
    let (table, _) = rest.split_once(&end(kind)).ok_or_else(no_marks)?;
    let cells = |row: &str| row.split('|').take(3).map(str::to_owned).collect::<Vec<_>>();
    let is_row = |line: &&str| line.starts_with("| `");
    // The heading's first cell is code, too.
    let mut all: Vec<_> = table.lines().filter(is_row).skip(1).map(str::to_owned).collect();
    for row in rows {
        let same = all.iter_mut().find(|line| cells(line) == cells(row));
        same.ok_or_else(|| format!("the table has no such row: {row}"))?.clone_from(row);
    }
    Ok(all)
}

fn begin(kind: &str) -> String {
    format!("<!-- bench {kind}: begin -->")
}

fn end(kind: &str) -> String {
    format!("<!-- bench {kind}: end -->")
}

/// A file that is there in whole or not at all.
fn write(path: &Path, text: &str) -> Result {
    let temporary = PathBuf::from(format!("{}.tmp", path.display()));
    fs::write(&temporary, text)?;
    Ok(fs::rename(temporary, path)?)
}

fn replaced(text: &str, kind: &str, table: &str) -> Option<String> {
    let (begin, end) = (begin(kind), end(kind));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

/// The machine, the versions and the rows, in Markdown.
fn table(result: &Value, kind: &str, rows: &[Value]) -> Result<String> {
    let (machine, run) = (&result["machine"], &result["run"]);
    let mut text = String::new();
    writeln!(
        text,
        "\n`{}` on {}, in {} s: {}, {} cores, {} MB of memory, {} {}, {}; {}. {}\n",
        command(run, kind),
        shown(&machine["date"]),
        shown(&run["seconds"]),
        shown(&machine["cpu"]),
        shown(&machine["cores"]),
        shown(&machine["memory_mb"]),
        shown(&machine["system"]),
        shown(&machine["kernel"]),
        shown(&machine["file_system"]),
        versions(machine),
        what_was_run(run, kind),
    )?;
    text.push_str("| `--row` | what | ours | beside | ratio | of the limit | asked | reached |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
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
    text.push_str(&sizes(rows));
    Ok(text)
}

/// What was typed.
fn command(run: &Value, kind: &str) -> String {
    match kind {
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

fn what_was_run(run: &Value, kind: &str) -> String {
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

/// The rows that have a figure for each size of the store, as a table of their own.
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
    text.push('\n');
    text
}

/// A value as people read it; nothing for `null`.
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
    fn only_its_own_part_of_the_page_changes() {
        let page = "a\n<!-- bench full: begin -->\nold\n<!-- bench full: end -->\nz\n";
        let new = replaced(page, "full", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- bench full: begin -->\nnew\n<!-- bench full: end -->\nz\n");
        assert_eq!(replaced(&new, "full", "new\n").unwrap(), new);
        assert_eq!(replaced(page, "default", "new\n"), None);
    }

    #[test]
    fn only_the_rows_named_change() {
        let page = "<!-- bench s3: begin -->\ntext\n| `--row` | what |\n| --- | --- |\n| `a` | x | 1 |\n\
                    | `a` | y | 2 |\n<!-- bench s3: end -->\n| `a` | y | 2 |";
        let new = rows_of(page, "s3", &["| `a` | y | 3 |".to_owned()]).unwrap();
        assert_eq!(new, ["| `a` | x | 1 |", "| `a` | y | 3 |"]);
        assert!(rows_of(page, "s3", &["| `b` | y | 3 |".to_owned()]).is_err());
        assert!(rows_of(page, "full", &[]).is_err());
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
        let result = json!({"machine": {"versions": {"redb": "1.0"}}, "run": {"kind": "full"}});
        let table = table(&result, "full", &rows).unwrap();
        assert!(table.contains(
            "| `get` | get_entry, 5 entries (p99 9 µs) | 5 µs | redb: 2 µs | 2.5 × | 0.2 of parsing | ≤ 3 × | yes |"
        ));
        assert!(table.contains("**no**") && table.contains("| get | 5.0 µs |"), "{table}");
        assert!(table.contains("| entries | 5 |") && table.contains("| get | 6.0 µs |"), "{table}");
    }

    #[test]
    fn a_replay_says_what_was_replayed() {
        let run = json!({"kind": "replay", "file": "trace.jsonl", "speed": 100.0, "times": 1,
            "entries": 24, "span_seconds": 8.25});
        assert!(command(&run, "replay").ends_with("--replay trace.jsonl --speed 100 --times 1"));
        assert_eq!(what_was_run(&run, "replay"), "24 interactions in 8.25 s.");
        let run = json!({"kind": "part", "rows": ["get", "scan"]});
        assert_eq!(command(&run, "part"), "cargo xtask bench --row get --row scan");
    }
}
