//! The benchmark: builds `rigs/bench/`, a workspace of its own, runs it, and writes what it measured
//! into `docs/performance.md`, with plots.

mod page;
mod plots;
mod svg;

use std::fs;
use std::path::Path;

use crate::cmd::{Cmd, Result};
use crate::interop::Python;
use crate::workspace::{Profile, Workspace};

pub(crate) use page::{PAGE, with_rows, write_into};

/// What is not of the program's own help.
const RENDER: &str = "\
With cargo xtask bench --render FILE nothing is measured: the page gets the tables and plots of a
result.json that was kept; with --as NAME only the table, at the marks of that name.";

/// Builds and runs it with these arguments. A run of all rows in the usual sizes, or in the full
/// ones, or a replay, replaces its table in the page, and its plots. With `--render FILE` nothing
/// is run: the page gets what a result of an earlier run says.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    if let Some(file) = option(arguments, "--render") {
        return render(workspace, &workspace.root.join(file), option(arguments, "--as"));
    }
    let folder = workspace.target.join("bench-build");
    workspace
        .cargo()
        .args(["build", "--release", "--manifest-path", "rigs/bench/Cargo.toml"])
        .arg("--target-dir")
        .arg(&folder)
        .run_as("cargo build --release --manifest-path rigs/bench/Cargo.toml")?;
    let program =
        folder.join("release").join(format!("attestry-bench{}", std::env::consts::EXE_SUFFIX));
    let mut bench = Cmd::new(program).named("attestry-bench").folder(&workspace.root);
    if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) {
        bench.arg("--help").run()?;
        println!("{RENDER}");
        return Ok(());
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
    let replay = option(arguments, "--replay").is_some();
    render(workspace, &dir.join(if replay { "replay.json" } else { "result.json" }), None)
}

/// Writes what a file of results says into the page, at its place or at the one of this name.
fn render(workspace: &Workspace, file: &Path, name: Option<&str>) -> Result {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    match page::render(workspace, &serde_json::from_str(&text)?, name)? {
        Some(place) => println!("  wrote the {place} run into {PAGE}"),
        None => println!("  {PAGE} stays: it has whole runs in the usual sizes only"),
    }
    Ok(())
}

fn wants_python(arguments: &[&str]) -> bool {
    let rows: Vec<&str> = options(arguments, "--row").collect();
    let asked = rows.is_empty() || rows.iter().any(|row| ["python", "encrypt"].contains(row));
    asked && option(arguments, "--replay").is_none()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_two_forms() {
        let arguments = ["--row", "get", "--row=python", "--dir", "x", "--rounds"];
        assert_eq!(options(&arguments, "--row").collect::<Vec<_>>(), ["get", "python"]);
        assert_eq!(option(&arguments, "--dir"), Some("x"));
        assert_eq!(option(&arguments, "--entries"), None);
        assert!(
            wants_python(&arguments) && wants_python(&[]) && wants_python(&["--row", "encrypt"])
        );
        assert!(!wants_python(&["--row", "get"]) && !wants_python(&["--replay", "x.jsonl"]));
    }
}
