//! The benchmark: builds `bench/`, a workspace of its own, runs it, and writes what it measured
//! into `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cmd::{Cmd, Result};
use crate::interop::Python;
use crate::workspace::{Profile, Workspace};

/// Where the tables stand.
pub(crate) const PAGE: &str = "docs/performance.md";

/// Builds and runs it with these arguments. A run of all rows in the usual sizes, or in the full
/// ones, replaces its table in the page.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let folder = workspace.target.join("bench-build");
    workspace
        .cargo()
        .args(["build", "--release", "--manifest-path", "bench/Cargo.toml"])
        .arg("--target-dir")
        .arg(&folder)
        .run_as("cargo build --release --manifest-path bench/Cargo.toml")?;
    let program =
        folder.join("release").join(format!("attestry-bench{}", std::env::consts::EXE_SUFFIX));
    let mut bench = Cmd::new(program).named("attestry-bench").folder(&workspace.root);
    if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) {
        return bench.arg("--help").run();
    }
    if wants_python(arguments) {
        let python = Python::prepare(workspace)?;
        let attestry = workspace.build_cli(Profile::Release)?;
        bench = bench.arg("--python").arg(python.program()).arg("--attestry").arg(attestry);
    }
    let dir = option(arguments, "--dir")
        .map_or_else(|| workspace.target.join("bench"), |dir| workspace.root.join(dir));
    if option(arguments, "--dir").is_none() {
        bench = bench.arg("--dir").arg(&dir);
    }
    bench.args(arguments).run_as(&format!("attestry-bench {}", arguments.join(" ")))?;
    let result: Value = serde_json::from_str(&fs::read_to_string(dir.join("result.json"))?)?;
    let page = workspace.path(PAGE);
    match result["run"]["kind"].as_str() {
        Some(kind @ ("default" | "full")) => {
            write_into(&page, kind, &table(&result)?)?;
            println!("  wrote the table into {PAGE}");
        }
        _ => println!("  {PAGE} stays: it has whole runs in the usual sizes only"),
    }
    Ok(())
}

fn wants_python(arguments: &[&str]) -> bool {
    let rows: Vec<&str> = options(arguments, "--row").collect();
    rows.is_empty() || rows.contains(&"python")
}

fn option<'a>(arguments: &[&'a str], name: &'a str) -> Option<&'a str> {
    options(arguments, name).next()
}

/// The values of `--name VALUE` and `--name=VALUE`.
fn options<'a>(arguments: &[&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    arguments.iter().enumerate().filter_map(move |(place, argument)| {
        match argument.strip_prefix(name)? {
            "" => arguments.get(place + 1).copied(),
            rest => rest.strip_prefix('='),
        }
    })
}

/// Replaces what stands between the two marks of this kind.
pub(crate) fn write_into(page: &Path, kind: &str, table: &str) -> Result {
    let text = fs::read_to_string(page)
        .map_err(|error| format!("cannot read {}: {error}", page.display()))?;
    let replaced = replaced(&text, kind, table)
        .ok_or_else(|| format!("{} has no marks for the {kind} run", page.display()))?;
    let temporary = PathBuf::from(format!("{}.tmp", page.display()));
    fs::write(&temporary, replaced)?;
    Ok(fs::rename(temporary, page)?)
}

