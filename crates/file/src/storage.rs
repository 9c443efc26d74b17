//! The backend: validation and serialising here, changes to the committer, reads to the catalog.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::{
    AppendFuture, AuditEntry, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp, async_trait, line,
};

use crate::builder::EraseDefaults;
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
#[cfg(not(feature = "evidence"))]
use crate::observer::NoObserver;
use crate::observer::{EraseReason, LeafHasher, LineEnd, LogObserver};
use crate::reader::{Catalog, scan};
#[cfg(feature = "evidence")]
use crate::tree::TreeObserver;
use crate::writer::{Chore, Committer, Compaction, Expiry, Job, Lines};
use crate::{FileStorageBuilder, RecoveryReport, recovery};

/// A line without content takes about as much; a buffer of that size seldom has to grow.
const USUAL_LINE_BYTES: usize = 640;

/// Audit entries in a folder of JSONL files. See the [crate's documentation](crate) for what it
/// promises, and [`builder`](Self::builder) for how to open one.
///
/// It must be used within a Tokio runtime. Any number of processes may have a folder open and write
/// to it: they take turns, a batch each.
#[derive(Debug)]
pub struct FileStorage {
    catalog: Arc<Catalog>,
    /// `None` when opened read-only.
    committer: Option<Arc<Committer>>,
    recovery: Arc<Mutex<RecoveryReport>>,
    rotation_bytes: u64,
    erase_defaults: EraseDefaults,
    /// As the observer had it on opening; it may become active later.
    leaf_hasher: Option<LeafHasher>,
}

impl FileStorage {
    /// A builder of a store in the folder `path`; the specification's `FileStorage(path,
    /// rotation_size_mb=100)`.
    pub fn builder(path: impl AsRef<Path>) -> FileStorageBuilder {
        FileStorageBuilder::new(path.as_ref())
    }

    pub(crate) fn open_blocking(builder: &FileStorageBuilder) -> Result<Self, StorageError> {
        let rotation_bytes = builder.rotation_bytes;
        let folder = Folder::new(builder.path.clone());
        let catalog = |lock| {
            let catalog = Catalog::new(folder.clone(), lock, builder.listener.clone());
            Arc::new(catalog.with_clock(builder.clock))
        };
        if builder.read_only {
            folder.list()?; // a folder that is missing or no folder is found out now
            let catalog = catalog(None);
            let (committer, recovery) = (None, Arc::default());
            let (erase_defaults, leaf_hasher) = (builder.erase_defaults.clone(), None);
            return Ok(Self {
                catalog,
                committer,
                recovery,
                rotation_bytes,
                erase_defaults,
                leaf_hasher,
            });
        }
        recovery::create(&folder)?;
        let lock = Arc::new(StoreLock::open(&folder)?);
        let catalog = catalog(Some(lock.clone()));
        let held = lock.acquire()?;
        let mut observer = open_observer(&folder, builder)?;
        let (erasures, mut report) = recovery::recover(&folder, &mut *observer)?;
        drop(held);
        report.indexes_made = catalog.build_indexes()?;
        catalog.save_indexes(&lock.acquire()?, rotation_bytes)?;
        let recovery = Arc::new(Mutex::new(report));
        let leaf_hasher = observer.leaf_hasher();
        let committer = Committer::start(
            Arc::clone(&catalog),
            lock,
            (erasures, observer),
            Arc::clone(&recovery),
            rotation_bytes,
            builder.durability,
        )?;
        let committer = Some(committer);
        let erase_defaults = builder.erase_defaults.clone();
        Ok(Self { catalog, committer, recovery, rotation_bytes, erase_defaults, leaf_hasher })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.catalog.folder().path()
    }

