//! Why a signed checkpoint is not accepted.

use thiserror::Error;

use crate::InvalidCheckpoint;

/// Why a signed checkpoint is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The text is not a signed note: a text, an empty line and signature lines.
    #[error("this is not a signed note: a text, an empty line and signature lines")]
    NotANote,
    /// There is no signature of the log's key.
    #[error("the checkpoint is not signed with the key {name}+{id:08x} of the log")]
    NotSigned {
        /// The name of the log's key.
        name: String,
        /// The id of the log's key.
        id: u32,
    },
    /// The key that signed it does not sign checkpoints of this size: it was replaced or ended before, or
    /// came later.
    #[error("the key {name}+{id:08x} does not sign checkpoints of {size} leaves")]
    NotInForce {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
        /// The number of leaves of the checkpoint.
        size: u64,
    },
    /// A signature with the name and id of a known key is invalid: the text or the signature was
    /// altered, or the signature was forged.
    #[error("the signature of {name}+{id:08x} is invalid")]
    BadSignature {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
    },
    /// The signed text is not a checkpoint.
    #[error("the signed text is not a checkpoint")]
    NotACheckpoint(#[from] InvalidCheckpoint),
    /// The checkpoint belongs to another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    OtherLog {
        /// The origin of the policy.
        expected: String,
        /// The origin of the checkpoint.
        found: String,
    },
    /// There are enough cosignatures, but not of the witnesses that the groups of a
    /// [`PolicyFile`](crate::PolicyFile) demand.
    #[error("the {found} cosignatures of known witnesses are not those that the policy demands")]
    NoQuorum {
        /// The cosignatures found.
        found: usize,
    },
    /// There are fewer cosignatures than needed.
    #[error("the checkpoint has {found} cosignatures of known witnesses, {needed} are needed")]
    TooFewWitnesses {
        /// The cosignatures needed.
        needed: usize,
        /// The cosignatures found.
        found: usize,
    },
}
