//! Copies a store while programs write to it.
//!
//! Segments are copied first, without the lock. Then writers are locked out while what has changed since is
//! copied, and the rest: the end of the active segment, segments in which entries were erased, and the files of
//! `.attestry`. So the copy is the store at one moment, and writers wait for little.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attestry_core::{StorageError, event};
use thiserror::Error;

use crate::fs::epoch::{Epochs, Stamp};
use crate::fs::layout::{Folder, Listed};
use crate::fs::sys::{self, FileId, FileState};
use crate::fs::{create, lock, open};
use crate::storage::FileStorage;

/// How long writers may leave no gap.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_POLL: Duration = Duration::from_micros(50);

/// Longer than the resolution of any file system's times.
const SETTLED: Duration = Duration::from_secs(3);

/// Passes over the segments before writers are locked out.
const PASSES: usize = 3;

/// How much of the end of a file that has grown is copied again.
const OVERLAP_BYTES: u64 = 1 << 20;

/// How [`FileStorage::backup`] copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "options do nothing until they are passed to a store"]
pub struct BackupOptions {
    hard_links: bool,
}

impl BackupOptions {
    /// Copies every file. File systems that can share the blocks of a copy, such as Btrfs and XFS, do that.
    pub fn new() -> Self {
        Self::default()
    }

    /// Links sealed segments instead of copying them, where the file system can: for a copy that is itself
    /// copied elsewhere at once, and then removed.
    ///
    /// A linked segment is the same file in both stores. Erasing an entry from one erases it from the other, which
    /// has no record of that: [`verify`](FileStorage) then reports a missing line there. Never open a store with
    /// linked segments for writing. The index file of a segment is written again after the segment was linked.
    pub fn hard_links(mut self, hard_links: bool) -> Self {
        self.hard_links = hard_links;
        self
    }
}

/// What [`FileStorage::backup`] has copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The folder of the copy.
    pub path: PathBuf,
    /// The number of segments.
    pub segments: usize,
    /// How many of them are hard links.
    pub linked: usize,
    /// The bytes of the segments, linked ones included.
    pub bytes: u64,
}

/// Why a store was not copied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something at the path of the copy. Nothing was changed.
    #[error("{} exists already; a backup never replaces anything", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// Another backup to this path is running, or was interrupted. If none is running, remove the folder.
    #[error("{} is of a backup that is running or was interrupted", path.display())]
    Incomplete {
        /// The folder of that backup.
        path: PathBuf,
    },
    /// The copy would be inside the store.
    #[error("{} is inside the store", path.display())]
    InsideStore {
        /// The path.
        path: PathBuf,
    },
    /// The storage failed. What was copied so far is in a folder beside the path, whose name ends in
    /// `.incomplete`.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl FileStorage {
    /// Copies the store to the new folder `to`: entries, evidence and everything else, as they are at one
    /// moment, to which all entries that were acknowledged before the call belong. Writers, in this and other
    /// processes, go on; they wait while what has changed in the meantime is copied. The copy is on stable
    /// storage when this returns.
    ///
    /// The files are written to a folder whose name ends in `.incomplete`, which is renamed at the end. So `to`
    /// is whole, or does not exist. The Python package takes no lock: a line that it writes in the meantime may be
    /// torn in the copy.
    ///
    /// ```
    /// use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
    /// use attestry_file::{BackupOptions, FileStorage};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, copy) = (folder.path().join("audit"), folder.path().join("copy"));
    /// let storage = FileStorage::builder(path).open().await?;
    /// let entry = AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("in"), hash_content("out"));
    /// storage.write(&entry).await?;
    /// storage.backup(&copy, BackupOptions::new()).await?;
    /// let copy = FileStorage::builder(copy).read_only(true).open().await?;
    /// assert_eq!(copy.read(&entry.id).await?, Some(entry));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the backup.
    pub async fn backup(
        &self,
        to: impl AsRef<Path>,
        options: BackupOptions,
    ) -> Result<Backup, BackupError> {
        let to = to.as_ref().to_path_buf();
        self.read_blocking(move |catalog| run(catalog.folder(), &to, options)).await
    }
}

fn run(folder: &Folder, to: &Path, options: BackupOptions) -> Result<Backup, BackupError> {
    let examined = |path: &Path| {
        let path = path.to_path_buf();
        move |source| StorageError::io("examine", path, source)
    };
    if open::exists(to).map_err(examined(to))? {
        return Err(BackupError::Exists { path: to.to_path_buf() });
    }
    let name = to.file_name().ok_or_else(|| examined(to)(io::ErrorKind::InvalidInput.into()))?;
    let mut incomplete_name = name.to_os_string();
    incomplete_name.push(".incomplete");
    let parent = create::parent_of(to);
    let incomplete = to.with_file_name(incomplete_name);
    if open::exists(&incomplete).map_err(examined(&incomplete))? {
        return Err(BackupError::Incomplete { path: incomplete });
    }
    if let Some(existing) = parent.ancestors().find_map(|path| path.canonicalize().ok()) {
        let store = folder.path().canonicalize().map_err(examined(folder.path()))?;
        if existing.starts_with(&store) {
            return Err(BackupError::InsideStore { path: to.to_path_buf() });
        }
    }
    make_folder(parent)?;
    match create::folder(&incomplete) {
        // Another backup was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Incomplete { path: incomplete });
        }
        created => {
            created.map_err(|source| StorageError::io("create the folder", &incomplete, source))?
        }
    }
    let backup = Copier::new(folder, &incomplete, options).copy()?;
    fs::rename(&incomplete, to)
        .map_err(|source| StorageError::io("rename", &incomplete, source))?;
    sync(parent)?;
    event!(INFO, segments = backup.segments, bytes = backup.bytes, "store backed up");
    Ok(Backup { path: to.to_path_buf(), ..backup })
}

