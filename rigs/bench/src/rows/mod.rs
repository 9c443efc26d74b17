//! What is measured, one module for each question.

mod buffered;
mod cleanup;
mod cpu;
mod delete;
mod durable;
mod encrypt;
mod evidence;
mod get;
mod latency;
mod limits;
mod memory;
mod open;
mod python;
mod scan;
mod single;
mod sizes;
mod writers;

use std::fmt::Write as _;

use crate::Result;
use crate::report::Row;
use crate::rig::Rig;

/// One question, whose answer may be several rows of the table.
pub(crate) struct Kind {
    /// What `--row` takes.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    /// Measures it.
    pub(crate) run: fn(&mut Rig) -> Result<Vec<Row>>,
}

/// In this order; those that use up the store come last.
const KINDS: &[Kind] = &[
    Kind { name: "limits", about: "what the machine does in plain loops", run: limits::run },
    Kind { name: "durable", about: "durable log from many tasks", run: durable::run },
    Kind { name: "writers", about: "durable log by number of writers", run: writers::run },
    Kind { name: "latency", about: "durable log when calls come at a rate", run: latency::run },
    Kind { name: "single", about: "durable log, one caller", run: single::run },
    Kind {
        name: "buffered",
        about: "buffered log, one caller, beside tracing-appender",
        run: buffered::run,
    },
    Kind { name: "cpu", about: "what log costs beside its hash and its line", run: cpu::run },
    Kind { name: "encrypt", about: "encrypting 2 KB, beside its parts", run: encrypt::run },
    Kind {
        name: "evidence",
        about: "what a tree of the lines costs, and verifying it",
        run: evidence::run,
    },
    Kind { name: "python", about: "beside the Python package", run: python::run },
    Kind { name: "sizes", about: "cost by size of the store", run: sizes::run },
    Kind { name: "get", about: "an entry by its id", run: get::run },
    Kind { name: "scan", about: "a hundredth of the time", run: scan::run },
    Kind { name: "open", about: "opening a store, with and without indexes", run: open::run },
    Kind { name: "delete", about: "counting, and deleting one entry", run: delete::run },
    Kind { name: "memory", about: "writing and scanning at once", run: memory::run },
    Kind { name: "cleanup", about: "deleting the expired half", run: cleanup::run },
];

/// The rows of these names, or all.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Kind>> {
    if let Some(unknown) = names.iter().find(|name| KINDS.iter().all(|kind| kind.name != **name)) {
        return Err(format!("there is no row {unknown:?}; the rows are\n{}", list()).into());
    }
    let wanted = |kind: &&Kind| names.is_empty() || names.iter().any(|name| name == kind.name);
    Ok(KINDS.iter().filter(wanted).collect())
}

/// All names with what they are about.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for kind in KINDS {
        let _ = writeln!(text, "  {:10} {}", kind.name, kind.about);
    }
    text
}
