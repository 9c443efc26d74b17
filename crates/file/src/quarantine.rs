//! The quarantine: torn lines and torn checkpoints, byte for byte, one file each.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use attestry_core::line::MAX_LINE_BYTES;
use attestry_core::{EntryId, StorageError, Timestamp};

use crate::fs::layout::Folder;
use crate::fs::{open, sys};
use crate::segment::{contains_id, id_in, timestamp_in};

/// The name of a file begins with this if it holds a torn checkpoint, otherwise with that of a segment.
pub(crate) const CHECKPOINT_PREFIX: &str = "checkpoints.";

/// A file of the quarantine: the bytes of a write that a crash cut short. They were not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The name of the file; begins with that of the segment.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
    /// When it was put into quarantine, by the modification time of the file.
    pub since: Timestamp,
    /// What was torn.
    pub kind: QuarantinedKind,
}

/// What a file of the quarantine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuarantinedKind {
    /// A line, which may contain content.
    Line {
        /// The id of its entry, if the line was not torn before its end.
        id: Option<EntryId>,
        /// The timestamp of its entry, likewise.
        timestamp: Option<Timestamp>,
    },
    /// A checkpoint: signed hashes, no content.
    Checkpoint,
}

impl Quarantined {
    /// Whether retention with this cutoff removes the file: the timestamp of the line, or if that cannot be
    /// read, of the file, is at or before it. Checkpoints do not expire.
    #[must_use]
    pub fn is_expired(&self, cutoff: Timestamp) -> bool {
        match &self.kind {
            QuarantinedKind::Line { timestamp, .. } => timestamp.unwrap_or(self.since) <= cutoff,
            QuarantinedKind::Checkpoint => false,
        }
    }
}

/// All files of the quarantine, sorted by name.
pub(crate) fn list(folder: &Folder) -> Result<Vec<Quarantined>, StorageError> {
    let quarantine = folder.quarantine();
    let failed = |source| StorageError::io("list", &quarantine, source);
    let items = match fs::read_dir(&quarantine) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut found = Vec::new();
    for item in items {
        let path = item.map_err(failed)?.path();
        match examine(&path) {
            Ok(quarantined) => found.extend(quarantined),
            // Removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("read", path, source)),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `None` for what no store has put there.
fn examine(path: &Path) -> io::Result<Option<Quarantined>> {
    let metadata = path.symlink_metadata()?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !name.ends_with(".torn") {
        return Ok(None);
    }
    let metadata = open::regular(metadata)?;
    let kind = if name.starts_with(CHECKPOINT_PREFIX) {
        QuarantinedKind::Checkpoint
    } else {
        let bytes = read(path)?;
        QuarantinedKind::Line { id: id_in(&bytes), timestamp: timestamp_in(&bytes) }
    };
    let since = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(Quarantined { name, path: path.to_path_buf(), length: metadata.len(), since, kind }))
}

/// Of an oversized line, the beginning is enough.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open::read(path)?.take(MAX_LINE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes the file called `name`; returns whether there was one.
pub(crate) fn remove(folder: &Folder, name: &str) -> Result<bool, StorageError> {
    let found = list(folder)?;
    let found: Vec<_> = found.iter().filter(|quarantined| quarantined.name == name).collect();
    remove_all(folder, &found).map(|removed| removed > 0)
}

/// Removes the torn lines of an entry; returns how many there were.
pub(crate) fn remove_lines_of(folder: &Folder, id: &EntryId) -> Result<usize, StorageError> {
    let found = list(folder)?;
    let mut lines = Vec::new();
    for quarantined in &found {
        let is_of_entry = match &quarantined.kind {
            QuarantinedKind::Line { id: Some(found), .. } => found == id,
            QuarantinedKind::Line { id: None, .. } => {
                let path = &quarantined.path;
                let bytes = read(path).map_err(|source| StorageError::io("read", path, source))?;
                contains_id(&bytes, id)
            }
            QuarantinedKind::Checkpoint => false,
        };
        if is_of_entry {
            lines.push(quarantined);
        }
    }
    remove_all(folder, &lines)
}

/// Removes what has expired; returns how many files.
pub(crate) fn expire(folder: &Folder, cutoff: Timestamp) -> Result<usize, StorageError> {
    let found = list(folder)?;
    let expired: Vec<_> = found.iter().filter(|found| found.is_expired(cutoff)).collect();
    remove_all(folder, &expired)
}

/// The removal is durable when this returns.
fn remove_all(folder: &Folder, files: &[&Quarantined]) -> Result<usize, StorageError> {
    let mut removed = 0;
    for Quarantined { path, .. } in files.iter().copied() {
        match fs::remove_file(path) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("remove", path, source)),
        }
    }
    if removed > 0 {
        let path = folder.quarantine();
        sys::sync_folder(&path).map_err(|source| StorageError::io("sync", path, source))?;
    }
    Ok(removed)
}

/// Creates a file in the folder `quarantine` whose name begins with `name` and whose content `write`
/// writes. It is durable when its path is returned. After an error there is none.
pub(crate) fn set_aside(
    quarantine: &Path,
    name: &str,
    mut write: impl FnMut(&mut File) -> io::Result<()>,
) -> io::Result<PathBuf> {
    sys::create_folder(quarantine)?;
    let mut number = 0;
    loop {
        let path = quarantine.join(format!("{name}.{number}.torn"));
        let mut copy = match open::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                continue;
            }
            created => created?,
        };
        let written = write(&mut copy)
            .and_then(|()| copy.sync_all())
            .and_then(|()| sys::sync_folder(quarantine));
        if let Err(error) = written {
            // The original is still in its place.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        return Ok(path);
    }
}