fn replaced(text: &str, kind: &str, table: &str) -> Option<String> {
    let (begin, end) =
        (format!("<!-- bench {kind}: begin -->"), format!("<!-- bench {kind}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

/// The machine, the versions and the rows, in Markdown.
fn table(result: &Value) -> Result<String> {
    let (machine, run) = (&result["machine"], &result["run"]);
    let full = if run["kind"] == "full" { " --full" } else { "" };
    let mut text = String::new();
    writeln!(
        text,
        "\n`cargo xtask bench{full}` on {}, in {} s: {}, {} cores, {} MB of memory, {} {}, {}; {}. \
         {} rounds; lines of {} bytes from texts of {} bytes.\n",
        shown(&machine["date"]),
        shown(&run["seconds"]),
        shown(&machine["cpu"]),
        shown(&machine["cores"]),
        shown(&machine["memory_mb"]),
        shown(&machine["system"]),
        shown(&machine["kernel"]),
        shown(&machine["file_system"]),
        versions(machine),
        shown(&run["rounds"]),
        shown(&run["mean_line_bytes"]),
        shown(&run["mean_text_bytes"]),
    )?;
    text.push_str("| `--row` | what | ours | beside | ratio | asked | reached |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let rows = result["rows"].as_array().ok_or("result.json has no rows")?;
    for row in rows {
        let reached = match row["asked"]["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let note = row["note"].as_str().map_or_else(String::new, |note| format!(" ({note})"));
        writeln!(
            text,
            "| `{}` | {}{note} | {} | {} | {} | {} | {reached} |",
            shown(&row["row"]),
            shown(&row["what"]),
            shown(&row["shown"]["ours"]),
            shown(&row["shown"]["reference"]),
            shown(&row["shown"]["ratio"]),
            shown(&row["shown"]["asked"]),
        )?;
    }
    text.push('\n');
    text.push_str(&sizes(rows));
    Ok(text)
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
    let points = |row: &Value| row["series"]["points"].as_array().cloned().unwrap_or_default();
    let with: Vec<&Value> = rows.iter().filter(|row| !points(row).is_empty()).collect();
    let Some(first) = with.first() else { return String::new() };
    let sizes: Vec<String> = points(first).iter().map(|point| shown(&point["entries"])).collect();
    let mut text = format!("| entries | {} |\n", sizes.join(" | "));
    text.push_str(&format!("| --- |{}\n", " --- |".repeat(sizes.len())));
    for row in with {
        let what = shown(&row["series"]["what"]);
        let unit = shown(&row["ours"]["unit"]);
        let values: Vec<String> = points(row)
            .iter()
            .map(|point| format!("{:.1} {unit}", point["value"].as_f64().unwrap_or(f64::NAN)))
            .collect();
        text.push_str(&format!("| {what} | {} |\n", values.join(" | ")));
    }
    text.push('\n');
    text
}

/// A value as people read it; nothing for `null`.
fn shown(value: &Value) -> String {
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
    fn options_come_in_two_forms() {
        let arguments = ["--row", "get", "--row=python", "--dir", "x", "--rounds"];
        assert_eq!(options(&arguments, "--row").collect::<Vec<_>>(), ["get", "python"]);
        assert_eq!(option(&arguments, "--dir"), Some("x"));
        assert_eq!(option(&arguments, "--entries"), None);
        assert!(wants_python(&arguments) && wants_python(&[]));
        assert!(!wants_python(&["--row", "get"]));
    }

    #[test]
    fn only_its_own_part_of_the_page_changes() {
        let page = "a\n<!-- bench full: begin -->\nold\n<!-- bench full: end -->\nz\n";
        let new = replaced(page, "full", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- bench full: begin -->\nnew\n<!-- bench full: end -->\nz\n");
        assert_eq!(replaced(&new, "full", "new\n").unwrap(), new);
        assert_eq!(replaced(page, "default", "new\n"), None);
    }

    #[test]
    fn every_row_is_in_the_table() {
        let row = |met: Value| {
            json!({"row": "get", "what": "get_entry, 5 entries", "note": "p99 9 µs",
                "shown": {"ours": "5 µs", "reference": "redb: 2 µs", "ratio": "2.5 ×", "asked": "≤ 3 ×"},
                "ours": {"unit": "µs"}, "asked": {"met": met}, "series": {"what": "get", "points": [{"entries": 5, "value": 5.04}]}})
        };
        let result = json!({"machine": {"versions": {"redb": "1.0"}}, "run": {"kind": "full"},
            "rows": [row(json!(true)), row(json!(false))]});
        let table = table(&result).unwrap();
        assert!(table.contains(
            "| `get` | get_entry, 5 entries (p99 9 µs) | 5 µs | redb: 2 µs | 2.5 × | ≤ 3 × | yes |"
        ));
        assert!(table.contains("**no**") && table.contains("| get | 5.0 µs |"), "{table}");
    }
}
