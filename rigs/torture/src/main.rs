//! Torture tests of Attestry's file backend; `docs/torture.md` says what each does.
//!
//! They use only the public interface of the backend, and check its promises on the folder it leaves. Workers log each
//! call before and after it ([`notes`]); from the log a [`ledger`] derives what must be in the store, and [`verify`]
//! compares.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod anchors;
mod calls;
mod disk_full;
mod evidence;
mod fsync_error;
mod inject;
mod kill;
mod ledger;
mod notes;
mod outcome;
mod power_cut;
mod rng;
mod runs;
mod sample;
mod shutdown;
mod simulate;
mod system;
mod verify;
mod worker;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use calls::CallWorkerArgs;
use outcome::{Result, Stop};
use runs::Options;
use worker::WorkerArgs;

/// Torture tests of Attestry's file backend.
///
/// Exit status: 0 when every promise held, 1 when one was broken. A test that cannot run here (no root, no loop devices,
/// no strace) is skipped with a message, or fails if ATTESTRY_REQUIRE is "all".
#[derive(Debug, Parser)]
#[command(name = "torture", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kills processes at random moments and retries their writes
    Kill(Options),
    /// Kills processes while a witness and a timestamp authority fail at random
    Anchors(Options),
    /// Kills processes at every point of calls with a start and an end
    Calls(Options),
    /// Injects errors into every system call of the program
    Strace(Options),
    /// Full and read-only disks
    DiskFull(Options),
    /// Failing syncs
    FsyncError(Options),
    /// Shuts file systems down under load, or after a kill and a retry
    PowerCut(Options),
    /// Simulates power cuts from the recorded system calls of killed and restarted processes
    Simulate(Options),
    /// All of them in turn
    All(Options),
    /// A process that the tests start and kill
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// A process that records calls, which the tests start and kill
    #[command(hide = true)]
    CallWorker(CallWorkerArgs),
}

type Test = fn(&Options) -> Result<String>;

const TESTS: &[(&str, Test)] = &[
    ("kill", kill::run),
    ("anchors", kill::run_with_anchors),
    ("calls", calls::run),
    ("strace", inject::run),
    ("disk-full", disk_full::run),
    ("fsync-error", fsync_error::run),
    ("power-cut", power_cut::run),
    ("simulate", simulate::run),
];

fn main() -> ExitCode {
    let (only, options) = match Cli::parse().command {
        Command::Worker(args) => return exit_code(worker::main(args)),
        Command::CallWorker(args) => return exit_code(calls::worker(args)),
        Command::Kill(options) => (Some("kill"), options),
        Command::Anchors(options) => (Some("anchors"), options),
        Command::Calls(options) => (Some("calls"), options),
        Command::Strace(options) => (Some("strace"), options),
        Command::DiskFull(options) => (Some("disk-full"), options),
        Command::FsyncError(options) => (Some("fsync-error"), options),
        Command::PowerCut(options) => (Some("power-cut"), options),
        Command::Simulate(options) => (Some("simulate"), options),
        Command::All(options) => (None, options),
    };
    let mut broken = false;
    for (name, test) in TESTS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        broken |= !run(name, *test, &options);
    }
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Of a process that the tests start.
fn exit_code(outcome: Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{stop:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a test and prints its outcome; false if a promise was broken.
fn run(name: &str, test: Test, options: &Options) -> bool {
    let start = Instant::now();
    let outcome = test(options);
    let seconds = start.elapsed().as_secs_f64();
    let indented = |text: &str| text.replace('\n', "\n  ");
    match &outcome {
        Ok(summary) => {
            println!(
                "{name}: ok in {seconds:.1} s (seed {})\n  {}",
                options.seed,
                indented(summary)
            );
        }
        Err(Stop::Skipped(reason)) => println!("{name}: skipped: {reason}"),
        Err(Stop::Failed(reason)) => println!(
            "{name}: FAILED after {seconds:.1} s: {}\n  to repeat: cargo xtask torture {name} --seed {}",
            indented(reason),
            options.seed
        ),
    }
    !matches!(outcome, Err(Stop::Failed(_)))
}