/// Copies one store.
struct Copier<'a> {
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
    fn new(from: &'a Folder, to: &Path, options: BackupOptions) -> Self {
        let (to, segments) = (Folder::new(to.to_path_buf()), BTreeMap::new());
        Self { from, to, options, segments, named: 0 }
    }

    fn copy(mut self) -> Result<Backup, StorageError> {
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

/// Copies a folder inside `.attestry`, but what does not belong to a copy: the lock, the tiles, which are copied
/// apart, index files, which name inodes, and temporary files.
fn copy_others(from: &Path, to: &Path) -> Result<(), StorageError> {
    make_folder(to)?;
    for (name, _) in files(from)? {
        if name != "lock" && !name.ends_with(".tmp") && !is_tiles(&name) {
            // Timestamps and anchor records are written without the lock.
            if let Some(source) = open_if_there(&from.join(&name))? {
                copy_open(source, &to.join(&name), 0, None)?;
            }
        }
    }
    for name in folders(from)? {
        let path = from.join(&name);
        if name != "index" && !is_store(&path) {
            copy_others(&path, &to.join(&name))?;
        }
    }
    sync(to)
}

fn is_tiles(name: &str) -> bool {
    name.starts_with("tiles.")
}

fn is_store(path: &Path) -> bool {
    path.join(create::PRIVATE).symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// The files in a folder that are no folders; none if it is missing. Anything but a regular file is an error, and a
/// sparse one, whose copy could fill the disk.
fn files(folder: &Path) -> Result<Vec<(String, Metadata)>, StorageError> {
    let mut found = Vec::new();
    for (path, metadata) in items(folder)?.into_iter().filter(|(_, metadata)| !metadata.is_dir()) {
        let metadata = open::regular(metadata)
            .and_then(|metadata| sys::without_large_hole(&path, metadata))
            .map_err(|source| StorageError::io("examine", &path, source))?;
        found.extend(name_of(&path).map(|name| (name, metadata)));
    }
    Ok(found)
}

fn folders(folder: &Path) -> Result<Vec<String>, StorageError> {
    let folders = items(folder)?.into_iter().filter(|(_, metadata)| metadata.is_dir());
    Ok(folders.filter_map(|(path, _)| name_of(&path)).collect())
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn items(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StorageError> {
    let failed = |source| StorageError::io("list", folder, source);
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for item in items {
        let item = item.map_err(failed)?;
        match item.metadata() {
            Ok(metadata) => found.push((item.path(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("examine", item.path(), source)),
        }
    }
    Ok(found)
}

fn renamed_meanwhile(path: &Path) -> StorageError {
    let reason = "another program renames segments without the lock; run the backup again";
    StorageError::io("copy", path, io::Error::other(reason))
}

fn open_if_there(path: &Path) -> Result<Option<File>, StorageError> {
    match open::read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("open", path, error)),
    }
}

fn copy_file(from: &Path, to: &Path, start: u64, end: Option<u64>) -> Result<(), StorageError> {
    let source = open::read(from).map_err(|error| StorageError::io("open", from, error))?;
    copy_open(source, to, start, end)
}

/// Copies `source`, from byte `start` on, which `to` has up to there; at most up to `end`. Owner, mode and time of
/// the last change are copied, too. The copy is on stable storage, not its name.
fn copy_open(
    mut source: File,
    to: &Path,
    start: u64,
    end: Option<u64>,
) -> Result<(), StorageError> {
    let mut copy = || -> io::Result<()> {
        let metadata = source.metadata()?;
        let end = end.unwrap_or(metadata.len());
        let mut copy = open::read_write_or_create(to)?;
        copy.set_len(start)?;
        source.seek(SeekFrom::Start(start))?;
        copy.seek(SeekFrom::Start(start))?;
        io::copy(&mut (&mut source).take(end.saturating_sub(start)), &mut copy)?;
        create::like(&metadata, metadata.mode() & 0o777, &copy)?;
        copy.set_times(FileTimes::new().set_modified(metadata.modified()?))?;
        copy.sync_all()
    };
    copy().map_err(|error| StorageError::io("copy", to, error))
}

fn remove(path: &Path) -> Result<(), StorageError> {
    fs::remove_file(path).map_err(|source| StorageError::io("remove", path, source))
}

fn make_folder(path: &Path) -> Result<(), StorageError> {
    sys::create_folder(path).map_err(|source| StorageError::io("create the folder", path, source))
}

fn sync(path: &Path) -> Result<(), StorageError> {
    sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))
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
