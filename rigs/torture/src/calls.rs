//! Processes are killed at every point of calls with a start and an end.

mod check;
mod journal;
mod worker;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

pub(crate) use self::worker::{CallWorkerArgs, main as worker};
use crate::outcome::{Result, failed};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};

/// Processes of a round that are killed at a random moment, besides those killed at each point.
const RANDOM_KILLS: usize = 20;
/// Processes between two checks of the store.
const CHECK_EVERY: usize = 8;
const SIGKILL: i32 = 9;

#[derive(Debug, Default)]
struct Summary {
    kills: usize,
    calls: usize,
    ended: usize,
    open: usize,
    acknowledged: usize,
}

/// Kills processes while they record calls: at each point in turn until one completes, and at random moments. All use
/// one folder. After that, each start that was acknowledged is stored; each has one end, or is reported as open; ends
/// that were acknowledged are stored as they were; and a process that closed its logger left no open call.
pub(crate) fn run(options: &Options) -> Result<String> {
    let mut runs = Runs::new(options, 5);
    let mut rng = Rng::derive(options.seed, 2);
    let mut summary = Summary::default();
    while let Some(round) = runs.next() {
        with_folder("calls", |path| {
            one_folder(path, options.with_evidence(round), &mut rng, &mut summary)
        })?;
    }
    Ok(format!(
        "{} rounds, {} processes killed, {} calls started\n\
         {} have one end, {} of them acknowledged; {} have none and are reported",
        runs.done(),
        summary.kills,
        summary.calls,
        summary.ended,
        summary.acknowledged,
        summary.open
    ))
}

fn one_folder(path: &Path, evidence: bool, rng: &mut Rng, summary: &mut Summary) -> Result {
    let args = |process, die_at| CallWorkerArgs {
        folder: path.join("audit"),
        journal: path.join("journal"),
        process,
        seed: process as u64,
        die_at,
        evidence,
    };
    let seed = rng.next();
    let mut process = 0;
    let mut completed = false;
    let mut die_at = 0;
    let mut random_kills = 0;
    while !completed || random_kills < RANDOM_KILLS {
        process += 1;
        // The same calls in each process until one completes, so that each of their points is met.
        let mut args = args(process, 0);
        args.seed = seed;
        let killed = if completed {
            random_kills += 1;
            args.seed = rng.next();
            let mut child = start(&args)?;
            thread::sleep(Duration::from_micros(rng.below(80_000) as u64));
            child.kill()?;
            ended(&mut child)?
        } else {
            die_at += 1;
            args.die_at = die_at;
            let killed = ended(&mut start(&args)?)?;
            completed = !killed;
            killed
        };
        summary.kills += usize::from(killed);
        if process % CHECK_EVERY == 0 {
            check::blocking(&args)?;
        }
    }
    let found = check::blocking(&args(process, 0))?;
    summary.calls += found.calls;
    summary.ended += found.ended;
    summary.open += found.open;
    summary.acknowledged += found.acknowledged;
    Ok(())
}

fn start(args: &CallWorkerArgs) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("call-worker").args(args.arguments());
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

/// Waits for the end; returns whether the process was killed.
fn ended(child: &mut Child) -> Result<bool> {
    let status = child.wait()?;
    match (status.signal(), status.success()) {
        (Some(SIGKILL), _) => Ok(true),
        (None, true) => Ok(false),
        _ => failed(format!("a process that records calls ended with {status}")),
    }
}
