//! Errors of the logger.

use std::convert::Infallible;
use std::fmt;

use attestry_core::{EntryId, ErrorKind, InvalidEntry, InvalidId, StorageError, Timestamp};
use thiserror::Error;

/// Why a call of [`AuditLogger`](crate::AuditLogger) failed.
///
/// Messages do not repeat their cause; it is the [`source`](std::error::Error::source).
/// [`ErrorChain`](attestry_core::ErrorChain) prints both.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The storage backend failed, or the entry is invalid.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A text is not a valid id.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// A cleanup would delete more than half of the entries, as it does when the clock is wrong.
    #[error(
        "{expired} of {entries} entries have expired at {cutoff} UTC, more than half; nothing was deleted"
    )]
    LargeCleanup {
        /// About how many entries would be deleted.
        expired: u64,
        /// How many entries there are.
        entries: u64,
        /// The time at or before which entries have expired.
        cutoff: Timestamp,
    },
    /// The content is encrypted, and the logger has no encryption manager (the specification's
    /// `ValueError`).
    #[error(
        "the content is encrypted and no key is configured; configure the logger with its encryption key"
    )]
    NoEncryption,
    /// The content cannot be decrypted (the specification's `InvalidToken`).
    #[cfg(feature = "encryption")]
    #[error("cannot decrypt the content")]
    Decrypt(#[from] attestry_crypto::DecryptError),
    /// One of the entry's contents was altered after it was encrypted: the other one authenticates
    /// with the same key, this one does not.
    #[cfg(feature = "encryption")]
    #[error("the stored {field} of entry {id} was altered after it was encrypted")]
    Altered {
        /// The entry.
        id: EntryId,
        /// The content concerned.
        field: ContentField,
        /// The error of the cipher.
        source: attestry_crypto::DecryptError,
    },
    /// The content does not match the entry's hash.
    #[error("the stored {field} of entry {id} does not match its hash")]
    HashMismatch {
        /// The entry.
        id: EntryId,
        /// The content concerned.
        field: ContentField,
    },
    /// The entry's hashes are keyed, and the logger has no hash key.
    #[error("the hash of entry {id} is keyed; configure the logger with the hash key to check it")]
    NoHashKey {
        /// The entry.
        id: EntryId,
    },
}

/// A content field of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The format has two.
pub enum ContentField {
    /// The input.
    Input,
    /// The output.
    Output,
}

impl AuditError {
    /// Whether the same call may succeed later although the caller changes nothing; see
    /// [`StorageError::is_retryable`].
    ///
    /// A call of `log` that failed may have stored the entry. Set [`Interaction::id`] to make a retry
    /// idempotent.
    ///
    /// [`Interaction::id`]: crate::Interaction::id
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_retryable())
    }

    /// The kind of failure, with a stable label for metrics ([`ErrorKind::as_str`]).
    ///
    /// ```
    /// use attestry_logger::AuditError;
    /// assert_eq!(AuditError::NoEncryption.kind().as_str(), "no_encryption");
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::InvalidId(_) => ErrorKind::InvalidId,
            Self::LargeCleanup { .. } => ErrorKind::LargeCleanup,
            Self::NoEncryption => ErrorKind::NoEncryption,
            #[cfg(feature = "encryption")]
            Self::Decrypt(_) => ErrorKind::Decrypt,
            #[cfg(feature = "encryption")]
            Self::Altered { .. } => ErrorKind::Altered,
            Self::HashMismatch { .. } => ErrorKind::HashMismatch,
            Self::NoHashKey { .. } => ErrorKind::NoHashKey,
        }
    }
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

/// Lets a method accept a text as well as an [`EntryId`], whose conversion cannot fail.
impl From<Infallible> for AuditError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
