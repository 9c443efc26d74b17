//! Tasks of the workspace; `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod api;
mod bench;
mod capture;
mod ci;
mod cmd;
mod costs;
mod demo;
mod docs;
mod fuzz;
mod interop;
mod layers;
mod modules;
mod otlp;
mod python;
mod s3;
mod serve;
mod tools;
mod torture;
mod typescript;
mod venv;
mod viewer;
mod workspace;

use std::process::ExitCode;

use cmd::Result;
use workspace::Workspace;

const HELP: &str = "\
Tasks of the Attestry workspace.

Usage: cargo xtask <TASK>

  ci [STEP...]   All checks that a change must pass, or only the steps named
  ci quick       The steps marked * below, to run before a commit
  layers         Forbidden dependencies between crates and imports between modules
  api [--renew]  Compares the public API with docs/api, or writes the listings
  bench [ARG...] Measures Attestry against other stores and the machine's limits (bench --help);
                 writes rigs/bench/results/ and the table and plots of docs/performance.md
  bench --row python-package
                 Measures the Python package against the real one, alternately; writes
                 rigs/bench/results/python-package.json
  capture        Fixtures of attestry-genai, written by real clients that call a small model; needs
                 npm and the package registries
  costs [--renew]
                 Counts instructions, allocations, bytes and syncs of single operations and compares
                 them with rigs/costs/baseline.json, or records them
  demo [FILE]    Records interactions (the samples, or those in FILE), lists and verifies them
  interop        Both directions between Attestry and the real Python package
  otlp           Real clients of OpenTelemetry send to `attestry serve` while they call a small model;
                 needs npm and the package registries
  s3             The S3 backend against SeaweedFS, and with the real Python package there
  s3 bench [--row NAME]...
                 Compares both there behind a slow connection; writes all or the named rows of
                 rigs/bench/results/s3.md
  viewer         Every page of the viewer in headless Chromium, over a store of usual calls and a hostile
                 one; screenshots in target/viewer/screenshots; needs npm and Chromium
  viewer --large Times, sizes and memory of the pages over a store of a million entries
  torture [NAME] The torture tests of the file backend, or one of them; see docs/torture.md
  torture fuzz [TARGET...] [--seconds N]
                 The fuzz targets, or those named, for 60 or N seconds each
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result {
    match arguments {
        ["bench", "--row", python::ROW] => python::bench(&Workspace::load()?),
        ["bench", arguments @ ..] => bench::run(&Workspace::load()?, arguments),
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h", ..] => {
            print!("{HELP}\nSteps of ci, in order; * marks the quick tier:\n\n{}", ci::steps());
            Ok(())
        }
        ["api", arguments @ ..] => api::run(&Workspace::load()?, arguments),
        ["capture"] => capture::run(&Workspace::load()?),
        ["ci", names @ ..] => ci::run(&Workspace::load()?, names),
        ["costs", arguments @ ..] => costs::run(&Workspace::load()?, arguments),
        ["interop"] => interop::run(&Workspace::load()?),
        ["otlp"] => otlp::run(&Workspace::load()?),
        ["s3"] => s3::check(&Workspace::load()?),
        ["s3", "bench", arguments @ ..] => s3::bench(&Workspace::load()?, arguments),
        ["demo"] => demo::run(&Workspace::load()?, None),
        ["demo", file] => demo::run(&Workspace::load()?, Some(file)),
        ["viewer"] => viewer::run(&Workspace::load()?),
        ["viewer", "--large"] => viewer::large(&Workspace::load()?),
        ["torture", "fuzz", arguments @ ..] => fuzz::run(&Workspace::load()?, arguments),
        ["torture", arguments @ ..] => torture::run(&Workspace::load()?, arguments),
        ["layers"] => layers::run(&Workspace::load()?),
        _ => Err(format!("unknown task {:?}; see cargo xtask --help", arguments.join(" ")).into()),
    }
}
