//! Errors of evidence, by what the caller can do about them.

use std::io;
use std::path::{Path, PathBuf};

use attestry_core::{EntryId, ErrorKind, StorageError};
use attestry_evidence::{InvalidErasure, OpenError, TreeError};
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
                Self::damaged(folder, "hashes of the tree are missing")
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
