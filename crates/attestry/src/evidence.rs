//! Evidence that a file store was not rewritten: a Merkle tree of its lines, signed checkpoints, and
//! proofs (feature `evidence`).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("audit");
//! use attestry::Interaction;
//! use attestry::evidence::{EvidenceExt, EvidenceOptions, Policy, SigningKey, VerifyOptions, line_hash};
//!
//! let key = SigningKey::generate("example.com/audit")?;
//! let policy = Policy::new(key.public());
//! let log = attestry::open(path).evidence(EvidenceOptions::new(key)).await?;
//! let id = log.log(Interaction::new("What is 2+2?", "4")).await?;
//!
//! let evidence = log.evidence()?;
//! let checkpoint = evidence.checkpoint().await?; // store it elsewhere
//! let entry = evidence.inclusion_proof(&id).await?.expect("just stored");
//! entry.proof.verify(line_hash(&entry.line)?, &policy)?;
//! let report = evidence.verify(VerifyOptions::new().policy(policy)).await?;
//! assert!(report.is_clean());
//! # drop(checkpoint);
//! # log.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use attestry_evidence::*;
pub use attestry_file::{
    AnchorRecord, Backfill, CheckpointReader, Comparison, CosignedCheckpoint, EntryProof, Erasure,
    Erasures, EvidenceError, EvidenceOptions, EvidenceProblem, HeldCheckpoint, NewestCheckpoint,
    Observation, ObservationKind, ProblemKind, RecordSignature, RecordedErasure, SignerMemory,
    StoredTimestamp, TileExport, TreeRebuild, Verification, VerifyOptions, VerifyProgress,
};

use attestry_core::StorageBackend as _;
use attestry_file::FileStorage;
use attestry_logger::AuditLogger;

/// The evidence of a logger's store.
pub trait EvidenceExt {
    /// The file store behind the logger, with its evidence methods:
    /// [`checkpoint`](FileStorage::checkpoint), [`latest_checkpoint`](FileStorage::latest_checkpoint),
    /// [`store_cosigned_checkpoint`](FileStorage::store_cosigned_checkpoint),
    /// [`inclusion_proof`](FileStorage::inclusion_proof),
    /// [`inclusion_proofs`](FileStorage::inclusion_proofs),
    /// [`consistency_proof`](FileStorage::consistency_proof), [`compare`](FileStorage::compare),
    /// [`export_tiles`](FileStorage::export_tiles), [`verify`](FileStorage::verify),
    /// [`erasures_of`](FileStorage::erasures_of), [`erasure_records`](FileStorage::erasure_records),
    /// [`newest_erasure_records`](FileStorage::newest_erasure_records),
    /// [`delete_because`](FileStorage::delete_because); and for the keys of the log
    /// [`authorize_erasure_key`](FileStorage::authorize_erasure_key),
    /// [`replace_key`](FileStorage::replace_key), [`end_key`](FileStorage::end_key) and
    /// [`accept_tree`](FileStorage::accept_tree).
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Unsupported`] if the logger's store is not a file store. A file store that keeps
    /// no evidence is returned; its methods fail with [`EvidenceError::NotKept`].
    fn evidence(&self) -> Result<&FileStorage, EvidenceError>;
}

impl EvidenceExt for AuditLogger {
    fn evidence(&self) -> Result<&FileStorage, EvidenceError> {
        let backend = self.storage().as_any();
        backend.and_then(|backend| backend.downcast_ref()).ok_or(EvidenceError::Unsupported)
    }
}
