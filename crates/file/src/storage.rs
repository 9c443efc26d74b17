//! The backend: validates and encodes entries, passes changes to the writer thread and reads to the
//! catalog.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::metrics::{StorageCounters, StorageMetrics};
use attestry_core::{
    AppendFuture, AuditEntry, Cursor, EntryId, EntryStream, LineStream, Query, StorageBackend,
    StorageError, Timestamp, async_trait, calls, event, line, span,
};
use tokio::sync::oneshot;

use crate::active_segment::ActiveSegment;
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
#[cfg(not(feature = "evidence"))]
use crate::fs::open;
use crate::maintenance::{LogParts, MaintenanceJob};
#[cfg(not(feature = "evidence"))]
use crate::observer::NoObserver;
use crate::observer::{EraseReason, LeafHasher, LineEnd, LineKey, LogObserver};
use crate::quarantine::{self, Quarantined};
use crate::reader::{Catalog, Found, scan};
use crate::recovery::{self, RecoveryReport, Unfinished};
use crate::segment::IndexKeys;
use crate::settings::{EraseDefaults, Settings};
#[cfg(feature = "evidence")]
use crate::tree::TreeObserver;
use crate::writer::{EncodedLines, Job, StoredLines, WriterThread};

/// The size of a line without content.
const TYPICAL_LINE_BYTES: usize = 640;

/// The size of the line of `entry` with a sixteenth for escapes; a buffer of that size seldom has to grow.
fn estimated_bytes(entry: &AuditEntry) -> usize {
    let contents = [&entry.input_content, &entry.output_content].into_iter().flatten();
    contents.map(|text| text.len() + text.len() / 16).sum::<usize>() + TYPICAL_LINE_BYTES
}

/// Ids of one erasure; bounds the size of its intent log and how long appends wait.
const IDS_PER_DELETION: usize = 1_024;

/// Audit entries in a folder of JSONL files. See the [crate's documentation](crate) for its promises,
/// and [`builder`](Self::builder) to open one.
///
/// It must be used within a Tokio runtime. Any number of processes may have a folder open and write to
/// it; a lock gives each of them one batch at a time.
#[derive(Debug)]
pub struct FileStorage {
    pub(crate) catalog: Arc<Catalog>,
    /// `None` when opened read-only.
    writer: Option<Arc<WriterThread>>,
    recovery: Arc<Mutex<RecoveryReport>>,
    rotation_bytes: u64,
    erase_defaults: EraseDefaults,
    /// That of the observer when the store was opened. The observer may become active later; then it
    /// hashes on the writer thread.
    leaf_hasher: Option<LeafHasher>,
    counters: Arc<StorageCounters>,
    index_keys: IndexKeys,
}

