//! What was handed over to anchors: `.attestry/anchors/`, a file of JSON for each.
//!
//! The records are state, not evidence: they say what to hand over next, and let other commands show
//! failures. A writer to the folder can change them.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use attestry_core::Timestamp;
use attestry_evidence::{Hash, leaf_hash};
use serde::{Deserialize, Serialize};

use super::error::{EvidenceError, Result};
use crate::fs::layout::Folder;
use crate::fs::{open, sys};

/// A record has an error message and a few numbers.
const MAX_BYTES: u64 = 64 << 10;

/// The state of an anchor: something outside the store that checkpoints are handed over to, such as a
/// witness, a timestamp authority or a folder elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnchorRecord {
    /// The name of the anchor, such as `witnesses`.
    pub anchor: String,
    /// The newest checkpoint that the anchor has.
    pub held: Option<HeldCheckpoint>,
    /// Failed attempts since the last success.
    pub failures: u64,
    /// Why the last attempt failed, or what it lacked although it succeeded.
    pub last_error: Option<String>,
    /// The time of the last attempt.
    pub attempted_at: Timestamp,
}

/// A checkpoint that an anchor has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeldCheckpoint {
    /// The origin of the log.
    pub origin: String,
    /// Its number of leaves.
    pub leaves: u64,
    /// Its root.
    pub root: Hash,
    /// When it was the newest checkpoint: entries after this time may not be covered.
    pub at: Timestamp,
}

impl AnchorRecord {
    /// The record of an anchor that has nothing yet.
    #[must_use]
    pub fn new(anchor: impl Into<String>) -> Self {
        Self {
            anchor: anchor.into(),
            held: None,
            failures: 0,
            last_error: None,
            attempted_at: Timestamp::UNIX_EPOCH,
        }
    }
}

impl HeldCheckpoint {
    /// The checkpoint of `leaves` leaves that was the newest one at this time.
    #[must_use]
    pub fn new(origin: impl Into<String>, leaves: u64, root: Hash, at: Timestamp) -> Self {
        Self { origin: origin.into(), leaves, root, at }
    }
}

fn folder_of(folder: &Folder) -> PathBuf {
    folder.private().join("anchors")
}

fn path_of(folder: &Folder, anchor: &str) -> PathBuf {
    let digest = leaf_hash(anchor.as_bytes());
    let name: String = digest.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    folder_of(folder).join(format!("{name}.json"))
}

/// All records, by name. A file that is not a record is left out: it gets replaced by the next attempt.
pub(crate) fn read_all(folder: &Folder) -> Result<Vec<AnchorRecord>> {
    let path = folder_of(folder);
    let items = match fs::read_dir(&path) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EvidenceError::io("list", &path, error)),
    };
    let mut records = Vec::new();
    for item in items {
        let item = item.map_err(|error| EvidenceError::io("list", &path, error))?.path();
        if item.extension().is_some_and(|ending| ending == "json") {
            records.extend(read(&item)?);
        }
    }
    records.sort_by(|a: &AnchorRecord, b| a.anchor.cmp(&b.anchor));
    Ok(records)
}

fn read(path: &Path) -> Result<Option<AnchorRecord>> {
    let failed = |error| EvidenceError::io("read", path, error);
    let file = match open::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(failed)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// Replaces the record of an anchor. A newer checkpoint that another process handed over stays. Not
/// synced: a lost record causes one hand-over more.
pub(crate) fn write(folder: &Folder, mut record: AnchorRecord) -> Result<()> {
    let path = path_of(folder, &record.anchor);
    if let Some(stored) = read(&path)?.and_then(|stored| stored.held)
        && record
            .held
            .as_ref()
            .is_none_or(|held| held.origin == stored.origin && held.leaves < stored.leaves)
    {
        record.held = Some(stored);
    }
    let failed = |error| EvidenceError::io("write", &path, error);
    let text = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
    sys::create_folder(&folder_of(folder)).map_err(failed)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => open::create_new(&temporary),
    };
    written
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_checkpoint_does_not_replace_a_newer_one() {
        let guard = tempfile::tempdir().unwrap();
        let folder = Folder::new(guard.path().to_path_buf());
        assert_eq!(read_all(&folder).unwrap(), []);
        let held = |leaves| {
            Some(HeldCheckpoint::new("o", leaves, Hash::EMPTY_TREE, Timestamp::UNIX_EPOCH))
        };
        let record = |leaves| AnchorRecord { held: held(leaves), ..AnchorRecord::new("a") };
        write(&folder, record(7)).unwrap();
        write(&folder, AnchorRecord { failures: 3, ..record(5) }).unwrap();
        write(&folder, AnchorRecord::new("b")).unwrap();
        let stored = read_all(&folder).unwrap();
        assert_eq!(stored, [AnchorRecord { failures: 3, ..record(7) }, AnchorRecord::new("b")]);
        // Without a checkpoint, that of the record before stays.
        write(&folder, AnchorRecord { failures: 4, ..AnchorRecord::new("a") }).unwrap();
        assert_eq!(read_all(&folder).unwrap()[0], AnchorRecord { failures: 4, ..record(7) });
        fs::write(path_of(&folder, "a"), "no record").unwrap();
        assert_eq!(read_all(&folder).unwrap().len(), 1);
        write(&folder, record(1)).unwrap();
        assert_eq!(read_all(&folder).unwrap()[0], record(1));
    }
}
