//! The machine's limits: plain loops on one thread, without a store around them.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use attestry::{hash_content, line};

use crate::Result;
use crate::stats::{micros, to_f64};
use crate::workload::Workload;

/// How many lines R and the peers store with one sync.
pub(crate) const BATCH: usize = 1_000;

/// A new file that every write goes to the end of.
pub(crate) fn append(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().append(true).create_new(true).open(path)?)
}

/// R: hash both texts, serialise, append 1,000 lines with one write and one `fdatasync`.
pub(crate) fn durable_batches(path: &Path, workload: &Workload, count: usize) -> Result<Duration> {
    let mut file = append(path)?;
    let mut buffer = Vec::with_capacity(1 << 20);
    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        buffer.clear();
        for number in first..(first + BATCH).min(count) {
            line::encode_into(&workload.entry(number), &mut buffer)?;
        }
        file.write_all(&buffer)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

/// Hash both texts, serialise, one write for each line.
pub(crate) fn buffered(path: &Path, workload: &Workload, count: usize) -> Result<Duration> {
    let mut file = append(path)?;
    let mut buffer = Vec::with_capacity(1 << 10);
    let start = Instant::now();
    for number in 0..count {
        buffer.clear();
        line::encode_into(&workload.entry(number), &mut buffer)?;
        file.write_all(&buffer)?;
    }
    Ok(start.elapsed())
}

/// The microseconds of each of `count` times one line written and synced.
pub(crate) fn synced_lines(file: &mut File, workload: &Workload, count: usize) -> Result<Vec<f64>> {
    let lines: Vec<_> = (0..count).map(|number| workload.line(number)).collect::<Result<_>>()?;
    lines
        .iter()
        .map(|line| {
            let start = Instant::now();
            file.write_all(line)?;
            file.sync_data()?;
            Ok(micros(start.elapsed()))
        })
        .collect()
}

/// How long it takes to parse these lines, which lie in memory.
pub(crate) fn parse(lines: &[Vec<u8>]) -> Result<Duration> {
    let start = Instant::now();
    for line in lines {
        black_box(line::decode(line)?);
    }
    Ok(start.elapsed())
}

/// What one of `count` takes on average, in microseconds.
pub(crate) fn each(count: usize, mut work: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for number in 0..count {
        work(number)?;
    }
    Ok(micros(start.elapsed()) / to_f64(count as u64))
}

/// Hashes both texts of an interaction.
pub(crate) fn hash(workload: &Workload, number: usize) {
    let item = workload.item(number);
    black_box(hash_content(&item.input));
    black_box(hash_content(&item.output));
}
