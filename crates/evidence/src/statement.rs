//! What the signed records of a tree state.

use attestry_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ErasureRecord, Hash, LogKey};

/// What a [`SignedRecord`](crate::SignedRecord) states.
///
/// As text it is one line of JSON: an object with one field, the kind in `snake_case`, whose value is
/// another object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Statement {
    /// Leaves were erased. Signed by a key of the log or an [erasure key](Self::ErasureKey).
    Erasure(ErasureRecord),
    /// Leaves are about to be erased. Authenticates an intent log; it is never a leaf.
    EraseIntent {
        /// The SHA-256 of the intent log, in hexadecimal.
        sha256: String,
    },
    /// The tree begins with lines that existed before it. Nothing is proven about them before this
    /// record.
    Adopted {
        /// The number of lines: the first leaves of the tree.
        leaves: u64,
        /// The time of the machine's clock.
        at: Timestamp,
    },
    /// The tree contradicts what the signer remembered, and the owner accepted that.
    Accepted {
        /// The size of the last checkpoint that the signer remembered; 0 if none.
        size: u64,
        /// Its root.
        root: Hash,
        /// The time of the machine's clock.
        at: Timestamp,
        /// The person or program that accepted.
        by: String,
        /// The reason.
        reason: String,
    },
    /// From this leaf on, `key` may sign [erasure records](Self::Erasure).
    ErasureKey {
        /// The key.
        key: LogKey,
        /// The time of the machine's clock.
        at: Timestamp,
    },
    /// From this leaf on, `new` signs the log in place of `old`. Signed by both.
    NewKey {
        /// The key so far.
        old: LogKey,
        /// The key from now on.
        new: LogKey,
        /// The time of the machine's clock.
        at: Timestamp,
    },
    /// Signatures of `key` on checkpoints of more than `size` leaves, and on records from leaf `size` on,
    /// do not count.
    KeyEnded {
        /// The key.
        key: LogKey,
        /// The last size for which it counts.
        size: u64,
        /// The time of the machine's clock.
        at: Timestamp,
        /// The person or program that ended it.
        by: String,
        /// The reason.
        reason: String,
    },
}

impl Statement {
    /// The erasure, if the statement is one.
    #[must_use]
    pub fn erasure(&self) -> Option<&ErasureRecord> {
        match self {
            Self::Erasure(record) => Some(record),
            _ => None,
        }
    }

    /// The name of the kind, as in the JSON: `erasure`, `adopted`, `new_key`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Erasure(_) => "erasure",
            Self::EraseIntent { .. } => "erase_intent",
            Self::Adopted { .. } => "adopted",
            Self::Accepted { .. } => "accepted",
            Self::ErasureKey { .. } => "erasure_key",
            Self::NewKey { .. } => "new_key",
            Self::KeyEnded { .. } => "key_ended",
        }
    }

    /// The fields with texts of a person.
    pub(crate) fn texts(&self) -> [(&'static str, &str); 2] {
        match self {
            Self::Accepted { by, reason, .. } | Self::KeyEnded { by, reason, .. } => {
                [("reason", reason), ("by", by)]
            }
            _ => [("reason", ""), ("by", "")],
        }
    }
}
