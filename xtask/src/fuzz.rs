//! The fuzz targets of `rigs/fuzz/`, a workspace of its own: built with the coverage that libFuzzer
//! wants, which stable Rust has, and run for a while each; `docs/torture.md` says what they hold.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, Result};
use crate::workspace::{Workspace, emptied};

/// Seconds for each target where none are given.
const USUAL: u64 = 60;

/// How libFuzzer says how many inputs it tried.
const RUNS: &str = "stat::number_of_executed_units:";

/// What cargo-fuzz passes too, but for the address sanitizer, which needs a nightly compiler.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Runs the targets named, or all of them, each for so many `--seconds`; fails at the first input
/// of which a property does not hold.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let all = targets(workspace)?;
    let (names, seconds) = read(arguments, &all)?;
    let programs = build(workspace)?;
    for name in names {
        fuzz(workspace, &programs.join(name), name, seconds)?;
    }
    Ok(())
}

/// The targets there are, each with a file of its own.
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
    let mut seconds = USUAL;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if *argument == "--seconds" {
            let given = rest.next().ok_or("--seconds of how many?")?;
            seconds = given.parse().map_err(|_| format!("{given:?} is no number of seconds"))?;
            // libFuzzer takes none for no limit.
            if seconds == 0 {
                return Err("--seconds must be 1 or more".into());
            }
        } else {
            let name = all.iter().find(|name| name == argument).ok_or_else(|| {
                format!("there is no target {argument:?}; there are {}", all.join(", "))
            })?;
            names.push(name.as_str());
        }
    }
    if names.is_empty() {
        names.extend(all.iter().map(String::as_str));
    }
    Ok((names, seconds))
}

/// Builds all of them; returns where the programs are.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    if Cmd::new("c++").arg("--version").finish().is_err() {
        return Err("libFuzzer is compiled from C++; is a compiler installed as c++?".into());
    }
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    workspace
        .cargo()
        .args(["build", "--release", "--locked", "--manifest-path", "rigs/fuzz/Cargo.toml"])
        // Naming the target keeps the flags from build scripts and macros.
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

/// Runs one target. What it finds new is kept under `target/fuzz/found` for the next run.
fn fuzz(workspace: &Workspace, program: &Path, name: &str, seconds: u64) -> Result {
    let made = |folder: &str| -> Result<PathBuf> {
        let path = workspace.target.join("fuzz").join(folder).join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    let (found, failed) = (made("found")?, made("failed")?);
    // In memory where that can be: the properties write files, which no power cut will ask for.
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
        println!("  held for {} inputs", runs.trim());
        return Ok(());
    }
    Err(format!(
        "{}\n{name} does not hold for an input that lies in {}. Once that is mended, put it into \
         rigs/fuzz/corpus/{name} under a name that says what is wrong with it.",
        finished.stderr,
        failed.display()
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_seconds_come_in_any_order() {
        let all = ["folder".to_owned(), "line".to_owned()];
        assert_eq!(read(&[], &all).unwrap(), (vec!["folder", "line"], USUAL));
        assert_eq!(read(&["--seconds", "5", "line"], &all).unwrap(), (vec!["line"], 5));
        assert_eq!(read(&["line", "--seconds", "5"], &all).unwrap(), (vec!["line"], 5));
        for wrong in [&["lines"][..], &["--seconds"], &["--seconds", "few"], &["--seconds", "0"]] {
            assert!(read(wrong, &all).is_err(), "{wrong:?}");
        }
    }
}
