//! Errors of evidence, by what the caller can do about them.

use std::io;
use std::path::{Path, PathBuf};

use attestry_core::{EntryId, ErrorKind, StorageError};
use attestry_evidence::{Hash, InvalidErasure, InvalidRecord, OpenError, RecordError, TreeError};
use thiserror::Error;

pub(super) type Result<T> = std::result::Result<T, EvidenceError>;

/// Why evidence could not be recorded, or no proof given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The folder keeps no evidence. Open it with [`FileStorageBuilder::evidence`] to start.
    ///
    /// [`FileStorageBuilder::evidence`]: crate::FileStorageBuilder::evidence
    #[error("{} keeps no evidence", path.display())]
    NotKept {
        /// The folder.
        path: PathBuf,
    },
    /// The store is not a file store.
    #[error("only file stores keep evidence; open a folder, such as file:///var/log/audit")]
    Unsupported,
    /// The store was opened without a signing key.
    #[error("{} was opened without a signing key", path.display())]
    NoSigningKey {
        /// The folder.
        path: PathBuf,
    },
    /// The line of the entry is not in the tree. Another program wrote it since the store was last
    /// opened for writing; or the line was inserted by tampering.
    #[error("the entry {id} is not in the tree")]
    NotInTree {
        /// The entry.
        id: EntryId,
    },
    /// No checkpoint covers the entry yet. Sign one.
    #[error("no checkpoint covers the entry {id} yet")]
    NotSigned {
        /// The entry.
        id: EntryId,
    },
    /// The store has no checkpoint. Sign one.
    #[error("{} has no checkpoint yet", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// The tree contradicts a checkpoint: leaves were changed or removed. Nothing is signed from now
    /// on. `verify` reports what was changed.
    #[error("the tree contradicts its checkpoint of {size} leaves")]
    Disagrees {
        /// The size in the checkpoint.
        size: u64,
    },
    /// A stored checkpoint of the same origin is of another tree: the folder was merged with that of
    /// another store. Nothing is signed until its checkpoints are moved away.
    #[error(
        "the checkpoint of {size} leaves in {} is of another tree than that of {leaves} leaves in {}",
        checkpoint.display(),
        tree.display()
    )]
    OtherTree {
        /// The file with the checkpoint.
        checkpoint: PathBuf,
        /// The size in the checkpoint.
        size: u64,
        /// The folder of the tree.
        tree: PathBuf,
        /// The number of its leaves.
        leaves: u64,
    },
    /// The folder contains entries, but no tree. Evidence over existing entries begins only on request:
    /// [`EvidenceOptions::adopt_existing`]. If the folder kept evidence before, its tree was removed.
    ///
    /// [`EvidenceOptions::adopt_existing`]: crate::EvidenceOptions::adopt_existing
    #[error("{} contains entries, but no evidence of them", path.display())]
    NotBegun {
        /// The folder.
        path: PathBuf,
    },
    /// Entries of a folder that keeps evidence are erased with a key only: that of the log, or one that
    /// the log has authorised. See [`FileStorageBuilder::erasure_key`].
    ///
    /// [`FileStorageBuilder::erasure_key`]: crate::FileStorageBuilder::erasure_key
    #[error("{} keeps evidence, and erasing from it needs a key that signs the erasure record", path.display())]
    NoErasureKey {
        /// The folder.
        path: PathBuf,
    },
    /// The key may not sign erasures of this log: it was not authorised, was ended or was replaced. See
    /// [`FileStorage::authorize_erasure_key`].
    ///
    /// [`FileStorage::authorize_erasure_key`]: crate::FileStorage::authorize_erasure_key
    #[error("the key {key} may not sign erasures of {}", path.display())]
    NotAnErasureKey {
        /// The folder.
        path: PathBuf,
        /// The public key.
        key: String,
    },
    /// An interrupted erasure was begun with another key. Open the store with that key, or with that of the
    /// log.
    #[error("the interrupted erasure in {} was begun with {}, not with this key", path.display(), signers.join(", "))]
    OtherEraser {
        /// The intent log.
        path: PathBuf,
        /// The keys, as `name+1a2b3c4d`.
        signers: Vec<String>,
    },
    /// The key does not sign this log any more: another one has replaced it, or it was ended.
    #[error("the key {key} was replaced or ended; the log has {size} leaves")]
    KeyNotInForce {
        /// The public key.
        key: String,
        /// The number of leaves.
        size: u64,
    },
    /// The new key has another name than the log, whose origin it would change.
    #[error("the new key is named {found}, but the log is {expected}")]
    OtherOrigin {
        /// The origin of the log.
        expected: String,
        /// The name of the new key.
        found: String,
    },
    /// The tree does not extend the last checkpoint that the signer remembers: it was replaced, cut short or
    /// altered, an older copy was restored, or the key is used for two stores. Nothing is signed until
    /// [`FileStorage::accept_tree`] puts that on record.
    ///
    /// [`FileStorage::accept_tree`]: crate::FileStorage::accept_tree
    #[error(
        "the tree of {size} leaves{} does not extend the checkpoint of {remembered_size} leaves, root \
         {remembered_root}, that was signed last according to {}",
        root.map(|root| format!(", root {root} at that size,")).unwrap_or_default(),
        memory.display()
    )]
    NotAnExtension {
        /// The size of the remembered checkpoint.
        remembered_size: u64,
        /// Its root.
        remembered_root: Hash,
        /// The number of leaves of the tree.
        size: u64,
        /// The root of its first `remembered_size` leaves; `None` if it has fewer.
        root: Option<Hash>,
        /// The file of the memory.
        memory: PathBuf,
    },
    /// The signer remembers no checkpoint of this log, and the store has none either, but the tree is not
    /// empty. [`EvidenceOptions::adopt_existing`] begins with it.
    ///
    /// [`EvidenceOptions::adopt_existing`]: crate::EvidenceOptions::adopt_existing
    #[error("the tree of {size} leaves has no checkpoint, neither in the store nor in {}", memory.display())]
    NotRemembered {
        /// The number of leaves of the tree.
        size: u64,
        /// The file of the memory.
        memory: PathBuf,
    },
    /// An erasure record that no checkpoint covers is not signed: entries were erased without a key.
    /// Nothing is signed until [`FileStorage::accept_tree`] puts that on record.
    ///
    /// [`FileStorage::accept_tree`]: crate::FileStorage::accept_tree
    #[error("the erasure record at leaf {leaf} is not signed")]
    UnsignedRecord {
        /// The leaf.
        leaf: u64,
    },
    /// A record that no checkpoint covers is not authentic. Nothing is signed until
    /// [`FileStorage::accept_tree`] puts that on record.
    ///
    /// [`FileStorage::accept_tree`]: crate::FileStorage::accept_tree
    #[error("the record at leaf {leaf} is not authentic")]
    ForgedRecord {
        /// The leaf.
        leaf: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The signatures of a checkpoint do not satisfy the policy.
    #[error("checkpoint verification failed")]
    Checkpoint(#[from] OpenError),
    /// A file of the tree is damaged. [`FileStorageBuilder::rebuild_tree`] repairs all but the leaf hashes;
    /// [`FileStorageBuilder::set_tree_aside`] lets a new tree begin.
    ///
    /// [`FileStorageBuilder::rebuild_tree`]: crate::FileStorageBuilder::rebuild_tree
    /// [`FileStorageBuilder::set_tree_aside`]: crate::FileStorageBuilder::set_tree_aside
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The reason or the name of an erasure is too long for its record.
    #[error("the erasure cannot be recorded")]
    Record(#[from] InvalidErasure),
    /// A statement is too long for its record.
    #[error("the statement cannot be recorded")]
    Statement(#[from] InvalidRecord),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EvidenceError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Damaged { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Other,
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), reason: reason.into() }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Storage(StorageError::io(action, path, source))
    }

    /// An error while reading the tiles in `folder`.
    pub(super) fn tree(folder: &Path, error: TreeError<io::Error>) -> Self {
        match error {
            TreeError::Read(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                let reason = "hashes of the tree are missing: they were cut off, or copied before the tree head \
                              while the store was written";
                Self::damaged(folder, reason)
            }
            TreeError::Read(source) if source.kind() == io::ErrorKind::InvalidData => {
                Self::damaged(folder, source.to_string())
            }
            TreeError::Read(source) => Self::io("read the tree in", folder, source),
            other => Self::damaged(folder, other.to_string()),
        }
    }
}

impl From<EvidenceError> for StorageError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Storage(error) => error,
            other => Self::other("the evidence of the store cannot be kept", other),
        }
    }
}
