//! How a store is opened.

use std::path::{Path, PathBuf};

use attestry_core::StorageError;

use crate::IndexingProgress;
use crate::fs::clock::Clock;
use crate::observer::EraseReason;
use crate::reader::Listener;
use crate::storage::FileStorage;
#[cfg(feature = "evidence")]
use crate::tree::EvidenceOptions;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A power cut: the line is on stable storage (`fdatasync` of the file, `fsync` of the folder
    /// for a new file). Many writers share one sync.
    #[default]
    Sync,
    /// A crash of the process, not a power cut: the line is with the operating system. For
    /// benchmarks and tests.
    Buffered,
}

/// Opens a [`FileStorage`].
///
/// | setting | default |
/// | --- | --- |
/// | [`rotation_size_mb`](Self::rotation_size_mb) | 100 |
/// | [`durability`](Self::durability) | [`Durability::Sync`] |
/// | [`read_only`](Self::read_only) | `false` |
/// | [`on_indexing`](Self::on_indexing) | nobody is told |
#[derive(Debug, Clone)]
#[must_use = "nothing is opened until `open` is awaited"]
pub struct FileStorageBuilder {
    pub(crate) path: PathBuf,
    pub(crate) rotation_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) read_only: bool,
    pub(crate) listener: Listener,
    pub(crate) erase_defaults: EraseDefaults,
    #[cfg(feature = "evidence")]
    pub(crate) evidence: Option<EvidenceOptions>,
    pub(crate) clock: Clock,
}

/// What the record of an erasure states, unless the call does.
#[derive(Debug, Clone, Default)]
pub(crate) struct EraseDefaults {
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

impl EraseDefaults {
    /// The record of an erasure now; `reason` if none was set.
    pub(crate) fn reason_or(&self, reason: String) -> Result<EraseReason, StorageError> {
        let by = self.by.clone().unwrap_or_else(|| "attestry".to_owned());
        EraseReason::new(self.reason.clone().unwrap_or(reason), by)
    }
}

impl FileStorageBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            rotation_bytes: 100 << 20,
            durability: Durability::default(),
            read_only: false,
            listener: Listener::default(),
            erase_defaults: EraseDefaults::default(),
            #[cfg(feature = "evidence")]
            evidence: None,
            clock: Clock::default(),
        }
    }

    /// The size from which the active segment is rotated before the next write, in MiB as in the
    /// Python package (0 counts as 1). A batch is split at that point; a single line may exceed it.
    pub fn rotation_size_mb(self, megabytes: u64) -> Self {
        self.rotation_size_bytes(megabytes.saturating_mul(1 << 20).max(1 << 20))
    }

    /// [`rotation_size_mb`](Self::rotation_size_mb) in bytes, at least 1.
    pub fn rotation_size_bytes(mut self, bytes: u64) -> Self {
        self.rotation_bytes = bytes.max(1);
        self
    }

    /// What an acknowledged write survives.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens for reading only: nothing is created, locked, recovered or written, and a writer may
    /// be at work meanwhile.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Calls `tell` while segments are read because they have no index, or a damaged one: after each
    /// MiB, and at the end. A large store from elsewhere takes a while: some 400 MB a second were seen
    /// on two cores.
    ///
    /// That happens in [`open`](Self::open), or in the first use of a store opened read-only, which
    /// may not store indexes; later, where another program has changed a segment. With segments to
    /// read side by side, `tell` is called from several threads. It must not block.
    ///
    /// ```
    /// use attestry_file::FileStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("audit");
    /// let opening = FileStorage::builder(path).on_indexing(|progress| {
    ///     eprintln!("read {} of {} bytes", progress.bytes_read, progress.bytes_total);
    /// });
    /// let storage = opening.open().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_indexing(mut self, tell: impl Fn(IndexingProgress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Opens the folder; makes it, for its owner only, when it is missing. Brings to an end what a
    /// crash interrupted; [`FileStorage::recovery`] tells what that was.
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] when another process keeps the store's lock for two minutes,
    /// [`StorageError::Io`] when it cannot be made, read or written.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the folder may have been made or recovered; nothing is left open.
    pub async fn open(self) -> Result<FileStorage, StorageError> {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || FileStorage::open_blocking(&self)).await;
        opened.unwrap_or_else(|error| {
            Err(StorageError::other(format!("cannot open {}", path.display()), error))
        })
    }
}
