//! `attestry import` of other programs' formats, compared with that of our own.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::python::finished;
use crate::exports::Export;
use crate::report::{Row, grouped};
use crate::rig::{self, Rig};
use crate::stats::{Figure, to_f64};
use crate::{Result, remove};

/// About 400 MB of each format.
const CALLS: u64 = 200_000;

/// Bytes per second in MB, and peak resident memory in MiB.
type Sample = (f64, f64);

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let Some(attestry) = rig.attestry.clone() else {
        eprintln!("  left out: it needs --attestry, which `cargo xtask bench` gives");
        return Ok(Vec::new());
    };
    let formats = [Export::Own, Export::OTHERS[0], Export::OTHERS[1]];
    let file = |export: Export| rig.path(&format!("{export:?}.jsonl"));
    for export in formats {
        let mut out = BufWriter::new(File::create(file(export))?);
        export.write(&rig.workload, CALLS, &mut out)?;
        out.flush()?;
        out.into_inner()?.sync_all()?;
    }
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for _ in 0..rig.rounds.min(3) {
        for (samples, export) in samples.iter_mut().zip(formats) {
            samples.push(import(&attestry, &file(export), &rig.path("import"))?);
        }
    }
    for export in formats {
        remove(&file(export))?;
    }
    let rates = |samples: &[Sample]| {
        let rates: Vec<f64> = samples.iter().map(|(rate, _)| *rate).collect();
        Figure::of(&rates, "MB/s")
    };
    let [own, others @ ..] = &samples;
    let row = |(export, samples): (Export, &Vec<Sample>)| {
        let peak = samples.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
        let what = format!("{}, {} calls, hash, durable", export.name(), grouped(CALLS));
        Row::new("import", what, rates(samples))
            .against(Export::Own.name(), rates(own))
            .ratio_at_least(0.5)
            .note(format!("peak resident memory {peak:.0} MiB"))
    };
    Ok(Export::OTHERS.into_iter().zip(others).map(row).collect())
}

/// Imports `file` into a new store.
fn import(attestry: &Path, file: &Path, store: &Path) -> Result<Sample> {
    remove(store)?;
    let program = || rig::on_store(attestry, store);
    let mut command = program();
    command.arg("import").arg(file).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let mut process = command.stderr(Stdio::null()).spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        peak = peak.max(peak_mib(process.id()).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = start.elapsed();
    let stored = String::from_utf8(finished(program().arg("count"))?)?;
    remove(store)?;
    if !status.success() || stored.trim() != CALLS.to_string() {
        return Err(format!("{command:?} ended with {status} and {} entries", stored.trim()).into());
    }
    Ok((to_f64(file.metadata()?.len()) / 1e6 / took.as_secs_f64(), peak))
}

/// Peak resident memory of a process that runs.
fn peak_mib(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
