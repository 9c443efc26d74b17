//! Copies one store: what can be copied while programs write to it first, then the rest while none does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attestry_core::StorageError;

use super::files::{
    copy_file, copy_open, copy_others, files, folders, is_store, is_tiles, make_folder,
    open_if_there, remove, sync,
};
use super::{Backup, BackupOptions};
use crate::fs::epoch::{Epochs, Stamp};
use crate::fs::layout::{Folder, Listed};
use crate::fs::lock;
use crate::fs::sys::{FileId, FileState};

/// How long writers may leave no gap.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_POLL: Duration = Duration::from_micros(50);

/// Longer than the resolution of any file system's times.
const SETTLED: Duration = Duration::from_secs(3);

/// Passes over the segments before writers are locked out.
const PASSES: usize = 3;

/// How much of the end of a file that has grown is copied again.
const OVERLAP_BYTES: u64 = 1 << 20;

/// Copies one store.
pub(super) struct Copier<'a> {
    from: &'a Folder,
    to: Folder,
    options: BackupOptions,
    segments: BTreeMap<FileId, Copied>,
    /// How many names were given to copies.
    named: usize,
}

/// A segment that was copied, under a name that is not that of a segment.
struct Copied {
    path: PathBuf,
    /// The segment before it was copied.
    state: FileState,
    epochs: Epochs,
    /// The segment had not changed for so long then that any later change is seen in its state.
    settled: bool,
}

impl<'a> Copier<'a> {
    pub(super) fn new(from: &'a Folder, to: &Path, options: BackupOptions) -> Self {
        let (to, segments) = (Folder::new(to.to_path_buf()), BTreeMap::new());
        Self { from, to, options, segments, named: 0 }
    }

    pub(super) fn copy(mut self) -> Result<Backup, StorageError> {
        self.from.check_folders()?;
        self.options.hard_links = self.options.hard_links && self.can_link()?;
        for _ in 0..PASSES {
            let epochs = Stamp::read(self.from)?.epochs;
            self.copy_segments(&self.from.list()?, epochs)?;
            if epochs == Stamp::read(self.from)?.epochs {
                break;
            }
        }
        let tiles = self.copy_tiles()?;
        self.copy_nested_stores()?;
        let _excluded = exclude_writers(self.from)?;
        let epochs = Stamp::read(self.from)?.epochs;
        let listed = self.copy_remaining(epochs)?;
        let mut linked = 0;
        for found in &listed {
            let to = self.to.segment(found.name);
            if self.is_linked(found) {
                self.link(found, &to)?;
                linked += 1;
                continue;
            }
            if let Some(copied) = self.segments.remove(&found.id) {
                fs::rename(&copied.path, &to)
                    .map_err(|source| StorageError::io("rename", &copied.path, source))?;
            }
        }
        for gone in std::mem::take(&mut self.segments).into_values() {
            remove(&gone.path)?;
        }
        self.finish_tiles(&tiles)?;
        copy_others(&self.from.private(), &self.to.private())?;
        sync(self.to.path())?;
        let bytes = listed.iter().map(|found| found.length).sum();
        let (path, segments) = (self.to.path().to_path_buf(), listed.len());
        Ok(Backup { path, segments, linked, bytes })
    }

    fn is_linked(&self, found: &Listed) -> bool {
        self.options.hard_links && !found.name.is_active()
    }

    /// Whether the file system can link segments of the store to the copy. Tried before writers are locked out:
    /// copying takes longer.
    fn can_link(&self) -> Result<bool, StorageError> {
        let listed = self.from.list()?;
        let Some(sealed) = listed.iter().find(|found| !found.name.is_active()) else {
            return Ok(true);
        };
        let trial = self.to.path().join("copy.link");
        let is_linked = fs::hard_link(self.from.segment(sealed.name), &trial).is_ok();
        if is_linked {
            remove(&trial)?;
        }
        Ok(is_linked)
    }

    fn link(&self, found: &Listed, to: &Path) -> Result<(), StorageError> {
        let from = self.from.segment(found.name);
        fs::hard_link(&from, to).map_err(|source| StorageError::io("link", &from, source))?;
        let linked = to.symlink_metadata();
        match linked.map_err(|source| StorageError::io("examine", to, source))? {
            linked if FileId::of(&linked) == found.id => Ok(()),
            _ => Err(renamed_meanwhile(&from)),
        }
    }

    /// Copies what has changed since the passes, while writers are locked out, and returns the segments.
    fn copy_remaining(&mut self, epochs: Epochs) -> Result<Vec<Listed>, StorageError> {
        for _ in 0..PASSES {
            let listed = self.from.list()?;
            if self.copy_segments(&listed, epochs)? {
                return Ok(listed);
            }
        }
        // The Python package takes no lock when it rotates.
        Err(renamed_meanwhile(self.from.path()))
    }

    /// Copies the segments that are not linked. Returns false if one is not there any more under its name.
    fn copy_segments(&mut self, listed: &[Listed], epochs: Epochs) -> Result<bool, StorageError> {
        let mut are_all_copied = true;
        for found in listed {
            if !self.is_linked(found) {
                are_all_copied &= self.copy_segment(found, epochs)?;
            }
        }
        Ok(are_all_copied)
    }

