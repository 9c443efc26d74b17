//! Timestamps of checkpoints: `.attestry/timestamps/`.
//!
//! Each stamped checkpoint is a file, and each reply of a timestamp authority (RFC 3161) another one
//! beside it, byte for byte as it came, so that any program for timestamps verifies the two.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use attestry_evidence::{SignedCheckpoint, leaf_hash};

use super::checkpoints::parse_unverified;
use super::error::{EvidenceError, Result};
use crate::fs::layout::Folder;
use crate::fs::{open, sys};

/// Longer than any reply with a chain of certificates.
const MAX_BYTES: u64 = 1 << 20;

/// A stored timestamp: a checkpoint and the reply of an authority to it. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTimestamp {
    /// The file with the reply.
    pub path: PathBuf,
    /// The stamped note.
    pub checkpoint: SignedCheckpoint,
    /// The reply in DER.
    pub reply: Vec<u8>,
}

fn folder_of(folder: &Folder) -> PathBuf {
    folder.private().join("timestamps")
}

/// The file name of a checkpoint without its ending. Names are in the order of sizes.
fn stem_of(checkpoint: &SignedCheckpoint) -> String {
    let leaves = parse_unverified(checkpoint.as_str()).map_or(0, |parsed| parsed.size());
    let digest = leaf_hash(checkpoint.as_str().as_bytes());
    let digest: String = digest.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{leaves:020}-{digest}")
}

/// Stores a reply; durable when this returns. `authority` is part of the file name.
pub(crate) fn write(
    folder: &Folder,
    checkpoint: &SignedCheckpoint,
    authority: &str,
    reply: &[u8],
) -> Result<PathBuf> {
    let parent = folder_of(folder);
    let authority: String = authority
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(80)
        .collect();
    let stem = stem_of(checkpoint);
    let path = parent.join(format!("{stem}.{authority}.tsr"));
    let failed = |error| EvidenceError::io("write", &path, error);
    sys::create_folder(&parent).map_err(failed)?;
    let note = parent.join(format!("{stem}.checkpoint"));
    replace(&note, checkpoint.as_str().as_bytes()).map_err(failed)?;
    replace(&path, reply).map_err(failed)?;
    sys::sync_folder(&parent).map_err(failed)?;
    Ok(path)
}

/// Replaces a file as a whole. The caller syncs the folder.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = open::create_new(&temporary)?;
    file.write_all(bytes)?;
    sys::sync_data(&file)?;
    fs::rename(&temporary, path)
}

/// The files with replies, in the order of the sizes of their checkpoints.
pub(crate) fn list(folder: &Folder) -> Result<Vec<PathBuf>> {
    let parent = folder_of(folder);
    let items = match fs::read_dir(&parent) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EvidenceError::io("list", &parent, error)),
    };
    let mut found = Vec::new();
    for item in items {
        let path = item.map_err(|error| EvidenceError::io("list", &parent, error))?.path();
        if path.extension().is_some_and(|ending| ending == "tsr") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A reply with its checkpoint.
pub(crate) fn read(path: PathBuf) -> Result<StoredTimestamp> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split_once('.').map_or(&*name, |(stem, _)| stem);
    let note_path = path.with_file_name(format!("{stem}.checkpoint"));
    let note = read_limited(&note_path)?;
    let malformed = || EvidenceError::damaged(&note_path, "this is not a checkpoint");
    let note = String::from_utf8(note).map_err(|_| malformed())?;
    let checkpoint = note.parse().map_err(|_| malformed())?;
    let reply = read_limited(&path)?;
    Ok(StoredTimestamp { path, checkpoint, reply })
}

fn read_limited(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open::read(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| EvidenceError::io("read", path, error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(EvidenceError::damaged(path, "it is longer than any timestamp"));
    }
    Ok(bytes)
}
