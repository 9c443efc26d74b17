//! Keeps refused lines: `--rejects FILE`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::prepare::{Line, Refused};
use crate::errors::Failure;

/// Two files that are appended to: the lines as they came, and beside it, with `.reasons` added to the name,
/// one JSON object for each with the number of the line and the reason.
pub(super) struct Rejects {
    path: PathBuf,
    lines: File,
    reasons: File,
}

impl Rejects {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
            file.map_err(|error| failed("open", path, error))
        };
        let mut reasons = path.as_os_str().to_owned();
        reasons.push(".reasons");
        let (lines, reasons) = (open(path)?, open(Path::new(&reasons))?);
        Ok(Self { path: path.to_path_buf(), lines, reasons })
    }

    /// Keeps the refused ones of `all`, durably.
    pub(super) fn keep(&mut self, all: &[Line]) -> Result<(), Failure> {
        let (mut lines, mut reasons) = (Vec::new(), Vec::new());
        for Line { number, outcome } in all {
            let Err(Refused { reason, text }) = outcome else { continue };
            if let Some(text) = text {
                lines.extend_from_slice(text);
                lines.push(b'\n');
            }
            let kept = text.is_some();
            let mut object = json!({ "line": number, "reason": reason });
            if !kept {
                object["kept"] = false.into(); // too long
            }
            reasons.extend_from_slice(object.to_string().as_bytes());
            reasons.push(b'\n');
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let mut write = || -> io::Result<()> {
            self.lines.write_all(&lines)?;
            self.reasons.write_all(&reasons)?;
            // Not possible for a pipe or a terminal.
            let sync = |file: &File| match file.metadata()?.is_file() {
                true => file.sync_data(),
                false => Ok(()),
            };
            sync(&self.lines)?;
            sync(&self.reasons)
        };
        write().map_err(|error| failed("write to", &self.path, error))
    }
}

fn failed(action: &str, path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("cannot {action} {}", path.display())).caused_by(error)
}
