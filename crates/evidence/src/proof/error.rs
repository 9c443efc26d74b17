//! Errors of proofs.

use thiserror::Error;

use super::MAX_PATH;
use crate::{Hash, InvalidHash, OpenError};

/// Why a proof is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A tree of this size does not have the leaf.
    #[error("there is no leaf {index} in a tree of {size} leaves")]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The newer tree is smaller than the older one. A log never shrinks: leaves were dropped.
    #[error("the newer tree has {new} leaves, the older one {old}: leaves were dropped")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// No proof for these sizes has this number of hashes.
    #[error("the proof has {found} hashes, which is wrong for these sizes")]
    WrongLength {
        /// The number of hashes.
        found: usize,
    },
    /// The proof leads to another root: the leaf, or the proof, is not of this tree.
    #[error("the leaf is not in the tree: the proof leads to the root {found}, not {expected}")]
    NotIncluded {
        /// The root of the tree.
        expected: Hash,
        /// The root the proof leads to.
        found: Hash,
    },
    /// The proof does not connect the two roots: leaves of the older tree were changed.
    #[error(
        "the tree of {new} leaves is not consistent with the tree of {old}: history was changed"
    )]
    NotConsistent {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
}

/// Why a text is not a proof.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidProof {
    /// The first line is not that of the format.
    #[error("the first line is not {expected:?}")]
    Header {
        /// The expected line or prefix.
        expected: &'static str,
    },
    /// There is no `index` line with a number.
    #[error("there is no line with the index of the leaf")]
    Index,
    /// The extra data is not base64.
    #[error("the extra data is not base64")]
    Extra,
    /// A line of the proof is not a hash.
    #[error("hash {number} of the proof is malformed")]
    Hash {
        /// The number of the hash, from 1.
        number: usize,
        /// The cause.
        source: InvalidHash,
    },
    /// There are more hashes than in any proof.
    #[error("the proof has more than {MAX_PATH} hashes")]
    TooLong,
    /// No empty line and checkpoint follow the hashes.
    #[error("no checkpoint follows the hashes of the proof")]
    NoCheckpoint,
}

/// Why a proof with its checkpoint is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The verification of the checkpoint failed.
    #[error("checkpoint verification failed")]
    Checkpoint(#[from] OpenError),
    /// The checkpoint is valid, but the proof does not lead to it.
    #[error("proof verification failed")]
    Proof(#[from] ProofError),
    /// The proof starts from another size than that of the older checkpoint.
    #[error("the proof starts from size {found}, but the older checkpoint has size {expected}")]
    OtherSize {
        /// The size of the older checkpoint.
        expected: u64,
        /// The older size of the proof.
        found: u64,
    },
}
