//! Copies a store while programs write to it.
//!
//! Segments are copied first, without the lock. Then writers are locked out while what has changed since is
//! copied, and the rest: the end of the active segment, segments in which entries were erased, and the files of
//! `.attestry`. So the copy is the store at one moment, and writers wait for little.

mod copier;
mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use attestry_core::{StorageError, event};
use thiserror::Error;

use self::copier::Copier;
use self::files::{make_folder, sync};
use crate::fs::layout::Folder;
use crate::fs::{create, open};
use crate::storage::FileStorage;

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