    /// What was found to mend: when the store was opened, and since, where another process died
    /// while it wrote.
    #[must_use]
    pub fn recovery(&self) -> RecoveryReport {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size in bytes from which the active segment is rotated.
    #[must_use]
    pub fn rotation_size_bytes(&self) -> u64 {
        self.rotation_bytes
    }

    pub(crate) fn committer(&self) -> Result<&Committer, StorageError> {
        let read_only = || StorageError::ReadOnly { path: self.path().to_path_buf() };
        self.committer.as_deref().ok_or_else(read_only)
    }

    pub(crate) async fn delete_noting(
        &self,
        id: &EntryId,
        note: EraseReason,
    ) -> Result<bool, StorageError> {
        let id = id.clone();
        self.committer()?.submit(|answer| Job::Delete { id, note, answer }).await
    }

    /// The lines of `entries`, which are valid.
    fn serialised(&self, entries: &[AuditEntry]) -> Result<Lines, StorageError> {
        let mut lines = Lines::default();
        lines.ends.reserve(entries.len());
        lines.bytes.reserve(entries.len().saturating_mul(USUAL_LINE_BYTES));
        for entry in entries {
            entry.validate()?;
            line::encode_into(entry, &mut lines.bytes)?;
            let start = lines.ends.last().map_or(0, |end| end.at);
            let leaf = self.leaf_hasher.map(|hash| hash(&lines.bytes[start..]));
            lines.ends.push(LineEnd { at: lines.bytes.len(), leaf });
        }
        Ok(lines)
    }

    /// Stores `entries` unless they are stored already.
    async fn write_all(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let committer = self.committer()?;
        let mut lines = self.serialised(entries)?;
        lines.checked_ids = entries.iter().map(|entry| entry.id.clone()).collect();
        committer.append(lines).await
    }

    /// Runs a read where it may block.
    pub(crate) async fn read_blocking<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        read: impl FnOnce(&Catalog) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let catalog = Arc::clone(&self.catalog);
        let done = tokio::task::spawn_blocking(move || read(&catalog)).await;
        done.unwrap_or_else(|error| {
            let message = format!("reading {} was cut short", self.path().display());
            Err(StorageError::other(message, error).into())
        })
    }
}

/// The Merkle tree: also without settings for it, since the folder may have one.
#[cfg(feature = "evidence")]
fn open_observer(
    folder: &Folder,
    builder: &FileStorageBuilder,
) -> Result<Box<dyn LogObserver>, StorageError> {
    let synced = builder.durability == crate::Durability::Sync;
    Ok(Box::new(TreeObserver::open(folder, builder.evidence.clone(), synced)?))
}

/// Refuses a folder that has a tree: appending and erasing without it would contradict the tree.
#[cfg(not(feature = "evidence"))]
fn open_observer(
    folder: &Folder,
    _: &FileStorageBuilder,
) -> Result<Box<dyn LogObserver>, StorageError> {
    if folder.tree().join("head").exists() {
        let message = format!(
            "{} keeps evidence, which this build cannot: build it with the feature `evidence`",
            folder.path().display()
        );
        return Err(StorageError::Other { message, source: None });
    }
    Ok(Box::new(NoObserver))
}

/// Drops without waiting: what is queued is still written, then the committer ends. Use [`close`](StorageBackend::close) to wait for that.
impl Drop for FileStorage {
    fn drop(&mut self) {
        if let Some(committer) = &self.committer {
            committer.close();
        }
    }
}

#[async_trait]
impl StorageBackend for FileStorage {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.write_all(std::slice::from_ref(entry)).await?;
        Ok(entry.id.clone())
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        if let Some(found) = self.catalog.find_cached(id) {
            return Ok(found);
        }
        let id = id.clone();
        let find = move |catalog: &Catalog| {
            Ok(catalog.find(&catalog.snapshot()?, &id)?.map(|found| found.entry))
        };
        self.read_blocking(find).await
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.read_blocking(move |catalog| scan::list(catalog, start, end)).await
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.delete_noting(id, self.erase_defaults.reason_or("deleted".to_owned())?).await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        match self.catalog.count_cached() {
            Some(count) => Ok(count),
            None => self.read_blocking(|catalog| catalog.count(&catalog.snapshot()?)).await,
        }
    }

    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        self.write_all(entries).await
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let lines = self.serialised(entries);
        Box::pin(async move { self.committer()?.append(lines?).await })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        Box::pin(scan::stream(Arc::clone(&self.catalog), query, |_, entry| entry))
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        Box::pin(scan::stream(Arc::clone(&self.catalog), query, |line, _| line.to_vec()))
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let note = self.erase_defaults.reason_or(format!("expired: {cutoff} and before"))?;
        let expiry = |answer| Job::Chore(Chore::Expire(Expiry::new(cutoff, note, answer)));
        self.committer()?.submit(expiry).await
    }

    async fn compact(&self) -> Result<u64, StorageError> {
        let compaction = |answer| Job::Chore(Chore::Compact(Compaction::new(answer)));
        self.committer()?.submit(compaction).await
    }

    async fn flush(&self) -> Result<(), StorageError> {
        match &self.committer {
            Some(committer) => committer.submit(|answer| Job::Flush { answer }).await,
            None => Ok(()),
        }
    }

    async fn close(&self) -> Result<(), StorageError> {
        match &self.committer {
            Some(committer) => match committer.submit(|answer| Job::Close { answer }).await {
                Err(StorageError::Closed) => Ok(()),
                outcome => outcome,
            },
            None => Ok(()),
        }
    }
}
