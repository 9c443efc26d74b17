//! The measurements, one module each.

mod buffered;
mod calls;
mod cleanup;
mod cpu;
mod delete;
mod durable;
mod encrypt;
mod evidence;
mod get;
mod import;
mod latency;
mod limits;
mod memory;
mod open;
mod python;
mod query;
mod scan;
mod serve;
mod single;
mod sizes;
mod writers;

use std::fmt::Write as _;

use crate::Result;
use crate::report::Row;
use crate::rig::Rig;

/// A measurement with one or more rows.
pub(crate) struct Kind {
    /// The name for `--row`.
    pub(crate) name: &'static str,
    /// A description.
    pub(crate) about: &'static str,
    /// Runs it.
    pub(crate) run: fn(&mut Rig) -> Result<Vec<Row>>,
}

/// In order; measurements that consume the store are last.
const KINDS: &[Kind] = &[
    Kind { name: "limits", about: "what the machine does in plain loops", run: limits::run },
    Kind { name: "durable", about: "durable log from many tasks", run: durable::run },
    Kind { name: "writers", about: "durable log by number of writers", run: writers::run },
    Kind { name: "calls", about: "durable calls with a start and an end", run: calls::run },
    Kind { name: "latency", about: "durable log with random arrivals", run: latency::run },
    Kind { name: "single", about: "durable log, one caller", run: single::run },
    Kind {
        name: "buffered",
        about: "buffered log, one caller, and tracing-appender",
        run: buffered::run,
    },
    Kind { name: "cpu", about: "CPU time of log, its hashes and its line", run: cpu::run },
    Kind { name: "encrypt", about: "encryption of 2 KB, and its parts", run: encrypt::run },
    Kind { name: "evidence", about: "cost of evidence, verification, proofs", run: evidence::run },
    Kind { name: "python", about: "the Python package", run: python::run },
    Kind { name: "import", about: "import of other programs' formats", run: import::run },
    Kind { name: "serve", about: "telemetry over HTTP", run: serve::run },
    Kind { name: "sizes", about: "cost by size of the store", run: sizes::run },
    Kind { name: "get", about: "an entry by its id", run: get::run },
    Kind { name: "scan", about: "scan of 1 % of the time span", run: scan::run },
    Kind { name: "query", about: "entries of a user, of a conversation", run: query::run },
    Kind { name: "open", about: "opening a store, with and without indexes", run: open::run },
    Kind { name: "delete", about: "counting, and deleting one entry", run: delete::run },
    Kind { name: "memory", about: "writing and scanning at once", run: memory::run },
    Kind { name: "cleanup", about: "deleting the expired half", run: cleanup::run },
];

/// The named measurements, or all.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Kind>> {
    if let Some(unknown) = names.iter().find(|name| KINDS.iter().all(|kind| kind.name != **name)) {
        return Err(format!("there is no row {unknown:?}; the rows are\n{}", list()).into());
    }
    let wanted = |kind: &&Kind| names.is_empty() || names.iter().any(|name| name == kind.name);
    Ok(KINDS.iter().filter(wanted).collect())
}

/// All names with descriptions.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for kind in KINDS {
        let _ = writeln!(text, "  {:10} {}", kind.name, kind.about);
    }
    text
}
