//! The machine's limits: plain loops on one thread, without a store.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use attestry::{hash_content, line};

use crate::Result;
use crate::stats::{micros, to_f64};
use crate::workload::Workload;

/// Lines per sync of R and the other stores.
pub(crate) const BATCH: usize = 1_000;

/// Lines stored before the measured `count`: creating files and page faults take tens of milliseconds, which a store
/// spends once a day.
pub(crate) fn warm_up(count: usize) -> usize {
    count.div_ceil(10)
}

/// A new file opened for appending.
pub(crate) fn append(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().append(true).create_new(true).open(path)?)
}

/// Hashes both texts, serialises, appends `batch` lines with one write and one `fdatasync`; with 1,000 lines this is R.
pub(crate) fn durable_batches(
    path: &Path,
    workload: &Workload,
    count: usize,
    batch: usize,
) -> Result<Duration> {
    let mut file = append(path)?;
    let mut buffer = Vec::with_capacity(1 << 20);
    let mut store = |count: usize| -> Result<Duration> {
        let start = Instant::now();
        for first in (0..count).step_by(batch) {
            buffer.clear();
            for number in first..(first + batch).min(count) {
                line::encode_into(&workload.entry(number), &mut buffer)?;
            }
            file.write_all(&buffer)?;
            file.sync_data()?;
        }
        Ok(start.elapsed())
    };
    store(warm_up(count))?;
    store(count)
}

/// Appends existing lines, 1,000 per write and `fdatasync`.
pub(crate) fn durable_lines(path: &Path, lines: &[u8]) -> Result<Duration> {
    let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    let batches: Vec<Vec<u8>> = lines.chunks(BATCH).map(<[_]>::concat).collect();
    let mut file = append(path)?;
    let mut store = |batches: &[Vec<u8>]| -> Result<Duration> {
        let start = Instant::now();
        for batch in batches {
            file.write_all(batch)?;
            file.sync_data()?;
        }
        Ok(start.elapsed())
    };
    store(&batches[..warm_up(batches.len())])?;
    store(&batches)
}

/// Hashes both texts, serialises, one write per line.
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

/// Microseconds of writing and syncing one line, `count` times.
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

/// Microseconds from the due time of each line until it is durable, where one thread only writes and syncs all due lines
/// in a loop. The lines are made in advance.
pub(crate) fn synced_when_due(
    file: &mut File,
    workload: &Workload,
    due: &[Duration],
) -> Result<Vec<f64>> {
    let lines: Vec<_> = (0..2_048).map(|number| workload.line(number)).collect::<Result<_>>()?;
    let (mut batch, mut latencies) = (Vec::new(), Vec::with_capacity(due.len()));
    let start = Instant::now();
    while let Some(&first) = due.get(latencies.len()) {
        thread::sleep(first.saturating_sub(start.elapsed()));
        let now = start.elapsed();
        let next = latencies.len();
        let end = next + due[next..].partition_point(|due| *due <= now);
        batch.clear();
        (next..end).for_each(|number| batch.extend_from_slice(&lines[number % lines.len()]));
        file.write_all(&batch)?;
        file.sync_data()?;
        let done = start.elapsed();
        latencies.extend(due[next..end].iter().map(|due| micros(done - *due)));
    }
    Ok(latencies)
}

/// The time to parse these lines in memory.
pub(crate) fn parse(lines: &[Vec<u8>]) -> Result<Duration> {
    let start = Instant::now();
    for line in lines {
        black_box(line::decode(line)?);
    }
    Ok(start.elapsed())
}

/// The mean time of one of `count` items, in microseconds.
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
