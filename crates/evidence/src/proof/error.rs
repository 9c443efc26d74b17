//! What can be wrong with a proof.

use thiserror::Error;

use super::MAX_PATH;
use crate::{Hash, InvalidHash, OpenError};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It is about a leaf that a tree of this size does not have.
    #[error("there is no leaf {index} in a tree of {size} leaves")]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The newer tree is smaller than the older. A log never shrinks: leaves were dropped.
    #[error("the newer tree has {new} leaves, the older one {old}: leaves were dropped")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// It has more or fewer hashes than a proof between these places.
    #[error("the proof has {found} hashes, which cannot be right")]
    WrongLength {
        /// How many hashes it has.
        found: usize,
    },
    /// It leads to another root than that of the tree: this leaf, or this proof, is not of it.
    #[error("the leaf is not in the tree: the proof leads to the root {found}, not {expected}")]
    NotIncluded {
        /// The root of the tree.
        expected: Hash,
        /// The root the proof leads to.
        found: Hash,
    },
    /// It does not connect the two roots: what the older tree held was changed.
    #[error("the tree of {new} leaves did not grow out of the one of {old}: history was changed")]
    NotConsistent {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
}

/// Why a text is not a proof that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidProof {
    /// The first line is another than that of the format.
    #[error("the first line is not {expected:?}")]
    Header {
        /// What it should be, or begin with.
        expected: &'static str,
    },
    /// There is no line `index` with a number.
    #[error("there is no line with the index of the leaf")]
    Index,
    /// The extra data is not base64.
    #[error("the extra data is not base64")]
    Extra,
    /// A line of the proof is not a hash.
    #[error("hash {number} of the proof is none")]
    Hash {
        /// Which; the first is 1.
        number: usize,
        /// What is wrong with it.
        source: InvalidHash,
    },
    /// There are more hashes than any proof has.
    #[error("the proof has more than {MAX_PATH} hashes")]
    TooLong,
    /// There is no empty line and checkpoint after the hashes.
    #[error("no checkpoint follows the hashes of the proof")]
    NoCheckpoint,
}

/// Why a proof with its checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The checkpoint is not: nothing it says counts.
    #[error("the checkpoint of the proof cannot be trusted")]
    Checkpoint(#[from] OpenError),
    /// The checkpoint is genuine, but the proof does not lead to it.
    #[error("the proof does not hold")]
    Proof(#[from] ProofError),
    /// The proof starts from a tree of another size than the older checkpoint.
    #[error("the proof is about a tree of {found} leaves, the older checkpoint is of {expected}")]
    OtherSize {
        /// The size in the older checkpoint.
        expected: u64,
        /// The size in the proof.
        found: u64,
    },
}
