//! What can go wrong between a call and its record.

use std::convert::Infallible;
use std::fmt;

use attestry_core::{EntryId, InvalidEntry, InvalidId, StorageError};
use thiserror::Error;

/// Why a call of [`AuditLogger`](crate::AuditLogger) failed.
///
/// Messages do not repeat their cause; walk [`source`](std::error::Error::source) for it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The storage backend failed, or refused the entry.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A text given as an id cannot be one.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The content is encrypted, and the logger has no encryption manager (the specification's
    /// `ValueError`).
    #[error(
        "the content is encrypted and no key is configured; give the logger the key it was encrypted with"
    )]
    NoEncryption,
    /// The content cannot be decrypted (the specification's `InvalidToken`).
    #[cfg(feature = "encryption")]
    #[error("cannot decrypt the content")]
    Decrypt(#[from] attestry_crypto::DecryptError),
    /// One of the entry's contents was altered since it was encrypted: its sibling authenticates
    /// with the same key, this one does not.
    #[cfg(feature = "encryption")]
    #[error("the stored {field} of entry {id} was altered after it was encrypted")]
    Altered {
        /// The entry.
        id: EntryId,
        /// Which of its contents.
        field: ContentField,
        /// What the cipher said.
        source: attestry_crypto::DecryptError,
    },
    /// The content is readable and is not what the entry's hash was made of.
    #[error("the stored {field} of entry {id} does not match its hash")]
    HashMismatch {
        /// The entry.
        id: EntryId,
        /// Which of its contents.
        field: ContentField,
    },
    /// The entry carries keyed hashes, and the logger has no hash key to check them with.
    #[error("entry {id} carries a keyed hash; give the logger the hash key to check it")]
    NoHashKey {
        /// The entry.
        id: EntryId,
    },
}

/// One of the two contents of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The format has these two.
pub enum ContentField {
    /// What was asked.
    Input,
    /// What was answered.
    Output,
}

impl fmt::Display for ContentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

impl From<InvalidEntry> for AuditError {
    fn from(error: InvalidEntry) -> Self {
        Self::Storage(error.into())
    }
}

/// So that a method may take either a text or an [`EntryId`].
impl From<Infallible> for AuditError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
