//! Settings of a store that keeps evidence.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attestry_evidence::{SignedCheckpoint, SigningKey};

use super::error::EvidenceError;
use super::memory::SignerMemory;

/// Receives each new checkpoint.
pub(super) type Hook = Arc<dyn Fn(Result<&SignedCheckpoint, &EvidenceError>) + Send + Sync>;

/// Makes a store keep evidence: a Merkle tree of its lines, and checkpoints of it that are signed
/// periodically. For [`FileStorageBuilder::evidence`](crate::FileStorageBuilder::evidence).
///
/// | setting | default |
/// | --- | --- |
/// | [`every_entries`](Self::every_entries) | 100,000 |
/// | [`every`](Self::every) | one minute |
/// | [`on_checkpoint`](Self::on_checkpoint) | none |
/// | [`memory`](Self::memory) | none |
/// | [`adopt_existing`](Self::adopt_existing) | `false` |
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
/// let public = key.public(); // for auditors; keep it outside the store
/// let storage = FileStorage::builder(path).evidence(EvidenceOptions::new(key)).open().await?;
/// let entry = AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("in"), hash_content("out"));
/// storage.write(&entry).await?;
/// let kept = storage.checkpoint().await?; // keep it outside the store
///
/// // Later: is the store unchanged?
/// let policy = Policy::new(public);
/// let found = storage.verify(VerifyOptions::new().policy(policy.clone()).against(&policy.open(&kept)?)).await?;
/// assert!(found.is_clean());
///
/// // One entry, for a reader without access to the store.
/// let proven = storage.inclusion_proof(&entry.id).await?.expect("it was written");
/// proven.proof.verify(line_hash(&proven.line)?, &policy)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until they are passed to a builder"]
pub struct EvidenceOptions {
    pub(super) key: SigningKey,
    pub(super) every_entries: u64,
    pub(super) every: Duration,
    pub(super) hook: Option<Hook>,
    pub(super) memory: Option<SignerMemory>,
    pub(super) adopt_existing: bool,
}

impl EvidenceOptions {
    /// Evidence whose checkpoints are signed with `key`. The name of the key is the origin of the log.
    pub fn new(key: SigningKey) -> Self {
        Self {
            key,
            every_entries: 100_000,
            every: Duration::from_secs(60),
            hook: None,
            memory: None,
            adopt_existing: false,
        }
    }

    /// Remembers the last signed checkpoint in a file outside the store, and signs nothing that is not an
    /// extension of it.
    ///
    /// Without a memory, the tree is compared only with the checkpoints in the store. An attacker with
    /// write access can remove them together with what they cover, and an older copy of the store has
    /// older ones: the signer would sign what is left.
    ///
    /// ```
    /// # use attestry_evidence::SigningKey;
    /// use attestry_file::{EvidenceOptions, SignerMemory};
    ///
    /// let key = SigningKey::generate("example.com/audit")?;
    /// let memory = SignerMemory::at("/var/lib/attestry/signed-checkpoints");
    /// let evidence = EvidenceOptions::new(key).memory(memory);
    /// # Ok::<(), attestry_evidence::InvalidKey>(())
    /// ```
    pub fn memory(mut self, memory: SignerMemory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Whether evidence may begin over entries that exist already, or over a tree of which neither the
    /// store nor the [memory](Self::memory) has a checkpoint.
    ///
    /// Nothing is proven about them until then. The tree states that in a signed record. By default only an
    /// empty store begins by itself.
    pub fn adopt_existing(mut self, adopt: bool) -> Self {
        self.adopt_existing = adopt;
        self
    }

    /// Signs a checkpoint when the tree has grown by `count` leaves since the last one; 0 counts as 1.
    /// Signing takes some milliseconds, during which nothing is written.
    pub fn every_entries(mut self, count: u64) -> Self {
        self.every_entries = count.max(1);
        self
    }

    /// Signs a checkpoint at most `time` after the last one, if the tree has grown since.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// Calls `hook` with each new checkpoint of this store, for example to keep it elsewhere or to
    /// have it cosigned, and with the error if a due checkpoint could not be signed.
    ///
    /// The hook runs on the writer thread, which writes nothing meanwhile: it must return quickly. A
    /// panic in it is contained. When `close` returns, the hook has received the last checkpoint and is
    /// not called again. A checkpoint is stored before the hook is called, so that one missed in a crash
    /// can be read from the folder.
    ///
    /// ```
    /// # use attestry_evidence::SigningKey;
    /// # use attestry_file::EvidenceOptions;
    /// # let key = SigningKey::generate("example.com/audit")?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let evidence = EvidenceOptions::new(key).on_checkpoint(move |signed| match signed {
    ///     Ok(checkpoint) => drop(sender.send(checkpoint.clone())),
    ///     Err(error) => eprintln!("no checkpoint: {error}"),
    /// });
    /// # drop((evidence, receiver));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_checkpoint(
        mut self,
        hook: impl Fn(Result<&SignedCheckpoint, &EvidenceError>) + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }
}

impl fmt::Debug for EvidenceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvidenceOptions")
            .field("key", &self.key)
            .field("every_entries", &self.every_entries)
            .field("every", &self.every)
            .field("memory", &self.memory)
            .field("adopt_existing", &self.adopt_existing)
            .finish_non_exhaustive()
    }
}
