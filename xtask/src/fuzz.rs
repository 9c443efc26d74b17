//! Builds the fuzz targets of `rigs/fuzz/`, a workspace of its own, with coverage instrumentation for libFuzzer, and runs
//! them; `docs/torture.md` describes them. Stable Rust suffices.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, Result};
use crate::workspace::{Workspace, emptied};

/// Default seconds per target.
const DEFAULT_SECONDS: u64 = 60;

/// Prefix of libFuzzer's number of inputs.
const RUNS: &str = "stat::number_of_executed_units:";

/// The flags of cargo-fuzz, without the address sanitizer, which needs a nightly compiler.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Runs all or the named targets for `--seconds` each; fails at the first input that breaks a property.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let all = targets(workspace)?;
    let (names, seconds) = read(arguments, &all)?;
    let programs = build(workspace)?;
    for name in names {
        fuzz(workspace, &programs.join(name), name, seconds)?;
    }
    Ok(())
}

/// All targets, one per file.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(workspace.path("rigs/fuzz/targets"))? {
        let path = file?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

fn read<'a>(arguments: &[&str], all: &'a [String]) -> Result<(Vec<&'a str>, u64)> {
    let mut names = Vec::new();
    let mut seconds = DEFAULT_SECONDS;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if *argument == "--seconds" {
            let given = rest.next().ok_or("--seconds needs a number")?;
            seconds = given.parse().map_err(|_| format!("{given:?} is not a number of seconds"))?;
            // libFuzzer takes 0 for no limit.
            if seconds == 0 {
                return Err("--seconds must be 1 or more".into());
            }
        } else {
            let name = all.iter().find(|name| name == argument).ok_or_else(|| {
                format!("unknown target {argument:?}; the targets are {}", all.join(", "))
            })?;
            names.push(name.as_str());
        }
    }
    if names.is_empty() {
        names.extend(all.iter().map(String::as_str));
    }
    Ok((names, seconds))
}

/// Builds all targets; returns the folder of the programs.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    if Cmd::new("c++").arg("--version").finish().is_err() {
        return Err("libFuzzer needs a C++ compiler named c++".into());
    }
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    workspace
        .cargo()
        .args(["build", "--release", "--locked", "--manifest-path", "rigs/fuzz/Cargo.toml"])
        // With --target, the flags do not apply to build scripts and macros.
        .args(["--target", &host])
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .run_as("cargo build --release --manifest-path rigs/fuzz/Cargo.toml")?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Result<String> {
    let version =
        Cmd::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not name its host")?.to_owned())
}

/// Runs one target. New inputs are kept under `target/fuzz/found` for the next run.
fn fuzz(workspace: &Workspace, program: &Path, name: &str, seconds: u64) -> Result {
    let made = |folder: &str| -> Result<PathBuf> {
        let path = workspace.target.join("fuzz").join(folder).join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    let (found, failed) = (made("found")?, made("failed")?);
    // In memory if possible: the properties write files that need not be durable.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let temporary = emptied(parent.join(format!("attestry-fuzz-{}", std::process::id())))?;
    println!("$ fuzz {name} for {seconds} seconds");
    let finished = Cmd::new(program)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=20", "-rss_limit_mb=2048", "-print_funcs=0", "-print_final_stats=1"])
        .args(["-verbosity=0", &format!("-artifact_prefix={}/", failed.display())])
        .args([&found, &workspace.path("rigs/fuzz/corpus").join(name)])
        .env("TMPDIR", &temporary)
        .finish();
    fs::remove_dir_all(&temporary)?;
    let finished = finished?;
    if finished.code == Some(0) {
        let runs = finished.stderr.lines().find_map(|line| line.strip_prefix(RUNS)).unwrap_or("?");
        println!("  passed {} inputs", runs.trim());
        return Ok(());
    }
    Err(format!(
        "{}\n{name} fails on an input in {}. After the fix, add it to rigs/fuzz/corpus/{name}, named \
         by its defect.",
        finished.stderr,
        failed.display()
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_may_be_in_any_order() {
        let all = ["folder".to_owned(), "line".to_owned()];
        assert_eq!(read(&[], &all).unwrap(), (vec!["folder", "line"], DEFAULT_SECONDS));
        assert_eq!(read(&["--seconds", "5", "line"], &all).unwrap(), (vec!["line"], 5));
        assert_eq!(read(&["line", "--seconds", "5"], &all).unwrap(), (vec!["line"], 5));
        for wrong in [&["lines"][..], &["--seconds"], &["--seconds", "few"], &["--seconds", "0"]] {
            assert!(read(wrong, &all).is_err(), "{wrong:?}");
        }
    }
}
