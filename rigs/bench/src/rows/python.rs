//! `attestry import`, as a whole process, compared with `log` of the Python package.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::buffered;
use crate::report::{Row, grouped};
use crate::rig::{self, Rig};
use crate::stats::{Figure, rate};
use crate::workload::Workload;
use crate::{Result, plain, remove};

/// Interactions per side. The rate of the package does not depend on it.
const FEW: u64 = 4_000;
const MANY: u64 = 100_000;

/// The batches of `import`.
const ITS_LINES: &str = "write and fdatasync of its lines";

const CONTENTS: [&str; 3] = ["hash", "plain", "encrypted"];

/// The Python script.
const SCRIPT: &str = include_str!("../../python/log_rate.py");

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let Some((python, attestry)) = rig.python.clone() else {
        eprintln!("  left out: it needs --python and --attestry, which `cargo xtask bench` gives");
        return Ok(Vec::new());
    };
    let side = Side {
        python,
        attestry,
        store: rig.path("python"),
        key: rig.path("python.key"),
        few: interactions(&rig.path("few.jsonl"), &rig.workload, FEW)?,
        many: interactions(&rig.path("many.jsonl"), &rig.workload, MANY)?,
    };
    remove(&side.key)?;
    finished(Command::new(&side.attestry).args(["key", "generate", "--out"]).arg(&side.key))?;
    let mut samples: [[Vec<f64>; 5]; 3] = Default::default();
    let mut lone = Vec::new();
    for _ in 0..rig.rounds.min(3) {
        for (samples, content) in samples.iter_mut().zip(CONTENTS) {
            samples[0].push(side.log(content)?);
            for (place, file, count) in [(1, &side.few, FEW), (3, &side.many, MANY)] {
                let (imported, written) = side.import(file, count, content)?;
                samples[place].push(imported);
                samples[place + 1].push(written);
            }
        }
        lone.push(rate(MANY, buffered::log(rig, usize::try_from(MANY)?)?));
    }
    let mut rows = Vec::new();
    for (samples, content) in samples.iter().zip(CONTENTS) {
        let theirs = Figure::of(&samples[0], "entries/s");
        for (samples, count) in samples[1..].chunks_exact(2).zip([FEW, MANY]) {
            let what = format!("import of {} interactions, {content}, durable", grouped(count));
            let row = Row::new("python", what, Figure::of(&samples[0], "entries/s"))
                .against("Python log", theirs.clone())
                .limit(ITS_LINES, Some(&Figure::of(&samples[1], "entries/s")));
            rows.push(row.ratio_at_least(100.0));
        }
    }
    rows.push(
        Row::new("python", "buffered log, one caller, hash", Figure::of(&lone, "entries/s"))
            .against("Python log", Figure::of(&samples[0][0], "entries/s"))
            .ratio_at_least(100.0),
    );
    Ok(rows)
}

/// Both programs and their files.
struct Side {
    python: PathBuf,
    attestry: PathBuf,
    store: PathBuf,
    key: PathBuf,
    few: PathBuf,
    many: PathBuf,
}

impl Side {
    /// Interactions per second of the package.
    fn log(&self, content: &str) -> Result<f64> {
        remove(&self.store)?;
        let mut command = Command::new(&self.python);
        // The package calls utcnow(), which is deprecated and warns on each call.
        command.args(["-B", "-W", "ignore::DeprecationWarning", "-c", SCRIPT]);
        command.arg(&self.store).arg(&self.few).args(["--content", content]);
        let printed: Value = serde_json::from_slice(&finished(&mut command)?)?;
        let numbers = (printed["count"].as_f64(), printed["seconds"].as_f64());
        match numbers {
            (Some(count), Some(seconds)) if count > 0.0 => Ok(count / seconds),
            _ => Err(format!("the script printed {printed}").into()),
        }
    }

    /// Interactions per second of `attestry import` as a whole process, and lines per second of a plain loop with the
    /// same lines.
    fn import(&self, file: &Path, count: u64, content: &str) -> Result<(f64, f64)> {
        remove(&self.store)?;
        let program = || rig::on_store(&self.attestry, &self.store);
        let mut command = program();
        if content == "encrypted" {
            command.arg("--key-file").arg(&self.key);
        }
        command.arg("import").arg(file);
        if content != "hash" {
            command.arg("--store-content");
        }
        let start = Instant::now();
        let ids = finished(&mut command)?;
        let took = start.elapsed();
        let printed = ids.iter().filter(|byte| **byte == b'\n').count() as u64;
        let stored = String::from_utf8(finished(program().arg("count"))?)?;
        let lines = crate::store::lines(&self.store)?;
        remove(&self.store)?;
        let written = plain::durable_lines(&self.store, &lines)?;
        remove(&self.store)?;
        if printed == count && stored.trim() == count.to_string() {
            Ok((rate(count, took), rate(count, written)))
        } else {
            Err(format!("{printed} ids and {} entries, not {count}", stored.trim()).into())
        }
    }
}

/// The output of the program; a failure is an error.
pub(super) fn finished(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed ({}): {said}", output.status).into())
}

/// A file with the first interactions, one per line.
fn interactions(path: &Path, workload: &Workload, count: u64) -> Result<PathBuf> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        let item = workload.item(usize::try_from(number)?);
        serde_json::to_writer(&mut file, &item.interaction())?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()?;
    Ok(path.to_path_buf())
}
