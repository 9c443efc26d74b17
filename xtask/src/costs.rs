//! Counts the cost of single operations (instructions, allocations, bytes written, syncs) and compares it with the
//! recorded cost. No clock is involved, so the result does not depend on the load of the machine.

mod baseline;
mod count;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::bench::results;
use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace, emptied};
use baseline::{Baseline, Costs};
use count::Tools;

/// The recorded costs.
const BASELINE: &str = "rigs/costs/baseline.json";

/// An operation of `attestry-costs`.
struct Operation {
    name: &'static str,
    about: &'static str,
    /// Repetitions in two runs; their difference is the cost, so setup cancels out.
    few: u64,
    many: u64,
    /// Entries per repetition.
    each: u64,
    /// Whether syncs are counted.
    traced: bool,
}

const OPERATIONS: &[Operation] = &[
    Operation::pure("hash", "hash of 2 KB, in software", 20, 220),
    Operation::pure("serialise", "serialise one entry", 100, 1_100),
    Operation::pure("parse", "parse one line", 100, 1_100),
    Operation::pure("id", "create an id", 100, 1_100),
    Operation::pure("encrypt", "encrypt 2 KB, in software", 20, 220),
    Operation::pure("decrypt", "decrypt 2 KB, in software", 20, 220),
    Operation::pure("log", "`log` of short texts to a null backend", 100, 1_100),
    Operation::pure("memory", "`log` to memory", 100, 1_100),
    Operation::pure("buffered", "`log` to a file, buffered", 100, 1_100),
    Operation { traced: true, ..Operation::pure("durable", "`log` to a file, durable", 50, 350) },
    Operation {
        traced: true,
        each: 100,
        ..Operation::pure("batch", "`log_batch` of 100, per entry", 5, 45)
    },
    Operation::pure("get", "`read` by id, from sealed segments", 100, 1_100),
    Operation { each: 2_000, ..Operation::pure("scan", "`scan`, per entry", 1, 6) },
    Operation { traced: true, ..Operation::pure("delete", "`delete` of one entry", 5, 105) },
    Operation::pure("open", "open with indexes, and count", 2, 12),
];

impl Operation {
    const fn pure(name: &'static str, about: &'static str, few: u64, many: u64) -> Self {
        Self { name, about, few, many, each: 1, traced: false }
    }
}

/// Fails if an operation costs more than recorded. `--renew` records the costs and writes their table.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let renew = match arguments {
        [] => false,
        ["--renew"] => true,
        _ => return Err("costs takes --renew or nothing".into()),
    };
    let program = workspace.build_program("attestry-costs", "attestry-costs", Profile::Release)?;
    let tools = Tools::find()?;
    if renew && !tools.all() {
        return Err("recording needs valgrind and strace".into());
    }
    let measured = measure(&tools, &program, &emptied(workspace.target.join("costs"))?)?;
    let baseline = Baseline::read(&workspace.path(BASELINE))?;
    if renew {
        let with = json!({"rustc": rustc()?, "valgrind": tools.valgrind});
        let renewed = baseline.renewed(measured, &with);
        renewed.write(&workspace.path(BASELINE))?;
        results::write(workspace, "costs", &table(&renewed)?)?;
        println!("  wrote {BASELINE} and {}", results::path("costs"));
        return Ok(());
    }
    let found = baseline.compare(&measured);
    found.lower.iter().for_each(|line| println!("  lower than recorded: {line}"));
    if found.higher.is_empty() {
        println!("  {} operations within the recorded costs", measured.len());
        return Ok(());
    }
    Err(format!(
        "{} cost more than {BASELINE} says, which was recorded with {}; this is {}:\n\n  {}\n\n\
         If that is intended, record it and give the reason in the commit:\n\n    \
         cargo xtask costs --renew",
        if found.higher.len() == 1 { "this does" } else { "these do" },
        baseline.taken_with("rustc"),
        rustc()?,
        found.higher.join("\n  ")
    )
    .replace("this does cost", "this costs")
    .replace("these do cost", "these cost")
    .into())
}

/// Counts all operations, two at a time.
fn measure(tools: &Tools, program: &Path, folder: &Path) -> Result<Costs> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || {
        while let Some(operation) = OPERATIONS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let costs = count::costs(tools, program, folder, operation)
                .map_err(|error| format!("{}: {error}", operation.name));
            let stop = costs.is_err();
            if let Ok(mut found) = found.lock() {
                found.push((operation.name, costs));
            }
            if stop {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let mut costs = Costs::new();
    for (name, found) in found.into_inner().map_err(|_| "a measurement panicked")? {
        costs.insert(name.to_owned(), found?);
    }
    Ok(costs)
}

fn rustc() -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(Cmd::new(program).arg("--version").read()?.trim().to_owned())
}

/// The recorded costs in Markdown.
fn table(baseline: &Baseline) -> Result<String> {
    let mut text = format!(
        "\n`cargo xtask costs --renew`: {}, {}.\n\n\
         | what | instructions | allocations | bytes written | syncs |\n\
         | --- | --- | --- | --- | --- |\n",
        baseline.taken_with("rustc"),
        baseline.taken_with("valgrind"),
    );
    for operation in OPERATIONS {
        let cost = |kind: &str| match baseline.cost(operation.name, kind) {
            None => String::new(),
            Some(value) => shown(value),
        };
        let [instructions, allocations, written, syncs] =
            ["instructions", "allocations", "written", "syncs"].map(cost);
        writeln!(
            text,
            "| {} | {instructions} | {allocations} | {written} | {syncs} |",
            operation.about
        )?;
    }
    text.push('\n');
    Ok(text)
}

/// Without decimals if large, with two if small.
fn shown(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// A count as recorded, rounded to two decimals.
fn rounded(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_distinct_and_repeat_more_often_in_the_second_run() {
        for (index, operation) in OPERATIONS.iter().enumerate() {
            assert!(operation.few < operation.many && operation.each > 0, "{}", operation.name);
            assert!(OPERATIONS[..index].iter().all(|other| other.name != operation.name));
        }
    }

    #[test]
    fn every_operation_is_recorded_and_in_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../rigs/costs/baseline.json");
        let baseline = Baseline::read(Path::new(path)).unwrap();
        let table = table(&baseline).unwrap();
        for operation in OPERATIONS {
            assert!(baseline.cost(operation.name, "instructions").is_some(), "{}", operation.name);
            assert!(table.contains(operation.about), "{table}");
        }
        assert_eq!(
            (shown(1234.4), shown(3.0), shown(0.014)),
            ("1234".into(), "3".into(), "0.01".into())
        );
    }
}
