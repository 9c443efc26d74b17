//! The builder of a store.

use std::path::Path;

use attestry_core::StorageError;

use crate::durability::Durability;
use crate::reader::{IndexingProgress, Listener};
use crate::segment::IndexKeys;
use crate::settings::Settings;
use crate::storage::FileStorage;

/// Opens a [`FileStorage`].
///
/// | setting | default |
/// | --- | --- |
/// | [`rotation_size_mb`](Self::rotation_size_mb) | 100 |
/// | [`durability`](Self::durability) | [`Durability::Sync`] |
/// | [`read_only`](Self::read_only) | `false` |
/// | [`indexed_metadata_keys`](Self::indexed_metadata_keys) | `user.id`, `attestry.tenant`, `trace_id`, `gen_ai.response.id`, `attestry.call` |
/// | [`on_indexing`](Self::on_indexing) | no callback |
#[derive(Debug, Clone)]
#[must_use = "nothing is opened until `open` is awaited"]
pub struct FileStorageBuilder {
    pub(crate) settings: Settings,
}

impl FileStorage {
    /// A builder of a store in the folder `path`; the specification's `FileStorage(path,
    /// rotation_size_mb=100)`.
    pub fn builder(path: impl AsRef<Path>) -> FileStorageBuilder {
        FileStorageBuilder { settings: Settings::new(path.as_ref().to_path_buf()) }
    }
}

impl FileStorageBuilder {
    /// The size from which the active segment is rotated before the next write, in MiB as in the
    /// Python package; 0 counts as 1. A batch is split at that point; a single line may exceed it.
    pub fn rotation_size_mb(self, megabytes: u64) -> Self {
        self.rotation_size_bytes(megabytes.saturating_mul(1 << 20).max(1 << 20))
    }

    /// [`rotation_size_mb`](Self::rotation_size_mb) in bytes; 0 counts as 1.
    pub fn rotation_size_bytes(mut self, bytes: u64) -> Self {
        self.settings.rotation_bytes = bytes.max(1);
        self
    }

    /// What an acknowledged write survives.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Opens for reading only: nothing is created, locked, recovered or written. Another process may
    /// write at the same time.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.settings.read_only = read_only;
        self
    }

    /// The metadata keys whose texts are indexed, instead of the default ones, so that a
    /// [`Query`](attestry_core::Query) with [`metadata_equals`](attestry_core::Query::metadata_equals) on one
    /// of them reads only the entries that have the value. `conversation_id` is indexed always. Values that are
    /// no texts are not indexed.
    ///
    /// The keys affect the time of a query, never its result. They are those of the index files that this
    /// process writes. An index file that was written with other keys is kept: a query on a key that it lacks
    /// reads the segment. To index old segments by new keys, close the store, remove `.attestry/index`, and
    /// open it again. Each key takes some 12 bytes for each entry that has it.
    ///
    /// ```
    /// use attestry_core::{AuditEntry, Query, StorageBackend, Timestamp, create_entry_id, hash_content};
    /// use attestry_file::FileStorage;
    /// use futures_util::TryStreamExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("audit");
    /// let storage = FileStorage::builder(path).indexed_metadata_keys(["ticket"]).open().await?;
    /// let mut entry =
    ///     AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("in"), hash_content("out"));
    /// entry.metadata.insert("ticket".to_owned(), "T-17".into());
    /// storage.write(&entry).await?;
    /// let of_ticket = Query::new().metadata_equals("ticket", "T-17");
    /// let found: Vec<_> = storage.scan(of_ticket).try_collect().await?;
    /// assert_eq!(found, [entry]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn indexed_metadata_keys<K: Into<String>>(
        mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        self.settings.index_keys = IndexKeys::new(keys.into_iter().map(Into::into));
        self
    }

    /// Calls `callback` while segments without a valid index file are read: after each MiB, and at the
    /// end. On two cores some 400 MB were read a second.
    ///
    /// That happens in [`open`](Self::open); in a store opened read-only, which cannot store index
    /// files, in its first use; and later after another program has changed a segment. If several
    /// segments are read in parallel, `callback` is called from several threads. It must not block.
    ///
    /// ```
    /// use attestry_file::FileStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("audit");
    /// let builder = FileStorage::builder(path).on_indexing(|progress| {
    ///     eprintln!("read {} of {} bytes", progress.bytes_read, progress.bytes_total);
    /// });
    /// let storage = builder.open().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_indexing(
        mut self,
        callback: impl Fn(IndexingProgress) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Listener::new(callback);
        self
    }

    /// Opens the folder; creates it, for its owner only, if it is missing. Completes what a crash
    /// interrupted, and reports it as [`FileStorage::recovery`].
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] if another process holds the store lock for two minutes,
    /// [`StorageError::Io`] if the folder cannot be created, read or written.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the folder may have been created or recovered; nothing is left open.
    pub async fn open(self) -> Result<FileStorage, StorageError> {
        let path = self.settings.path.clone();
        let open = move || FileStorage::open_blocking(&self.settings);
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| {
            Err(StorageError::other(format!("cannot open {}", path.display()), error))
        })
    }
}
