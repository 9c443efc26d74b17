//! The public API of the feature `evidence`: methods of the store and its builder.

use attestry_core::{EntryId, StorageError};
use attestry_evidence::{ConsistencyProof, OpenedCheckpoint, Policy};

use crate::builder::FileStorageBuilder;
use crate::observer::EraseReason;
use crate::storage::FileStorage;
use crate::tree::{
    EntryProof, EvidenceError, EvidenceOptions, TreeObserver, Verification, VerifyOptions, prove,
    verify,
};
use crate::writer::Job;

/// With the feature `evidence`.
impl FileStorageBuilder {
    /// Has the store keep [`EvidenceOptions`], from now on. What is there already becomes the beginning of
    /// the tree, which is remembered as such.
    ///
    /// A folder that keeps evidence goes on doing so, whether this is called or not; but only with
    /// it are checkpoints signed. Begin while no program has the folder open that was built without
    /// the feature `evidence`: it would erase entries without a record.
    pub fn evidence(mut self, evidence: EvidenceOptions) -> Self {
        self.settings.evidence = Some(evidence);
        self
    }

    /// In whose name entries are erased, for the record of it; `attestry` unless set. At most 1,024
    /// bytes, or erasing fails.
    pub fn erased_by(mut self, name: impl Into<String>) -> Self {
        self.settings.erase_defaults.by = Some(name.into());
        self
    }

    /// Why entries are erased, for the record of it; `deleted`, or until when they had expired,
    /// unless set. At most 1,024 bytes, or erasing fails. The record stays for ever: put nothing
    /// into it of what was erased.
    pub fn erase_reason(mut self, reason: impl Into<String>) -> Self {
        self.settings.erase_defaults.reason = Some(reason.into());
        self
    }
}

/// With the feature `evidence`.
impl FileStorage {
    /// Signs a checkpoint of all that was acknowledged, or returns the latest where nothing has
    /// come since: a signed note, to be kept elsewhere.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NoSigningKey`]; [`EvidenceError::Disagrees`] where that would contradict an
    /// earlier checkpoint; [`EvidenceError::Storage`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be signed all the same.
    pub async fn checkpoint(&self) -> Result<String, EvidenceError> {
        self.with_tree(TreeObserver::checkpoint).await
    }

    /// The checkpoint that was signed last, whoever did, without signing one.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Storage`].
    pub async fn latest_checkpoint(&self) -> Result<Option<String>, EvidenceError> {
        self.read_blocking(|catalog| prove::latest(catalog.folder())).await
    }

    /// Stores a checkpoint of this store with the signatures that witnesses have given it. It must
    /// be signed and cosigned as `policy` asks, and be one of this tree.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Checkpoint`] where it is not, [`EvidenceError::Disagrees`] where it is of
    /// another tree, [`EvidenceError::Storage`]. Nothing is stored then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be stored all the same.
    pub async fn store_cosigned_checkpoint(
        &self,
        note: &str,
        policy: Policy,
    ) -> Result<(), EvidenceError> {
        let note = note.to_owned();
        self.with_tree(move |tree| tree.store_cosigned(&note, &policy)).await
    }

    /// The raw line of an entry with the proof that it is in the log; `None` when there is no entry
    /// of this id. The proof ends in the latest checkpoint, in a cosigned one where there is one
    /// that covers the entry.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotSigned`] where no checkpoint covers it yet,
    /// [`EvidenceError::NotInTree`], [`EvidenceError::Disagrees`], [`EvidenceError::Storage`].
    pub async fn inclusion_proof(&self, id: &EntryId) -> Result<Option<EntryProof>, EvidenceError> {
        self.inclusion_proofs(std::slice::from_ref(id)).await?.pop().unwrap_or(Ok(None))
    }

    /// [`inclusion_proof`](Self::inclusion_proof) for each of several ids, in their order, at less cost for each.
    ///
    /// # Errors
    ///
    /// As [`inclusion_proof`](Self::inclusion_proof), for each by itself; [`EvidenceError::NotKept`],
    /// [`EvidenceError::Damaged`] or [`EvidenceError::Storage`] for all.
    pub async fn inclusion_proofs(
        &self,
        ids: &[EntryId],
    ) -> Result<Vec<Result<Option<EntryProof>, EvidenceError>>, EvidenceError> {
        let ids = ids.to_vec();
        self.read_blocking(move |catalog| prove::entries(catalog, &ids)).await
    }

    /// The proof that the log only grew since `older`: for who keeps it, or a witness.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Disagrees`] where it did not, [`EvidenceError::NoCheckpoint`],
    /// [`EvidenceError::Storage`].
    pub async fn consistency_proof(
        &self,
        older: &OpenedCheckpoint,
    ) -> Result<ConsistencyProof, EvidenceError> {
        let older = older.clone();
        self.read_blocking(move |catalog| prove::growth(catalog.folder(), &older)).await
    }

    /// Goes through the whole store and names everything that is not as it was logged. Works beside
    /// writers; where something looks wrong they may have to wait while it is looked at once more.
    ///
    /// It takes the tree for what the store says it is, and so proves something only against a
    /// checkpoint: one in the store, by the key of its [policy](VerifyOptions::policy), or better one that
    /// was [kept](VerifyOptions::against) elsewhere.
    ///
    /// Memory does not grow with the store, but for the erasure records, some 300 bytes each, and
    /// the checkpoints, some 150; where a segment was tampered with, all its hashes come to it.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`], [`EvidenceError::Damaged`] where the tree itself cannot be read,
    /// [`EvidenceError::Storage`]. What is wrong with the store is no error but among the
    /// [problems](Verification::problems).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it reads on to its end for nothing.
    pub async fn verify(&self, options: VerifyOptions) -> Result<Verification, EvidenceError> {
        self.read_blocking(move |catalog| verify::run(catalog.folder(), &options)).await
    }

    /// Deletes an entry as [`delete`](attestry_core::StorageBackend::delete) does, with a reason and
    /// a name of its own for the record.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; also where either text has more than 1,024 bytes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be deleted all the same.
    pub async fn delete_because(
        &self,
        id: &EntryId,
        reason: &str,
        by: &str,
    ) -> Result<bool, StorageError> {
        self.delete_with_reason(id, EraseReason::new(reason.to_owned(), by.to_owned())?).await
    }

    /// Runs `request` on the writer thread, with the store lock held and all appended lines synced.
    async fn with_tree<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut TreeObserver) -> Result<T, EvidenceError> + Send + 'static,
    ) -> Result<T, EvidenceError> {
        let path = self.path().to_path_buf();
        let job = |responder: tokio::sync::oneshot::Sender<_>| {
            Job::observer(move |observer| {
                let tree = observer.map(TreeObserver::from_any).map_err(EvidenceError::from);
                let tree = tree.and_then(|tree| tree.ok_or(EvidenceError::NotKept { path }));
                drop(responder.send(tree.and_then(request)));
            })
        };
        self.writer()?.submit(job).await
    }
}
