//! Repeats one operation: `cargo xtask costs` runs it under valgrind and strace with two numbers of repetitions, so that
//! setup cancels out. The program itself counts and prints allocations and bytes written.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod operations;
mod sample;

use std::alloc::System;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use operations::OPERATIONS;

/// Counts the allocations of all threads.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Result of every operation; an error ends the program.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Warm-up repetitions, so that one-time setup is not counted.
const WARM_UP: u64 = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [name, count, folder] = arguments else {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "Usage: attestry-costs OPERATION COUNT FOLDER, with a folder that is not there yet\n\n\
             Operations: {}",
            names.join(", ")
        )
        .into());
    };
    let operation = OPERATIONS.iter().find(|(known, _)| known == name);
    let (_, operation) = operation.ok_or_else(|| format!("there is no operation {name:?}"))?;
    let count: u64 = count.parse()?;
    let folder = PathBuf::from(folder);
    let counted = operation(&folder, count);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let counted = counted?;
    println!("{}", json!({"allocations": counted.allocations, "written": counted.written}));
    Ok(())
}

/// The total of all repetitions.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// Allocations, including reallocations.
    allocations: u64,
    /// Bytes written; `None` if the system does not count them.
    written: Option<u64>,
}

/// Counts `count` repetitions of the work.
fn counted(count: u64, mut work: impl FnMut(u64) -> Result<()>) -> Result<Counted> {
    for number in 0..WARM_UP {
        work(number)?;
    }
    let before = Before::now();
    for number in WARM_UP..WARM_UP + count {
        work(number)?;
    }
    Ok(before.until_now())
}

/// [`counted`] for async work, in one task, as in a service.
async fn counted_async(count: u64, work: impl AsyncFn(u64) -> Result<()>) -> Result<Counted> {
    for number in 0..WARM_UP {
        work(number).await?;
    }
    let before = Before::now();
    for number in WARM_UP..WARM_UP + count {
        work(number).await?;
    }
    Ok(before.until_now())
}

/// Counters before the work.
struct Before {
    written: Option<u64>,
    asked: u64,
}

impl Before {
    fn now() -> Self {
        let written = written();
        Self { written, asked: asked() }
    }

    fn until_now(self) -> Counted {
        let allocations = asked() - self.asked;
        let written = written().zip(self.written).map(|(after, before)| after - before);
        Counted { allocations, written }
    }
}

/// Allocations so far.
fn asked() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}

/// Bytes that this process wrote.
fn written() -> Option<u64> {
    let counters = fs::read_to_string("/proc/self/io").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("wchar: "))?.trim().parse().ok()
}
