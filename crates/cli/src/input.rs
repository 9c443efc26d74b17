//! Input files and standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::errors::Failure;
use crate::format::{Detected, Records};
use crate::text::{escaped, stderr_line};

/// An open input.
pub(crate) struct Input {
    pub(crate) reader: Box<dyn Read + Send>,
    /// Name in messages.
    pub(crate) name: String,
    /// Length in bytes, if it is known.
    pub(crate) length: Option<u64>,
    /// The format of its records, once it is recognised.
    pub(crate) detected: Detected,
}

/// Whether `path` means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Input {
    /// Opens the file at `path`, or standard input if it is `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if is_stdin(path) {
            let name = "standard input".to_owned();
            let detected = Detected::default();
            return Ok(Self { reader: Box::new(io::stdin()), name, length: None, detected });
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cannot_read(&name, error))?;
        let metadata = file.metadata().map_err(|error| cannot_read(&name, error))?;
        if metadata.is_dir() {
            return Err(cannot_read(&name, io::ErrorKind::IsADirectory.into()));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(file), name, length, detected: Detected::default() })
    }

    /// [`open`](Self::open) for records: compressed files are decompressed, and files of another format are
    /// refused. The format of standard input is recognised when it is read.
    pub(crate) fn open_records(path: &Path) -> Result<Self, Failure> {
        let Self { reader, name, length, .. } = Self::open(path)?;
        let mut reader = Records::new(reader);
        let mut length = length;
        if !is_stdin(path) {
            reader.recognise().map_err(|error| cannot_read(&name, error))?;
            if reader.is_empty() {
                stderr_line(format_args!("warning: {} is empty", escaped(&name)));
            }
            if reader.is_compressed() {
                length = None;
            }
        }
        let detected = reader.detected();
        Ok(Self { reader: Box::new(reader), name, length, detected })
    }

    /// Reads the whole input, at most `limit` bytes.
    pub(crate) fn read_text(self, limit: usize) -> Result<String, Failure> {
        let mut content = Vec::new();
        let read = self.reader.take(limit as u64 + 1).read_to_end(&mut content);
        if read.map_err(|error| cannot_read(&self.name, error))? > limit {
            return Err(Failure::new(format!("{} has more than {limit} bytes", self.name)));
        }
        String::from_utf8(content).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            Failure::new(format!("{} is not UTF-8 text: invalid byte at {offset}", self.name))
        })
    }
}

pub(crate) fn cannot_read(name: &str, error: io::Error) -> Failure {
    Failure::new(format!("cannot read {name}")).caused_by(error)
}
