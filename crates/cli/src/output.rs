//! The standard output, and entries as lines.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use attestry::{AuditEntry, line};
use serde::Serialize;

use crate::errors::Failure;

/// The standard output, buffered; [`flush`](Self::flush) before the command waits for long.
pub(crate) struct Stdout(BufWriter<StdoutLock<'static>>);

impl Stdout {
    pub(crate) fn open() -> Self {
        Self(BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(Failure::stdout)
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::stdout)
    }

    /// `value` as JSON for people and programs: indented, then a line break.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.0, value)
            .map_err(|error| Failure::stdout(error.into()))?;
        self.bytes(b"\n")
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::stdout)
    }
}

/// `entry` as it is stored: one line, with its line break. Where the store holds what cannot be
/// written again (a NaN latency of the Python package's), the same with `null` in its place.
pub(crate) fn stored_line(entry: &AuditEntry) -> Vec<u8> {
    line::encode(entry).unwrap_or_else(|_| {
        let mut line = entry.to_value().to_string().into_bytes();
        line.push(b'\n');
        line
    })
}
