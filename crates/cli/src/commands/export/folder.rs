//! The folder that is exported to.
//!
//! A file INCOMPLETE.json marks an export that has not ended, and records its conditions. It is removed
//! once everything is on stable storage.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use attestry::{Cursor, EntryId, Query, line};
use serde::{Deserialize, Serialize};

use crate::errors::Failure;

const MARKER: &str = "INCOMPLETE.json";
const ENTRIES: &str = "entries.jsonl";

/// What is exported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) query: Query,
    pub(super) with_proofs: bool,
}

pub(super) struct Folder {
    path: PathBuf,
    plan: Plan,
    entries: BufWriter<File>,
    lines: u64,
    /// After the last exported entry.
    cursor: Option<Cursor>,
    /// The exported entries of the same timestamp.
    last_ids: Vec<EntryId>,
}

impl Folder {
    pub(super) fn create(path: &Path, plan: Plan) -> Result<Self, Failure> {
        DirBuilder::new().mode(0o700).create(path).map_err(|error| {
            Failure::new(format!("cannot create the folder {}", path.display()))
                .caused_by(error)
                .hint("--out must name a new folder in an existing folder; --resume continues an export")
        })?;
        let marker = serde_json::to_vec(&plan).map_err(|error| cannot_write(path, error.into()))?;
        write(&path.join(MARKER), &marker)?;
        let file = path.join(ENTRIES);
        let entries = private().create_new(true).append(true).open(&file);
        let entries = BufWriter::new(entries.map_err(|error| cannot_write(&file, error))?);
        let path = path.to_owned();
        Ok(Self { path, plan, entries, lines: 0, cursor: None, last_ids: Vec::new() })
    }

    /// Continues an incomplete export. Removes a last line that was not written as a whole.
    pub(super) fn resume(path: &Path) -> Result<Self, Failure> {
        let marker = path.join(MARKER);
        let plan = fs::read(&marker).map_err(|error| {
            Failure::new(format!("cannot read {}", marker.display()))
                .caused_by(error)
                .hint("a complete export has no such file; export to a new folder")
        })?;
        let plan = serde_json::from_slice(&plan).map_err(|error| {
            Failure::new(format!("{} is damaged", marker.display()))
                .caused_by(error)
                .hint("remove the folder and export again")
        })?;
        let file = path.join(ENTRIES);
        let mut exported = Lines::open(&file)?;
        let (mut cursor, mut last_ids, mut lines) = (None, Vec::new(), 0);
        while let Some(bytes) = exported.next_line()? {
            let entry = line::decode(bytes).map_err(|error| {
                Failure::new(format!("line {} of {}: {error}", lines + 1, file.display()))
                    .hint("remove the folder and export again")
            })?;
            lines += 1;
            let at = Cursor::from(&entry);
            if cursor.as_ref().is_none_or(|last: &Cursor| last.timestamp != at.timestamp) {
                last_ids.clear();
            }
            last_ids.push(entry.id);
            cursor = Some(at);
        }
        let entries = private().create(true).append(true).open(&file);
        let entries = entries.map_err(|error| cannot_write(&file, error))?;
        entries.set_len(exported.end).map_err(|error| cannot_write(&file, error))?;
        let (path, entries) = (path.to_owned(), BufWriter::new(entries));
        Ok(Self { path, plan, entries, lines, cursor, last_ids })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The number of exported entries.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// What is left to export.
    pub(super) fn remaining(&self) -> Query {
        self.plan.query.clone().after(self.cursor.clone())
    }

    /// The exported entries that [`remaining`](Self::remaining) may yield again.
    pub(super) fn take_last_ids(&mut self) -> Vec<EntryId> {
        std::mem::take(&mut self.last_ids)
    }

    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.lines += 1;
        let written = self.entries.write_all(line).and_then(|()| self.entries.write_all(b"\n"));
        written.map_err(|error| cannot_write(&self.path, error))
    }

    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        let flushed = self.entries.flush().and_then(|()| self.entries.get_ref().sync_all());
        flushed.map_err(|error| cannot_write(&self.path, error))
    }

    /// Writes a further file, or replaces it.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        write(&self.path.join(name), content)
    }

    pub(super) fn create_dir(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(cannot_write(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// The exported lines.
    pub(super) fn read(&self) -> Result<Lines, Failure> {
        Lines::open(&self.path.join(ENTRIES))
    }

    /// Removes the mark, once everything is on stable storage.
    pub(super) fn complete(self) -> Result<(), Failure> {
        let completed = File::open(&self.path).and_then(|folder| {
            // One call for all files: there may be a proof for each entry.
            #[cfg(target_os = "linux")]
            rustix::fs::syncfs(&folder)?;
            #[cfg(not(target_os = "linux"))]
            rustix::fs::sync();
            fs::remove_file(self.path.join(MARKER))?;
            folder.sync_all()
        });
        completed.map_err(|error| cannot_write(&self.path, error))
    }
}

/// Reads whole lines.
pub(super) struct Lines {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    line: Vec<u8>,
    /// The end of the last whole line.
    end: u64,
}

impl Lines {
    /// A missing file has no lines.
    fn open(path: &Path) -> Result<Self, Failure> {
        let reader = match File::open(path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot_read(path, error)),
        };
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), end: 0 })
    }

    /// The next line, without its line break.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, Failure> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        self.line.clear();
        let read = reader.read_until(b'\n', &mut self.line);
        read.map_err(|error| cannot_read(&self.path, error))?;
        match self.line.strip_suffix(b"\n") {
            Some(line) => {
                self.end += self.line.len() as u64;
                Ok(Some(line))
            }
            None => Ok(None),
        }
    }
}

/// Exported entries may be confidential.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let open = private().write(true).create(true).truncate(true).open(path);
    let written = open.and_then(|mut file| file.write_all(content));
    written.map_err(|error| cannot_write(path, error))
}

fn cannot_read(path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("cannot read {}", path.display())).caused_by(error)
}

fn cannot_write(path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("cannot write to {}", path.display())).caused_by(error)
}
