//! What a signer has signed last, kept outside the store.
//!
//! Everything in the store can be replaced by an attacker with write access to it, or by an older backup.
//! A signer that compares the tree only with the checkpoints in the store would sign that. So it also
//! remembers its last checkpoint elsewhere.
//!
//! The file contains signed checkpoints, one for each origin and key. It is replaced atomically.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use attestry_evidence::{OpenedCheckpoint, Policy, SignedCheckpoint, SigningKey};

use super::checkpoints::{parse_unverified, split};
use super::error::{EvidenceError, Result};
use crate::fs::{open, sys};

/// How long another process may hold the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Room for the checkpoints of some 60,000 keys.
const MAX_BYTES: u64 = 16 << 20;

/// A file outside the store in which a signer remembers its last checkpoint of each log; for
/// [`EvidenceOptions::memory`](crate::EvidenceOptions::memory).
///
/// The file is readable: it consists of signed checkpoints. Several processes, stores and keys may share
/// it; a file beside it, whose name ends in `.lock`, is locked while a checkpoint is signed. Both are
/// created with the folder they are in. The file is on stable storage before a checkpoint leaves the
/// signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerMemory {
    path: PathBuf,
}

impl SignerMemory {
    /// The file `path`, which need not exist yet. It must not be in the store.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file, if it exists. Nothing is created or locked.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`] if it cannot be read, [`EvidenceError::Damaged`] if it is something else.
    ///
    /// ```
    /// use attestry_file::SignerMemory;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("signed");
    /// SignerMemory::at(&path).check()?;
    /// std::fs::write(&path, "something else")?;
    /// assert!(SignerMemory::at(&path).check().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self) -> Result<()> {
        self.read().map(drop)
    }

    fn read(&self) -> Result<Vec<String>> {
        let bytes = match open::read_all(&self.path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(EvidenceError::io("read", &self.path, source)),
        };
        let (notes, whole) = split(&bytes);
        let is_note = |note: &str| parse_unverified(note).is_some();
        if whole < bytes.len() || !notes.iter().all(|(_, note)| is_note(note)) {
            return Err(EvidenceError::damaged(&self.path, "it is not a list of checkpoints"));
        }
        Ok(notes.into_iter().map(|(_, note)| note.to_owned()).collect())
    }

    /// Locks and reads the file.
    pub(super) fn lock(&self) -> Result<Remembered> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| EvidenceError::io(action, &path, source)
        };
        sys::create_folder(folder).map_err(failed("create the folder", folder))?;
        let mut lock_path = self.path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = open::read_write_or_create(&lock_path).map_err(failed("open", &lock_path))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while lock.try_lock().is_err() {
            if Instant::now() > deadline {
                let source = io::ErrorKind::TimedOut.into();
                return Err(EvidenceError::io("lock", &lock_path, source));
            }
            thread::sleep(LOCK_POLL);
        }
        let notes = self.read()?;
        let (path, folder) = (self.path.clone(), folder.to_path_buf());
        Ok(Remembered { path, folder, notes, _lock: lock })
    }
}

/// The content of the file, which stays locked until this is dropped.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    folder: PathBuf,
    notes: Vec<String>,
    _lock: File,
}

impl Remembered {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last checkpoint that was signed with `key`.
    pub(super) fn last(&self, key: &SigningKey) -> Result<Option<OpenedCheckpoint>> {
        let Some(note) = self.notes.iter().find(|note| is_by(note, key)) else { return Ok(None) };
        let opened = Policy::new(key.public()).open(note);
        let forged =
            |error| EvidenceError::damaged(&self.path, format!("a checkpoint in it: {error}"));
        opened.map(Some).map_err(forged)
    }

    /// Replaces the last checkpoint of `key`; durable when this returns.
    pub(super) fn remember(&mut self, key: &SigningKey, note: &SignedCheckpoint) -> Result<()> {
        if self.notes.iter().any(|known| known == note.as_str()) {
            return Ok(());
        }
        self.notes.retain(|note| !is_by(note, key));
        self.notes.push(note.to_string());
        let temporary = self.path.with_extension("tmp");
        let written = open::read_write_or_create(&temporary).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(self.notes.concat().as_bytes())?;
            file.sync_data()?;
            fs::rename(&temporary, &self.path)?;
            sys::sync_folder(&self.folder)
        });
        written.map_err(|source| EvidenceError::io("write", &self.path, source))
    }
}

/// Whether the note has the origin and a signature line of `key`.
fn is_by(note: &str, key: &SigningKey) -> bool {
    let is_of_origin =
        parse_unverified(note).is_some_and(|checkpoint| checkpoint.origin() == key.name());
    let policy = Policy::new(key.public());
    is_of_origin
        && !matches!(policy.open(note), Err(attestry_evidence::OpenError::NotSigned { .. }))
}

#[cfg(test)]
mod tests {
    use attestry_evidence::Hash;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("example.com/audit", &[seed; 32]).unwrap()
    }

    fn note(key: &SigningKey, size: u64) -> SignedCheckpoint {
        key.sign(size, Hash::from_bytes([size as u8; 32]))
    }

    #[test]
    fn last_checkpoint_of_each_key_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let memory = SignerMemory::at(folder.path().join("state/attestry/signed"));
        assert!(memory.lock().unwrap().last(&key(1)).unwrap().is_none());
        for (seed, size) in [(1, 5), (2, 9), (1, 7)] {
            memory.lock().unwrap().remember(&key(seed), &note(&key(seed), size)).unwrap();
        }
        let remembered = memory.lock().unwrap();
        let size = |seed| remembered.last(&key(seed)).unwrap().map(|last| last.checkpoint().size());
        assert_eq!((size(1), size(2), size(3)), (Some(7), Some(9), None));
    }

    #[test]
    fn altered_memory_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let memory = SignerMemory::at(folder.path().join("signed"));
        memory.lock().unwrap().remember(&key(1), &note(&key(1), 5)).unwrap();
        let text = fs::read_to_string(memory.path()).unwrap();
        fs::write(memory.path(), text.replace("\n5\n", "\n4\n")).unwrap();
        let error = memory.lock().unwrap().last(&key(1)).unwrap_err();
        assert!(matches!(error, EvidenceError::Damaged { .. }), "{error}");
        fs::write(memory.path(), &text[..text.len() - 1]).unwrap();
        assert!(matches!(memory.lock().unwrap_err(), EvidenceError::Damaged { .. }));
    }

    #[test]
    fn only_one_process_signs_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let memory = SignerMemory::at(folder.path().join("signed"));
        let first = memory.lock().unwrap();
        let waiting = thread::spawn({
            let memory = memory.clone();
            move || memory.lock().unwrap().last(&key(1)).unwrap().unwrap().checkpoint().size()
        });
        let mut first = first;
        first.remember(&key(1), &note(&key(1), 5)).unwrap();
        drop(first);
        assert_eq!(waiting.join().unwrap(), 5);
    }
}
