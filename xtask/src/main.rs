//! Chores of the workspace; `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod bench;
mod ci;
mod cmd;
mod costs;
mod demo;
mod docs;
mod fuzz;
mod interop;
mod layers;
mod modules;
mod s3;
mod tools;
mod torture;
mod venv;
mod workspace;

use std::process::ExitCode;

use cmd::Result;
use workspace::Workspace;

const HELP: &str = "\
Chores of the Attestry workspace.

Usage: cargo xtask <CHORE>

  ci [STEP...]   Everything that must hold before a change goes in, or only the steps named
  bench [ARG...] Measures Attestry beside its peers and the machine's limits (bench --help) and
                 writes the tables and plots of docs/performance.md
  costs [--renew]
                 What single operations cost, counted and not timed, beside what is recorded; or
                 records it
  interop        Both directions between Attestry and the real Python package
  s3             The S3 backend against SeaweedFS, and with the real Python package there
  s3 bench [--row NAME]...
                 Measures both there behind a slow line and writes a table of docs/performance.md,
                 or of it the rows named
  demo [FILE]    Records interactions (the samples, or those in FILE), lists and verifies them
  torture [NAME] The torture tests of the file backend, or one of them; see docs/torture.md
  torture fuzz [TARGET...] [--seconds N]
                 The fuzz targets, or those named, for a minute or so many seconds each
  layers         Which crate may use which
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
        ["bench", arguments @ ..] => bench::run(&Workspace::load()?, arguments),
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h", ..] => {
            print!("{HELP}\nSteps of ci, in order:\n\n{}", ci::steps());
            Ok(())
        }
        ["ci", names @ ..] => ci::run(&Workspace::load()?, names),
        ["costs", arguments @ ..] => costs::run(&Workspace::load()?, arguments),
        ["interop"] => interop::run(&Workspace::load()?),
        ["s3"] => s3::check(&Workspace::load()?),
        ["s3", "bench", arguments @ ..] => s3::bench(&Workspace::load()?, arguments),
        ["demo"] => demo::run(&Workspace::load()?, None),
        ["demo", file] => demo::run(&Workspace::load()?, Some(file)),
        ["torture", "fuzz", arguments @ ..] => fuzz::run(&Workspace::load()?, arguments),
        ["torture", arguments @ ..] => torture::run(&Workspace::load()?, arguments),
        ["layers"] => layers::run(&Workspace::load()?),
        _ => {
            Err(format!("there is no chore {:?}; see cargo xtask --help", arguments.join(" "))
                .into())
        }
    }
}
