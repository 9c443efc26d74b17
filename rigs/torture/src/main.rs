//! Torture tests of Attestry's file backend; `docs/torture.md` says what each does.
//!
//! They know the backend by its public interface only: what it promises is checked on what it
//! leaves in its folder. Everything a test does is announced beforehand and acknowledged afterwards
//! in notes ([`notes`]), from which a [`ledger`] says what must be there; [`verify`] looks.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

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

use outcome::{Result, Stop};
use runs::Options;
use worker::WorkerArgs;

/// Torture tests of Attestry's file backend.
///
/// Exit status: 0 when every promise held, 1 when one was broken. A test that cannot be done here
/// (no root, no loop devices, no strace) is skipped with a message.
#[derive(Debug, Parser)]
#[command(name = "torture", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Processes killed at random moments, and their writes repeated
    Kill(Options),
    /// Errors injected into every call of the program
    Strace(Options),
    /// Full and read-only disks
    DiskFull(Options),
    /// Syncs that fail
    FsyncError(Options),
    /// File systems cut off from their disk under load, or after a kill and a retry
    PowerCut(Options),
    /// Power cuts by simulation, from the recorded calls of a run that is killed and goes on
    Simulate(Options),
    /// All of them, one after the other
    All(Options),
    /// What the tests start and kill
    #[command(hide = true)]
    Worker(WorkerArgs),
}

type Test = fn(&Options) -> Result<String>;

const TESTS: &[(&str, Test)] = &[
    ("kill", kill::run),
    ("strace", inject::run),
    ("disk-full", disk_full::run),
    ("fsync-error", fsync_error::run),
    ("power-cut", power_cut::run),
    ("simulate", simulate::run),
];

fn main() -> ExitCode {
    let (only, options) = match Cli::parse().command {
        Command::Worker(args) => {
            return match worker::main(args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(stop) => {
                    eprintln!("{stop:?}");
                    ExitCode::FAILURE
                }
            };
        }
        Command::Kill(options) => (Some("kill"), options),
        Command::Strace(options) => (Some("strace"), options),
        Command::DiskFull(options) => (Some("disk-full"), options),
        Command::FsyncError(options) => (Some("fsync-error"), options),
        Command::PowerCut(options) => (Some("power-cut"), options),
        Command::Simulate(options) => (Some("simulate"), options),
        Command::All(options) => (None, options),
    };
    let mut broken = false;
    for (name, test) in TESTS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        broken |= !tell(name, *test, &options);
    }
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs a test and says how it went; false where a promise was broken.
fn tell(name: &str, test: Test, options: &Options) -> bool {
    let begun = Instant::now();
    let outcome = test(options);
    let seconds = begun.elapsed().as_secs_f64();
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
            "{name}: FAILED after {seconds:.1} s: {}\n  again: cargo xtask torture {name} --seed {}",
            indented(reason),
            options.seed
        ),
    }
    !matches!(outcome, Err(Stop::Failed(_)))
}
