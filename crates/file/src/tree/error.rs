//! What can go wrong with evidence, sorted by what can be done about it.

use std::io;
use std::path::{Path, PathBuf};

use attestry_core::{EntryId, StorageError};
use attestry_evidence::{InvalidErasure, OpenError, TreeError};
use thiserror::Error;

/// Why evidence could not be given or kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The folder keeps no evidence. [`FileStorageBuilder::evidence`] begins it.
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
    /// The store was opened without a key to sign with.
    #[error("{} was opened without a signing key", path.display())]
    NoSigningKey {
        /// The folder.
        path: PathBuf,
    },
    /// The entry is not in the tree: another program wrote it, and nobody has opened the store for
    /// writing since; or the line was put there by somebody who had no business to.
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
    /// No checkpoint was ever signed.
    #[error("no checkpoint of {} was signed yet", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// The tree is not the one that a checkpoint was signed of: leaves were changed or dropped.
    /// Nothing is signed any more, since that would contradict the checkpoint. `verify` tells what
    /// was changed.
    #[error("the tree is not the one whose checkpoint of {size} leaves was signed")]
    Disagrees {
        /// The size in the checkpoint.
        size: u64,
    },
    /// A checkpoint is not signed as it should be.
    #[error("a checkpoint cannot be believed")]
    Checkpoint(#[from] OpenError),
    /// A file of the tree is damaged. Where nothing was erased, the tree can be made anew: move
    /// `.attestry/tree` and `.attestry/checkpoints` away and begin again.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An erasure cannot be put on record as it is: its reason or name is too long.
    #[error("the erasure cannot be put on record")]
    Record(#[from] InvalidErasure),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EvidenceError {
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), reason: reason.into() }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Storage(StorageError::io(action, path, source))
    }

    /// What a tree that is read from files in `folder` answered.
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
            other => Self::other("the store's evidence cannot be kept", other),
        }
    }
}