impl FileStorage {
    pub(crate) fn open_blocking(settings: &Settings) -> Result<Self, StorageError> {
        let _span = span!(INFO, "open", path = %settings.path.display());
        let Settings { rotation_bytes, durability, clock, .. } = *settings;
        let (erase_defaults, index_keys) =
            (settings.erase_defaults.clone(), settings.index_keys.clone());
        let folder = Folder::new(settings.path.clone());
        let catalog = |lock| {
            let catalog = Catalog::new(folder.clone(), lock, settings.listener.clone());
            Arc::new(catalog.with_keys(index_keys.clone()).with_clock(clock))
        };
        folder.check_folders()?;
        if settings.read_only {
            folder.list()?; // fails now if the folder is missing
            let unfinished = recovery::pending_erasures(&folder)?;
            let report = RecoveryReport { unfinished, ..RecoveryReport::default() };
            let (catalog, recovery) = (catalog(None), Arc::new(Mutex::new(report)));
            event!(INFO, read_only = true, "store opened");
            let (writer, leaf_hasher, counters) = (None, None, Arc::default());
            return Ok(Self {
                catalog,
                writer,
                recovery,
                rotation_bytes,
                erase_defaults,
                leaf_hasher,
                counters,
                index_keys,
            });
        }
        let counters = Arc::<StorageCounters>::default();
        recovery::create(&folder)?;
        let lock = Arc::new(StoreLock::open(&folder)?);
        let catalog = catalog(Some(lock.clone()));
        let guard = lock.acquire()?;
        let mut observer = open_observer(&folder, settings, &counters)?;
        let (erasures, mut report) = recovery::recover(&folder, &mut *observer)?;
        drop(guard);
        report.indexes_made = catalog.build_indexes()?;
        event!(
            INFO,
            read_only = false,
            indexes_made = report.indexes_made,
            files_removed = report.files_removed,
            "store opened"
        );
        catalog.save_indexes(&lock.acquire()?, rotation_bytes)?;
        let recovery = Arc::new(Mutex::new(report));
        let leaf_hasher = observer.leaf_hasher();
        let active = ActiveSegment::new(folder, rotation_bytes, durability)
            .with_keys(index_keys.clone())
            .with_clock(clock)
            .with_counters(Arc::clone(&counters));
        let log = LogParts { catalog: Arc::clone(&catalog), active, erasures, observer };
        let writer = Some(WriterThread::start(log, lock, durability, Arc::clone(&recovery))?);
        Ok(Self {
            catalog,
            writer,
            recovery,
            rotation_bytes,
            erase_defaults,
            leaf_hasher,
            counters,
            index_keys,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.catalog.folder().path()
    }

    /// Whether the store is open read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// What was repaired: when the store was opened, and since, after another process died while it
    /// wrote. A store that is open read-only repairs nothing, and reports an erasure that is not finished.
    #[must_use]
    pub fn recovery(&self) -> RecoveryReport {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size in bytes from which the active segment is rotated.
    #[must_use]
    pub fn rotation_size_bytes(&self) -> u64 {
        self.rotation_bytes
    }

    /// What the next open for writing has to finish: erasures, and last lines that are whole entries without a
    /// line break. Such lines are read like others.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`] if the store cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        self.read_blocking(|catalog| {
            let mut unfinished = recovery::pending_erasures(catalog.folder())?;
            let open_tails = catalog.open_tails()?.into_iter();
            unfinished.extend(open_tails.map(|name| recovery::open_tail(catalog.folder(), name)));
            Ok(unfinished)
        })
        .await
    }

    /// Compares the index of each segment with the segment, which is read as a whole; returns the segments
    /// whose index differed. An index is stale if a segment was changed in place and looks unchanged. Reads
    /// use correct indexes afterwards. If the store is open for writing, wrong index files are replaced, too.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`] if a segment cannot be read.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the comparison.
    pub async fn check_indexes(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.read_blocking(Catalog::check_indexes).await
    }

