//! Parts of calls as lines of the second store.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attestry::file::FileStorage;
use attestry::{
    AuditEntry, AuditError, AuditLogger, EntryId, Interaction, Query, StorageError, Timestamp,
};
use attestry_genai::CallRecord;
use futures_util::StreamExt as _;
use tokio::time::Instant;

/// What a line of the inbox is, in the field `model`.
const PART: &str = "part";
const DONE: &str = "done";
/// Segments are removed whole, so they are small.
const SEGMENT_MIB: u64 = 16;

/// A part of a call in the inbox.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: EntryId,
    /// Its time in the inbox, which no other part has.
    pub(super) time: Timestamp,
    /// When the call is written at the latest.
    pub(super) due: Instant,
    pub(super) bytes: usize,
    /// Whether it is on disk. Only then is its call written: after a crash, the parts of a call that was written are
    /// all found again.
    stored: Arc<AtomicBool>,
}

impl Part {
    pub(super) fn new(
        line: &AuditEntry,
        bytes: usize,
        due: Instant,
        stored: &Arc<AtomicBool>,
    ) -> Self {
        let stored = Arc::clone(stored);
        Self { id: line.id.clone(), time: line.timestamp, due, bytes, stored }
    }

    pub(super) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }
}

/// The second store: a line for each part, and one for the parts of calls that have been written.
#[derive(Debug)]
pub(super) struct PartStore {
    spool: AuditLogger,
    /// Held while the server runs.
    _lock: File,
}

/// Parts that a server left behind.
#[derive(Default)]
pub(super) struct LeftParts {
    pub(super) parts: Vec<(CallRecord, Part)>,
    /// Of the last line.
    pub(super) last: Option<Timestamp>,
}

/// Why the inbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartError {
    #[error("another server uses it; give each server a folder of its own")]
    InUse,
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the part {id} cannot be decrypted; start with the key that it was encrypted with")]
    Decrypt { id: EntryId, source: AuditError },
    #[error("the part {id} cannot be read")]
    Record { id: EntryId, source: attestry_genai::RecordError },
}

impl PartStore {
    /// Opens the store, with the encryption of `logger`.
    pub(super) async fn open(folder: &Path, logger: &AuditLogger) -> Result<Self, PartError> {
        let storage = FileStorage::builder(folder).rotation_size_mb(SEGMENT_MIB).open().await?;
        let path = folder.join(".attestry").join("server.lock");
        let failed = |source| PartError::Lock { path: path.clone(), source };
        let lock = File::create(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { spool: logger.content_spool(storage), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PartError::InUse),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The line of a part.
    pub(super) fn line(&self, record_json: &str) -> Result<AuditEntry, AuditError> {
        self.spool.prepare(Interaction::new(record_json, "").model(PART))
    }

    /// Stores lines durably.
    pub(super) async fn append(&self, lines: &[AuditEntry]) -> Result<(), StorageError> {
        self.spool.storage().append(lines).await
    }

    /// Records that the calls of these parts have been written.
    pub(super) async fn mark_done(
        &self,
        parts: &[EntryId],
        time: Timestamp,
    ) -> Result<(), AuditError> {
        let ids = parts.iter().map(EntryId::as_str).collect::<Vec<_>>().join("\n");
        self.spool.log(Interaction::new(ids, "").model(DONE).timestamp(time)).await.map(drop)
    }

    /// Removes all lines up to this time.
    pub(super) async fn remove_until(&self, time: Timestamp) -> Result<u64, StorageError> {
        self.spool.storage().delete_at_or_before(time).await
    }

    pub(super) async fn close(&self) -> Result<(), AuditError> {
        self.spool.close().await
    }

    /// The parts of calls that have not been written, in the order in which they came. `deadline` is counted from when
    /// they were received.
    pub(super) async fn left(&self, deadline: Duration) -> Result<LeftParts, PartError> {
        let mut left = LeftParts::default();
        let mut parts: HashMap<String, (CallRecord, Part)> = HashMap::new();
        let mut lines = self.spool.query(Query::new());
        while let Some(line) = lines.next().await {
            let line = line?;
            left.last = left.last.max(Some(line.timestamp));
            let id = line.id.clone();
            let content = self.spool.decrypt_entry(&line);
            let content =
                content.map_err(|source| PartError::Decrypt { id: id.clone(), source })?;
            let text = content.input.unwrap_or_default();
            if line.model.as_deref() == Some(DONE) {
                // Marks come after their parts.
                for done in text.lines() {
                    parts.remove(done);
                }
                continue;
            }
            let record =
                CallRecord::from_json(&text).map_err(|source| PartError::Record { id, source })?;
            let stored = Arc::new(AtomicBool::new(true));
            let part = Part::new(&line, text.len(), due(line.timestamp, deadline), &stored);
            parts.insert(line.id.as_str().to_owned(), (record, part));
        }
        left.parts = parts.into_values().collect();
        left.parts.sort_unstable_by_key(|(_, part)| part.time);
        Ok(left)
    }
}

/// When a part that was received at `time` is due.
fn due(time: Timestamp, deadline: Duration) -> Instant {
    let micros = Timestamp::now().unix_micros().saturating_sub(time.unix_micros());
    let age = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    Instant::now() + deadline.saturating_sub(age)
}
