//! Standard output, and entries as JSON lines.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use attestry::{AuditEntry, AuditError, AuditLogger, line};
use serde::Serialize;

use crate::errors::Failure;

/// Buffered standard output. Call [`flush`](Self::flush) before waiting for input.
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

    /// Writes `value` as indented JSON and a line break.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.0, value)
            .map_err(|error| Failure::stdout(error.into()))?;
        self.bytes(b"\n")
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::stdout)
    }
}

/// The line of `entry`, with its line break. Values that JSON cannot express, such as a NaN latency
/// written by the Python package, become `null`.
pub(crate) fn encoded_line(entry: &AuditEntry) -> Vec<u8> {
    line::encode(entry).unwrap_or_else(|_| {
        let mut line = entry.to_value().to_string().into_bytes();
        line.push(b'\n');
        line
    })
}

/// `entry` with its content as plain text, after comparing it with the hashes of the entry.
pub(crate) fn decrypted(
    logger: &AuditLogger,
    mut entry: AuditEntry,
) -> Result<AuditEntry, AuditError> {
    let content = logger.decrypt_entry(&entry)?;
    entry.input_content = content.input;
    entry.output_content = content.output;
    Ok(entry)
}