    /// The torn lines and checkpoints in quarantine, sorted by name: what crashes have cut short. Nothing of
    /// it was acknowledged, but lines may contain content. [`delete`](StorageBackend::delete) removes the
    /// lines of its entry, and [`delete_at_or_before`](StorageBackend::delete_at_or_before) those that have
    /// [expired](Quarantined::is_expired).
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`] if the quarantine cannot be read.
    pub async fn quarantine(&self) -> Result<Vec<Quarantined>, StorageError> {
        self.read_blocking(|catalog| quarantine::list(catalog.folder())).await
    }

    /// Removes the file called [`name`](Quarantined::name) from the quarantine; returns whether there was
    /// one.
    ///
    /// # Errors
    ///
    /// [`StorageError::ReadOnly`] if the store is open read-only, [`StorageError::Closed`],
    /// [`StorageError::Locked`], [`StorageError::Io`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel the removal.
    pub async fn remove_quarantined(&self, name: &str) -> Result<bool, StorageError> {
        let name = name.to_owned();
        self.submit(|responder| Job::RemoveQuarantined { name, responder }).await
    }

    pub(crate) fn writer(&self) -> Result<&WriterThread, StorageError> {
        let read_only = || StorageError::read_only(self.path().display().to_string());
        self.writer.as_deref().ok_or_else(read_only)
    }

    pub(crate) async fn delete_with_reason(
        &self,
        id: &EntryId,
        reason: EraseReason,
    ) -> Result<bool, StorageError> {
        let existed = self.delete_ids(std::slice::from_ref(id), reason).await?;
        Ok(existed.contains(&true))
    }

    /// Appends run between the batches.
    async fn delete_ids(
        &self,
        ids: &[EntryId],
        reason: EraseReason,
    ) -> Result<Vec<bool>, StorageError> {
        let mut existed = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_PER_DELETION) {
            let (ids, reason) = (ids.to_vec(), reason.clone());
            let delete = |responder| Job::Delete { ids, reason, responder };
            existed.extend(self.submit(delete).await?);
        }
        Ok(existed)
    }

    async fn maintain(&self, job: MaintenanceJob) -> Result<u64, StorageError> {
        self.submit(|responder| Job::Maintain { job, responder }).await
    }

    /// Queues a change that writes no entries, and waits for its response.
    async fn submit<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StorageError>>) -> Job,
    ) -> Result<T, StorageError> {
        let response = match self.writer() {
            Ok(writer) => writer.submit(job).await,
            Err(error) => Err(error),
        };
        self.counters.observe(response)
    }

    fn encode(&self, entries: &[AuditEntry]) -> Result<EncodedLines, StorageError> {
        let mut lines = EncodedLines::default();
        lines.line_ends.reserve(entries.len());
        lines.bytes.reserve(entries.iter().map(estimated_bytes).sum());
        for entry in entries {
            entry.validate()?;
            line::encode_into(entry, &mut lines.bytes)?;
            let start = lines.line_ends.last().map_or(0, |end| end.at);
            let leaf = self.leaf_hasher.map(|hash| hash(&lines.bytes[start..]));
            let key = LineKey::of(entry, &lines.bytes[start..]);
            self.index_keys.push_terms(entry, &mut lines.terms);
            let (at, terms) = (lines.bytes.len(), lines.terms.len());
            lines.line_ends.push(LineEnd { at, terms, leaf, key });
        }
        Ok(lines)
    }

    /// [`encode`](Self::encode), with ids that are looked up before the lines are stored.
    fn encode_checked(&self, entries: &[AuditEntry]) -> Result<EncodedLines, StorageError> {
        let mut lines = self.encode(entries)?;
        lines.checked_ids = entries.iter().map(|entry| entry.id.clone()).collect();
        Ok(lines)
    }

    async fn append_lines(
        &self,
        lines: Result<EncodedLines, StorageError>,
    ) -> Result<(), StorageError> {
        self.writer()?.append(lines?).await
    }

    /// Stores `entries` unless they are stored already.
    async fn write_all(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        let writing = self.counters.writing(entries.len());
        writing.end(self.append_lines(self.encode_checked(entries)).await)
    }

    /// Finds the entry of `id` on a thread that may block.
    async fn find(&self, id: &EntryId) -> Result<Option<Found>, StorageError> {
        let id = id.clone();
        self.read_blocking(move |catalog| catalog.find(&catalog.snapshot()?, &id)).await
    }

    /// Runs `read` on a thread that may block.
    pub(crate) async fn read_blocking<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        read: impl FnOnce(&Catalog) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let catalog = Arc::clone(&self.catalog);
        let done = tokio::task::spawn_blocking(move || read(&catalog)).await;
        done.unwrap_or_else(|error| {
            let message = format!("reading {} was interrupted", self.path().display());
            Err(StorageError::other(message, error).into())
        })
    }
}

/// The Merkle tree: also without options for it, since the folder may have one.
#[cfg(feature = "evidence")]
fn open_observer(
    folder: &Folder,
    settings: &Settings,
    counters: &Arc<StorageCounters>,
) -> Result<Box<dyn LogObserver>, StorageError> {
    let synced = settings.durability == crate::durability::Durability::Sync;
    let (evidence, erasure_key) = (settings.evidence.clone(), settings.erasure_key.clone());
    let observer = TreeObserver::open(folder, evidence, erasure_key, synced)?;
    Ok(Box::new(observer.with_counters(Arc::clone(counters))))
}

/// Refuses a folder that has a tree: appending and erasing without it would contradict the tree.
#[cfg(not(feature = "evidence"))]
fn open_observer(
    folder: &Folder,
    _: &Settings,
    _: &Arc<StorageCounters>,
) -> Result<Box<dyn LogObserver>, StorageError> {
    let head = folder.tree().join("head");
    if open::exists(&head).map_err(|source| StorageError::io("examine", head, source))? {
        let message = format!(
            "{} keeps evidence, which this build cannot: build it with the feature `evidence`",
            folder.path().display()
        );
        return Err(StorageError::message(message));
    }
    Ok(Box::new(NoObserver))
}

/// Does not wait: queued lines are still written, then the writer thread ends. Use
/// [`close`](StorageBackend::close) to wait for that.
impl Drop for FileStorage {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            writer.close();
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
        if let Some(found) = self.catalog.find_cached(id, |_, entry| entry) {
            return Ok(found);
        }
        Ok(self.find(id).await?.map(|found| found.entry))
    }

    async fn read_line(&self, id: &EntryId) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(found) = self.catalog.find_cached(id, |bytes, _| bytes) {
            return Ok(found);
        }
        Ok(self.find(id).await?.map(|found| found.bytes))
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.read_blocking(move |catalog| scan::list(catalog, start, end)).await
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.delete_with_reason(id, self.erase_defaults.reason_or("deleted".to_owned())?).await
    }

    async fn delete_batch(&self, ids: &[EntryId]) -> Result<Vec<bool>, StorageError> {
        self.delete_ids(ids, self.erase_defaults.reason_or("deleted".to_owned())?).await
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

    async fn write_new(&self, entries: &[AuditEntry]) -> Result<Vec<bool>, StorageError> {
        let writing = self.counters.writing(entries.len());
        let stored = StoredLines::default();
        let lines = self.encode_checked(entries);
        let lines = lines.map(|lines| EncodedLines { skipping: Some(stored.clone()), ..lines });
        writing.end(self.append_lines(lines).await)?;
        Ok(stored.take())
    }

    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let (count, lines) = (entries.len(), self.encode(entries));
        Box::pin(async move {
            let writing = self.counters.writing(count);
            writing.end(self.append_lines(lines).await)
        })
    }

    fn scan(&self, query: Query) -> EntryStream<'_> {
        if let Some(entries) = calls::entries(self, &query) {
            return entries;
        }
        Box::pin(scan::stream(Arc::clone(&self.catalog), query, |_, entry| entry))
    }

    fn scan_lines(&self, query: Query) -> LineStream<'_> {
        if let Some(lines) = calls::lines(self, &query) {
            return lines;
        }
        Box::pin(scan::stream(Arc::clone(&self.catalog), query, |line, _| line.to_vec()))
    }

    async fn have_ended(&self, starts: &[Cursor]) -> Result<Vec<bool>, StorageError> {
        let copied = starts.to_vec();
        match self.read_blocking(move |catalog| scan::have_ended(catalog, &copied)).await? {
            Some(ended) => Ok(ended),
            None => calls::have_ended(self, starts).await,
        }
    }

    async fn delete_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        let reason = self.erase_defaults.reason_or(format!("expired: {cutoff} and before"))?;
        self.maintain(MaintenanceJob::expire(cutoff, reason)).await
    }

    async fn estimate_at_or_before(&self, cutoff: Timestamp) -> Result<u64, StorageError> {
        self.read_blocking(move |catalog| {
            catalog.estimate_at_or_before(&catalog.snapshot()?, cutoff)
        })
        .await
    }

    async fn compact(&self) -> Result<u64, StorageError> {
        self.maintain(MaintenanceJob::compact()).await
    }

    async fn flush(&self) -> Result<(), StorageError> {
        if self.writer.is_none() {
            return Ok(());
        }
        self.submit(|responder| Job::Flush { responder }).await
    }

    async fn close(&self) -> Result<(), StorageError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        match writer.submit(|responder| Job::Close { responder }).await {
            Err(StorageError::Closed) => Ok(()),
            result => result,
        }
    }

    fn metrics(&self) -> Option<StorageMetrics> {
        Some(self.counters.snapshot())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
