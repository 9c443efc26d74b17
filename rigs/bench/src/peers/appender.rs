//! tracing-appender, the usual log appender of Rust services. It does the same job up to the line, on one thread, and is
//! done once all lines are handed to the operating system.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use attestry::line;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use crate::workload::Workload;
use crate::{Result, fresh_folder, remove};

/// The time for `count` interactions in a new folder.
pub(crate) type Run = fn(&Path, &Workload, usize) -> Result<Duration>;

/// The file of both variants.
const FILE: &str = "lines.jsonl";

/// `non_blocking`: the caller queues a copy of the line, another thread writes it. Lossless.
pub(crate) fn on_a_thread(folder: &Path, workload: &Workload, count: usize) -> Result<Duration> {
    measured(folder, count, |file| {
        let (mut queue, guard) = NonBlockingBuilder::default().lossy(false).finish(file);
        lines(&mut queue, workload, count)?;
        drop((queue, guard)); // returns once everything is written
        Ok(())
    })
}

/// The rolling file alone: the caller writes the line.
pub(crate) fn rolling(folder: &Path, workload: &Workload, count: usize) -> Result<Duration> {
    measured(folder, count, |mut file| lines(&mut file, workload, count))
}

fn lines(out: &mut impl Write, workload: &Workload, count: usize) -> Result<()> {
    let mut buffer = Vec::with_capacity(1 << 10);
    for number in 0..count {
        buffer.clear();
        line::encode_into(&workload.entry(number), &mut buffer)?;
        out.write_all(&buffer)?;
    }
    Ok(())
}

fn measured(
    folder: &Path,
    count: usize,
    work: impl FnOnce(RollingFileAppender) -> Result<()>,
) -> Result<Duration> {
    fresh_folder(folder.to_path_buf())?;
    let start = Instant::now();
    work(RollingFileAppender::new(Rotation::NEVER, folder, FILE))?;
    let took = start.elapsed();
    let written = fs::read(folder.join(FILE))?;
    remove(folder)?;
    let found = written.iter().filter(|byte| **byte == b'\n').count();
    if found == count {
        Ok(took)
    } else {
        Err(format!("tracing-appender wrote {found} lines, not {count}").into())
    }
}
