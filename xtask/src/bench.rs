//! Builds and runs the benchmark (`rigs/bench/`, a workspace of its own), keeps what it measured under
//! `rigs/bench/results/`, and writes the table and plots of `docs/performance.md`.

mod chart;
mod page;
mod plots;
pub(crate) mod results;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cmd::{Cmd, Result};
use crate::interop::Python;
use crate::venv::{Package, Venv};
use crate::workspace::{Profile, Workspace};

/// The options that the benchmark itself does not have.
const RENDER: &str = "\
With --peers the row `serve` also loads Arize Phoenix and MLflow, which are installed from PyPI (2 GB).

With cargo xtask bench --render FILE nothing is measured: the results of an earlier run (result.json)
are written to rigs/bench/results/, and a whole run to docs/performance.md. With --as NAME only to
rigs/bench/results/NAME.";

/// Whether other receivers of OTLP are measured, too.
const PEERS: &str = "--peers";

/// Their packages, each with its program.
const RECEIVERS: &[(Package, &str)] =
    &[(("arize-phoenix", "20.26.1"), "phoenix"), (("mlflow", "3.17.2"), "mlflow")];

/// Builds and runs it with these arguments. A run of all rows, or a replay, replaces the results kept of that kind; a
/// run of all rows also replaces the table and plots of the page.
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
    match arguments.first() {
        Some(&"soak") => {
            let program = workspace.build_cli(Profile::Release)?;
            return bench.args(arguments).arg("--attestry").arg(program).run();
        }
        Some(&"export") => return bench.args(arguments).run(),
        _ => {}
    }
    if wants(arguments, &["python", "encrypt"]) {
        bench = bench.arg("--python").arg(Python::prepare(workspace)?.program());
    }
    if wants(arguments, &["python", "encrypt", "import", "serve", "query"]) {
        bench = bench.arg("--attestry").arg(workspace.build_cli(Profile::Release)?);
    }
    let arguments: Vec<&str> = match arguments.iter().position(|argument| *argument == PEERS) {
        None => arguments.to_vec(),
        Some(at) => {
            for (package, option) in RECEIVERS {
                let folder = workspace.target.join("peers").join(package.0);
                let venv = Venv::prepare(folder, &[*package])?;
                bench = bench.arg(format!("--{option}")).arg(venv.program(option));
            }
            [&arguments[..at], &arguments[at + 1..]].concat()
        }
    };
    let arguments = arguments.as_slice();
    let dir = option(arguments, "--dir")
        .map_or_else(|| workspace.target.join("bench"), |dir| workspace.root.join(dir));
    if option(arguments, "--dir").is_none() {
        bench = bench.arg("--dir").arg(&dir);
    }
    bench.args(arguments).run_as(&format!("attestry-bench {}", arguments.join(" ")))?;
    let replay = option(arguments, "--replay").is_some();
    render(workspace, &dir.join(if replay { "replay.json" } else { "result.json" }), None)
}

/// Keeps a result, under its kind or this name, and writes the page if it is a whole run.
fn render(workspace: &Workspace, file: &Path, name: Option<&str>) -> Result {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let result: Value = serde_json::from_str(&text)?;
    let kind = result["run"]["kind"].as_str().unwrap_or_default();
    let whole = ["default", "full"].contains(&kind);
    if name.is_none() && !whole && kind != "replay" {
        println!("  not kept: only runs of all rows in the usual sizes are");
        return Ok(());
    }
    let kept = name.unwrap_or(kind);
    results::write_result(workspace, kept, &result)?;
    println!("  wrote {}", results::path(kept));
    if name.is_none() && whole {
        page::write(workspace, kind, &result)?;
        println!("  wrote {}", page::PAGE);
    }
    Ok(())
}

/// Whether one of the rows `named` is measured.
fn wants(arguments: &[&str], named: &[&str]) -> bool {
    let rows: Vec<&str> = options(arguments, "--row").collect();
    let is_wanted = rows.is_empty() || rows.iter().any(|row| named.contains(row));
    is_wanted && option(arguments, "--replay").is_none()
}

fn option<'a>(arguments: &[&'a str], name: &'a str) -> Option<&'a str> {
    options(arguments, name).next()
}

/// The values of `--name VALUE` and `--name=VALUE`.
fn options<'a>(arguments: &[&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    arguments.iter().enumerate().filter_map(move |(index, argument)| {
        match argument.strip_prefix(name)? {
            "" => arguments.get(index + 1).copied(),
            rest => rest.strip_prefix('='),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_two_forms() {
        let arguments = ["--row", "get", "--row=python", "--dir", "x", "--rounds"];
        assert_eq!(options(&arguments, "--row").collect::<Vec<_>>(), ["get", "python"]);
        assert_eq!(option(&arguments, "--dir"), Some("x"));
        assert_eq!(option(&arguments, "--entries"), None);
        let python = ["python", "encrypt"];
        for wanting in [&arguments[..], &[], &["--row", "encrypt"]] {
            assert!(wants(wanting, &python));
        }
        assert!(!wants(&["--row", "get"], &python) && !wants(&["--replay", "x.jsonl"], &python));
    }
}
