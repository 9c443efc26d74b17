//! What single operations cost, counted and not timed, beside what they cost when that was last
//! recorded: instructions, allocations, bytes written, syncs. A clock has no part in it, so it holds
//! on a busy machine.

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

/// Where what it cost is recorded.
const BASELINE: &str = "rigs/costs/baseline.json";

/// One operation that `attestry-costs` knows.
struct Operation {
    name: &'static str,
    about: &'static str,
    /// It is done so often in one run and so often in another; the difference is what counts.
    few: u64,
    many: u64,
    /// How many entries one time is about.
    each: u64,
    /// Whether it is to be seen what it asks of the system.
    traced: bool,
}

const OPERATIONS: &[Operation] = &[
    Operation::pure("hash", "hash of 2 KB, without the hardware for it", 20, 220),
    Operation::pure("serialise", "serialise one entry", 100, 1_100),
    Operation::pure("parse", "parse one line", 100, 1_100),
    Operation::pure("id", "make an id", 100, 1_100),
    Operation::pure("encrypt", "encrypt 2 KB, as above", 20, 220),
    Operation::pure("decrypt", "decrypt that, as above", 20, 220),
    Operation::pure("log", "`log` of short texts, to nowhere", 100, 1_100),
    Operation::pure("memory", "the same, to memory", 100, 1_100),
    Operation::pure("buffered", "the same, to a file, buffered", 100, 1_100),
    Operation {
        traced: true,
        ..Operation::pure("durable", "the same, to a file, durable", 50, 350)
    },
    Operation {
        traced: true,
        each: 100,
        ..Operation::pure("batch", "`log_batch` of 100, an entry of it", 5, 45)
    },
    Operation::pure("get", "`read` by id, from sealed segments", 100, 1_100),
    Operation { each: 2_000, ..Operation::pure("scan", "`scan`, an entry of it", 1, 6) },
    Operation { traced: true, ..Operation::pure("delete", "`delete` of one entry", 5, 105) },
    Operation::pure("open", "open with indexes, and count", 2, 12),
];

impl Operation {
    const fn pure(name: &'static str, about: &'static str, few: u64, many: u64) -> Self {
        Self { name, about, few, many, each: 1, traced: false }
    }
}

/// Measures, and fails when anything costs more than recorded. With `--renew` what was measured is
/// recorded, and written into the page on performance.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let renew = match arguments {
        [] => false,
        ["--renew"] => true,
        _ => return Err("costs takes --renew or nothing".into()),
    };
    // Together with the program, which the demo builds: neither then builds for itself alone.
    let packages = ["attestry-cli", "attestry-costs"];
    let program = workspace.build_program(&packages, "attestry-costs", Profile::Release)?;
    let tools = Tools::find()?;
    if renew && !tools.all() {
        return Err("recording needs valgrind and strace; neither may be missing".into());
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
    found.cheaper.iter().for_each(|line| println!("  cheaper than recorded: {line}"));
    if found.dearer.is_empty() {
        println!("  {} operations cost no more than recorded", measured.len());
        return Ok(());
    }
    Err(format!(
        "{} cost more than {BASELINE} says, which was recorded with {}; this is {}:\n\n  {}\n\n\
         Where that is what you want, record it and say why in the commit:\n\n    \
         cargo xtask costs --renew",
        if found.dearer.len() == 1 { "this does" } else { "these do" },
        baseline.taken_with("rustc"),
        rustc()?,
        found.dearer.join("\n  ")
    )
    .replace("this does cost", "this costs")
    .replace("these do cost", "these cost")
    .into())
}

/// Each operation's costs, two operations at a time.
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

/// What is recorded, in Markdown.
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

/// Whole where it is large, with two digits behind the point where it is small.
fn shown(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// A count as it is kept: small fractions that say nothing are cut off.
fn rounded(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_differ_and_are_done_more_often_the_second_time() {
        for (place, operation) in OPERATIONS.iter().enumerate() {
            assert!(operation.few < operation.many && operation.each > 0, "{}", operation.name);
            assert!(OPERATIONS[..place].iter().all(|other| other.name != operation.name));
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
