//! Counts the cost of one operation with the program itself, valgrind and strace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Operation;
use crate::cmd::{Cmd, Result};

/// The available tools.
#[derive(Debug)]
pub(super) struct Tools {
    /// The version of valgrind, if installed.
    pub(super) valgrind: Option<String>,
    /// Whether strace is installed and permitted.
    strace: bool,
}

impl Tools {
    /// Finds them, and reports which are missing; an error with `ATTESTRY_REQUIRE=all`.
    pub(super) fn find() -> Result<Self> {
        let valgrind = Cmd::new("valgrind").arg("--version").read();
        let valgrind = valgrind.ok().map(|version| version.trim().to_owned());
        let strace = Cmd::new("strace").args(["-o", "/dev/null", "true"]).read().is_ok();
        let mut missing = Vec::new();
        if valgrind.is_none() {
            missing.push("valgrind is not installed: instructions are not counted");
        }
        if !strace {
            missing.push("strace is not installed or not permitted: syncs are not counted");
        }
        let required = std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all");
        if required && !missing.is_empty() {
            return Err(format!("ATTESTRY_REQUIRE=all: {}", missing.join("; ")).into());
        }
        missing.iter().for_each(|reason| println!("  skipped: {reason}"));
        Ok(Self { valgrind, strace })
    }

    /// Whether all tools are available.
    pub(super) fn all(&self) -> bool {
        self.valgrind.is_some() && self.strace
    }
}

/// The costs of an operation, by kind. The error is a text, since it crosses threads.
pub(super) fn costs(
    tools: &Tools,
    program: &Path,
    folder: &Path,
    operation: &Operation,
) -> std::result::Result<BTreeMap<&'static str, f64>, String> {
    let run = Run { program, folder, operation };
    run.costs(tools).map_err(|error| error.to_string())
}

struct Run<'a> {
    program: &'a Path,
    folder: &'a Path,
    operation: &'a Operation,
}

impl Run<'_> {
    fn costs(&self, tools: &Tools) -> Result<BTreeMap<&'static str, f64>> {
        let mut costs = BTreeMap::new();
        let many = self.operation.many;
        let printed = self.with(Cmd::new(self.program), many).read()?;
        let counted: Value = serde_json::from_str(&printed)?;
        for kind in ["allocations", "written"] {
            if let Some(count) = counted[kind].as_f64() {
                costs.insert(kind, self.for_one(count, many));
            }
        }
        if tools.valgrind.is_some() {
            costs.insert("instructions", self.difference(|count| self.instructions(count))?);
        }
        if tools.strace && self.operation.traced {
            costs.insert("syncs", self.difference(|count| self.syncs(count))?);
        }
        Ok(costs)
    }

    /// Adds the arguments for `count` repetitions. The path of the store is relative, because longer paths cost more
    /// instructions.
    fn with(&self, command: Cmd, count: u64) -> Cmd {
        let store = format!("{}-{count:04}", self.operation.name);
        command.arg(self.operation.name).arg(count.to_string()).arg(store).folder(self.folder)
    }

    /// The cost per entry of `times` repetitions.
    fn for_one(&self, whole: f64, times: u64) -> f64 {
        whole / as_f64(times * self.operation.each)
    }

    /// The cost per entry without setup and shutdown.
    fn difference(&self, count: impl Fn(u64) -> Result<u64>) -> Result<f64> {
        let Operation { few, many, .. } = *self.operation;
        let (of_few, of_many) = (count(few)?, count(many)?);
        Ok(self.for_one(as_f64(of_many.saturating_sub(of_few)), many - few))
    }

    fn instructions(&self, count: u64) -> Result<u64> {
        let file = self.folder.join(format!("{}-{count}.callgrind", self.operation.name));
        let valgrind = Cmd::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(self.program);
        self.with(valgrind, count).read()?;
        instructions(&fs::read_to_string(file)?).ok_or_else(|| "callgrind reports no total".into())
    }

    fn syncs(&self, count: u64) -> Result<u64> {
        let file = self.folder.join(format!("{}-{count}.strace", self.operation.name));
        let strace = Cmd::new("strace")
            .args(["-f", "-qq", "-e", "trace=fdatasync,fsync,msync,sync_file_range"])
            .args(["-e", "signal=none", "-o"])
            .arg(&file)
            .arg(self.program);
        self.with(strace, count).read()?;
        Ok(syncs(&String::from_utf8_lossy(&fs::read(file)?)))
    }
}

/// All instructions of a run, from callgrind's output file.
fn instructions(file: &str) -> Option<u64> {
    let total = file.lines().find_map(|line| {
        line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: "))
    })?;
    total.split_whitespace().next()?.parse().ok()
}

/// The number of syncs in a trace. An interrupted one appears twice, the second time as resumed.
fn syncs(trace: &str) -> u64 {
    let calls = ["fdatasync(", "fsync(", "msync(", "sync_file_range("];
    let begins = |line: &&str| {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        calls.iter().any(|name| call.starts_with(name))
    };
    trace.lines().filter(begins).count() as u64
}

/// Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_found_in_callgrinds_file() {
        let file = "# callgrind format\nversion: 1\npid: 7\ncmd:  x\npart: 1\n\nevents: Ir\n\
                    summary: 123456789\n\nob=(1) x\nfn=(1) main\n1 77\n\ntotals: 123456788\n";
        assert_eq!(instructions(file), Some(123_456_789));
        assert_eq!(instructions("events: Ir\ntotals: 42\n"), Some(42));
        assert_eq!(instructions("events: Ir\n"), None);
    }

    #[test]
    fn interrupted_syncs_count_once() {
        let trace = "10 fdatasync(5 <unfinished ...>\n11 fsync(6) = 0\n\
                     10 <... fdatasync resumed>) = 0\n10  fdatasync(5) = -1 EIO (Input/output error)\n";
        assert_eq!(syncs(trace), 3);
    }
}
