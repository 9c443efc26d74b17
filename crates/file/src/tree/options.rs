//! How evidence is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attestry_evidence::SigningKey;

use super::EvidenceError;

/// Who wants to have each checkpoint.
pub(super) type Hook = Arc<dyn Fn(Result<&str, &EvidenceError>) + Send + Sync>;

/// Has a store keep evidence: a Merkle tree of its lines, and checkpoints of it that are signed now
/// and then. For [`FileStorageBuilder::evidence`](crate::FileStorageBuilder::evidence).
///
/// | setting | default |
/// | --- | --- |
/// | [`every_entries`](Self::every_entries) | 100,000 |
/// | [`every`](Self::every) | a minute |
/// | [`on_checkpoint`](Self::on_checkpoint) | nobody is told |
///
/// ```
/// use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
/// use attestry_evidence::{Policy, SigningKey, line_hash};
/// use attestry_file::{EvidenceOptions, FileStorage, VerifyOptions};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("audit");
/// let key = SigningKey::generate("example.com/audit")?;
/// let public = key.public(); // for whoever verifies; keep it elsewhere
/// let storage = FileStorage::builder(path).evidence(EvidenceOptions::new(key)).open().await?;
/// let entry = AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("in"), hash_content("out"));
/// storage.write(&entry).await?;
/// let kept = storage.checkpoint().await?; // for somebody else to keep
///
/// // Later: is everything still as it was?
/// let policy = Policy::new(public);
/// let found = storage.verify(VerifyOptions::new().policy(policy.clone()).against(&policy.open(&kept)?)).await?;
/// assert!(found.is_clean());
///
/// // And one entry by itself, for someone who has no store.
/// let proven = storage.inclusion_proof(&entry.id).await?.expect("it is there");
/// proven.proof.verify(line_hash(&proven.line)?, &policy)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "it has to be given to a builder"]
pub struct EvidenceOptions {
    pub(super) key: SigningKey,
    pub(super) every_entries: u64,
    pub(super) every: Duration,
    pub(super) hook: Option<Hook>,
}

impl EvidenceOptions {
    /// Evidence whose checkpoints are signed with `key`. Its name is the name of the log.
    pub fn new(key: SigningKey) -> Self {
        Self { key, every_entries: 100_000, every: Duration::from_secs(60), hook: None }
    }

    /// Signs a checkpoint whenever so many leaves have come since the last one; 0 counts as 1. One
    /// takes some milliseconds, in which nothing is written.
    pub fn every_entries(mut self, count: u64) -> Self {
        self.every_entries = count.max(1);
        self
    }

    /// Signs a checkpoint at the latest so long after the last one, if leaves have come since.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// Calls `tell` with each new checkpoint that this store signs, so that it can be kept
    /// elsewhere or cosigned, and with the error where one that was due could not be signed.
    ///
    /// It is called on the store's own thread, which must not be kept waiting: hand it on. A
    /// checkpoint that was not handed on can be read in the folder.
    ///
    /// ```
    /// # use attestry_evidence::SigningKey;
    /// # use attestry_file::EvidenceOptions;
    /// # let key = SigningKey::generate("example.com/audit")?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let evidence = EvidenceOptions::new(key).on_checkpoint(move |signed| match signed {
    ///     Ok(checkpoint) => drop(sender.send(checkpoint.to_owned())),
    ///     Err(error) => eprintln!("no checkpoint: {error}"),
    /// });
    /// # drop((evidence, receiver));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_checkpoint(
        mut self,
        tell: impl Fn(Result<&str, &EvidenceError>) + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Arc::new(tell));
        self
    }
}

impl fmt::Debug for EvidenceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvidenceOptions")
            .field("key", &self.key)
            .field("every_entries", &self.every_entries)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