    /// Copies a segment, unless the copy is as new. Returns false if it was unlinked or renamed since it was
    /// listed; another one may have its name.
    fn copy_segment(&mut self, found: &Listed, epochs: Epochs) -> Result<bool, StorageError> {
        let from = self.from.segment(found.name);
        let (path, start) = match self.segments.get(&found.id) {
            Some(copied)
                if copied.state == found.state && (copied.settled || copied.epochs == epochs) =>
            {
                return Ok(true);
            }
            // Only appended to: no line was erased, and no append undone.
            Some(copied) if copied.epochs == epochs && copied.state.length < found.length => {
                (copied.path.clone(), copied.state.length)
            }
            Some(copied) => (copied.path.clone(), 0),
            None => {
                self.named += 1;
                (self.to.path().join(format!("copy.{}", self.named)), 0)
            }
        };
        // Before the copy: a change during it must not look older than it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let settled = now.saturating_sub(found.state.changed.into()) > SETTLED.as_nanos();
        let Some(source) = open_if_there(&from)? else { return Ok(false) };
        let metadata =
            source.metadata().map_err(|error| StorageError::io("examine", &from, error))?;
        if FileId::of(&metadata) != found.id {
            return Ok(false);
        }
        copy_open(source, &path, start, Some(found.length))?;
        let copied = Copied { path, state: found.state, epochs, settled };
        self.segments.insert(found.id, copied);
        Ok(true)
    }

    /// Copies the hashes of the tree, which are only appended to. Returns the copied bytes of each file.
    fn copy_tiles(&self) -> Result<BTreeMap<String, (FileId, u64)>, StorageError> {
        let (from, to) = (self.from.tree(), self.to.tree());
        let mut copied = BTreeMap::new();
        for (name, metadata) in files(&from)? {
            if is_tiles(&name) {
                if copied.is_empty() {
                    make_folder(&to)?;
                }
                copy_file(&from.join(&name), &to.join(&name), 0, Some(metadata.len()))?;
                copied.insert(name, (FileId::of(&metadata), metadata.len()));
            }
        }
        Ok(copied)
    }

    fn finish_tiles(&self, copied: &BTreeMap<String, (FileId, u64)>) -> Result<(), StorageError> {
        let (from, to) = (self.from.tree(), self.to.tree());
        for (name, metadata) in files(&from)?.into_iter().filter(|(name, _)| is_tiles(name)) {
            let start = match copied.get(&name) {
                Some((id, length)) if *id == FileId::of(&metadata) => {
                    (*length).min(metadata.len()).saturating_sub(OVERLAP_BYTES)
                }
                _ => 0,
            };
            make_folder(&to)?;
            copy_file(&from.join(&name), &to.join(&name), start, None)?;
        }
        Ok(())
    }

    /// Copies stores inside this one, such as that of accesses. Each has a lock of its own.
    fn copy_nested_stores(&self) -> Result<(), StorageError> {
        for name in folders(&self.from.private())? {
            let nested = Folder::new(self.from.private().join(&name));
            if is_store(nested.path()) {
                let to = self.to.private().join(&name);
                make_folder(&to)?;
                Copier::new(&nested, &to, self.options).copy()?;
            }
        }
        Ok(())
    }
}

fn renamed_meanwhile(path: &Path) -> StorageError {
    let reason = "another program renames segments without the lock; run the backup again";
    StorageError::io("copy", path, io::Error::other(reason))
}

/// Waits until no program changes the store, and keeps all from it.
fn exclude_writers(folder: &Folder) -> Result<lock::ExcludedWriters, StorageError> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        if let Some(excluded) = lock::try_exclude_writers(folder)? {
            return Ok(excluded);
        }
        if Instant::now() > deadline {
            return Err(StorageError::locked(folder.path()));
        }
        thread::sleep(LOCK_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentName;

    /// The Python package renames the active segment and begins another one without the lock.
    #[test]
    fn segment_that_was_renamed_since_it_was_listed_is_not_copied() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        fs::create_dir_all(folder.private()).unwrap();
        let name = |text: &str| SegmentName::parse(text).unwrap();
        let active = folder.segment(name("audit_20260101.jsonl"));
        fs::write(&active, "first\n").unwrap();
        let to = temporary.path().join("copy");
        fs::create_dir(&to).unwrap();
        let mut copier = Copier::new(&folder, &to, BackupOptions::new());
        let epochs = Stamp::read(&folder).unwrap().epochs;
        let listed = folder.list().unwrap();
        fs::rename(&active, folder.segment(name("audit_20260101_001.jsonl"))).unwrap();
        assert!(!copier.copy_segments(&listed, epochs).unwrap(), "it is gone");
        fs::write(&active, "another\n").unwrap();
        assert!(!copier.copy_segments(&listed, epochs).unwrap(), "another one has its name");
        assert!(copier.segments.is_empty());
        assert_eq!(copier.copy_remaining(epochs).unwrap().len(), 2);
        let copied = |name: &str| {
            let listed = folder.list().unwrap();
            let found = listed.iter().find(|found| found.name.to_string() == name).unwrap();
            fs::read_to_string(&copier.segments[&found.id].path).unwrap()
        };
        assert_eq!(copied("audit_20260101_001.jsonl"), "first\n");
        assert_eq!(copied("audit_20260101.jsonl"), "another\n");
    }
}
