//! What can go wrong with a store, sorted by what a caller can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{EntryId, InvalidId, MAX_LINE_BYTES, Timestamp};

/// Why an operation on a storage backend failed.
///
/// Messages do not repeat their cause; walk [`source`](Error::source) for it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The entry must not be written as it is. The caller's to mend; nothing was written.
    #[error("the entry cannot be written")]
    InvalidEntry(#[from] InvalidEntry),
    /// The query contradicts itself.
    #[error("the query cannot be answered")]
    InvalidQuery(#[from] InvalidQuery),
    /// Another entry has this id already. Entries are immutable: the stored one stays.
    #[error("another entry with the id {id} is stored already; entries are never replaced")]
    AlreadyExists {
        /// The id in question.
        id: EntryId,
    },
    /// A stored record cannot be read. The others can.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// A call to the operating system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, such as `append to`.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A service across the network refused a request, or could not be reached.
    #[error("cannot {action} {location}")]
    Remote {
        /// What was attempted, such as `write`.
        action: &'static str,
        /// What it was attempted on, such as `s3://bucket/key`.
        location: String,
        /// Whether the same request may succeed later.
        retryable: bool,
        /// What the service answered, or why it could not be asked.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process held the store's lock for longer than can be waited for.
    #[error("another process keeps {} locked; it may be stopped or stuck", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The store was opened for reading only.
    #[error("{} was opened read-only", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The backend was closed, or its worker is gone.
    #[error("the store is closed")]
    Closed,
    /// Anything else, from a backend that is not part of this project for instance.
    #[error("{message}")]
    Other {
        /// What failed, and on what.
        message: String,
        /// The cause, if there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StorageError {
    /// An [`Io`](Self::Io) error: `action` on `path` failed with `source`.
    ///
    /// ```
    /// use attestry_core::StorageError;
    /// let error = StorageError::io("append to", "/var/log/audit", std::io::ErrorKind::StorageFull.into());
    /// assert_eq!(error.to_string(), "cannot append to /var/log/audit");
    /// ```
    #[must_use]
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Other`](Self::Other) error with a cause.
    #[must_use]
    pub fn other(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Other { message: message.into(), source: Some(source.into()) }
    }

    /// Whether the same call may succeed later without anything being mended by the caller: the
    /// disk was full, the store was locked, the system was busy, a service was overloaded.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use io::ErrorKind::{
            Interrupted, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock,
        };
        match self {
            Self::Locked { .. } => true,
            Self::Remote { retryable, .. } => *retryable,
            Self::Io { source, .. } => matches!(
                source.kind(),
                Interrupted | QuotaExceeded | ResourceBusy | StorageFull | TimedOut | WouldBlock
            ),
            _ => false,
        }
    }
}

/// Why an entry must not be written.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum InvalidEntry {
    /// The id may not be one.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A number is not finite, and JSON has no form for it.
    #[error("{field} must be a finite number, not {value}")]
    NotFinite {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// The metadata nest too deep to be read back.
    #[error("metadata must nest at most {} levels deep", crate::MAX_METADATA_DEPTH)]
    MetadataTooDeep,
    /// The line would be too long.
    #[error(
        "the entry takes at least {length} bytes as a line; at most {MAX_LINE_BYTES} are allowed"
    )]
    TooLarge {
        /// Its length in bytes, or that of its content alone.
        length: usize,
    },
}

/// Why a query cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// The range ends before it starts.
    #[error("the range starts at {since}, after its end at {until}; swap the two")]
    SinceAfterUntil {
        /// The start.
        since: Timestamp,
        /// The end.
        until: Timestamp,
    },
}

/// A stored record that cannot be read: where it lies, and what is wrong with it.
///
/// The reason names fields and positions, never content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptRecord {
    /// The file or object that holds it.
    pub location: String,
    /// The byte offset of its first byte, where it is part of a file.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt record in {}", self.location)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl Error for CorruptRecord {}
