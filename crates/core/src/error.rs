//! Errors of a storage backend, grouped by what a caller can do about them.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::{EntryId, InvalidId, MAX_LINE_BYTES, Timestamp};

/// Why an operation on a storage backend failed.
///
/// Messages do not repeat their cause; it is the [`source`](Error::source). [`ErrorChain`] prints
/// both. A backend builds the variants with named fields by their constructors, since fields may be
/// added:
///
/// ```
/// use attestry_core::StorageError;
///
/// let cause = std::io::Error::other("connection reset");
/// let error = StorageError::remote("write", "db://audit/42", true, cause);
/// assert_eq!(error.to_string(), "cannot write db://audit/42");
/// assert!(error.is_retryable());
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The entry is invalid. The caller has to correct it; nothing was written.
    #[error("the entry cannot be written")]
    InvalidEntry(#[from] InvalidEntry),
    /// The query contradicts itself.
    #[error("the query cannot be answered")]
    InvalidQuery(#[from] InvalidQuery),
    /// A different entry with this id is stored. Entries are immutable: the stored one stays.
    #[error("another entry with the id {id} is stored already; entries are never replaced")]
    #[non_exhaustive]
    AlreadyExists {
        /// The id.
        id: EntryId,
    },
    /// A stored record cannot be read. Other records can.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    #[non_exhaustive]
    Io {
        /// The attempted action, such as `append to`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A remote service refused a request or could not be reached.
    #[error("cannot {action} {location}")]
    #[non_exhaustive]
    Remote {
        /// The attempted action, such as `write`.
        action: &'static str,
        /// The resource, such as `s3://bucket/key`.
        location: String,
        /// Whether the same request may succeed later.
        retryable: bool,
        /// The service's response, or why there was none.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process held the store's lock until the wait timed out.
    #[error("another process keeps {} locked; it may be stopped or stuck", path.display())]
    #[non_exhaustive]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The store was opened read-only.
    #[error("{store} was opened read-only")]
    #[non_exhaustive]
    ReadOnly {
        /// The store: its path, or its URL without options.
        store: String,
    },
    /// The backend was closed, or its worker thread has ended.
    #[error("the store is closed")]
    Closed,
    /// Any other failure, from a third-party backend for instance.
    #[error("{message}")]
    #[non_exhaustive]
    Other {
        /// The failed action and its object.
        message: String,
        /// The cause, if there is one.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StorageError {
    /// An [`AlreadyExists`](Self::AlreadyExists) error.
    #[must_use]
    pub fn already_exists(id: EntryId) -> Self {
        Self::AlreadyExists { id }
    }

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

    /// A [`Remote`](Self::Remote) error: `action` on `location` failed with `source`.
    #[must_use]
    pub fn remote(
        action: &'static str,
        location: impl Into<String>,
        retryable: bool,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Remote { action, location: location.into(), retryable, source: source.into() }
    }

    /// A [`Locked`](Self::Locked) error.
    #[must_use]
    pub fn locked(path: impl AsRef<Path>) -> Self {
        Self::Locked { path: path.as_ref().to_path_buf() }
    }

    /// A [`ReadOnly`](Self::ReadOnly) error. `store` names the store in the message.
    #[must_use]
    pub fn read_only(store: impl Into<String>) -> Self {
        Self::ReadOnly { store: store.into() }
    }

    /// An [`Other`](Self::Other) error with a cause.
    #[must_use]
    pub fn other(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Other { message: message.into(), source: Some(source.into()) }
    }

    /// An [`Other`](Self::Other) error without a cause.
    #[must_use]
    pub fn message(message: impl Into<String>) -> Self {
        Self::Other { message: message.into(), source: None }
    }

    /// Whether the same call may succeed later although the caller changes nothing: the disk was
    /// full, the store was locked, the system was busy, a service was overloaded.
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

    /// The kind of failure, for metrics and for code that does not need the details.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidEntry(_) => ErrorKind::InvalidEntry,
            Self::InvalidQuery(_) => ErrorKind::InvalidQuery,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Io { .. } => ErrorKind::Io,
            Self::Remote { .. } => ErrorKind::Remote,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::ReadOnly { .. } => ErrorKind::ReadOnly,
            Self::Closed => ErrorKind::Closed,
            Self::Other { .. } => ErrorKind::Other,
        }
    }
}

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $kind:ident = $label:literal,)*) => {
        /// The kind of a storage error or of a logger's error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            /// A label in snake case, such as `already_exists`. Labels do not change between
            /// releases, so that they can name a metric's series.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)*
                }
            }
        }
    };
}

error_kinds! {
    /// The entry is invalid.
    InvalidEntry = "invalid_entry",
    /// The query contradicts itself.
    InvalidQuery = "invalid_query",
    /// A text is not a valid entry id.
    InvalidId = "invalid_id",
    /// A different entry with the same id is stored.
    AlreadyExists = "already_exists",
    /// A stored record cannot be read.
    Corrupt = "corrupt",
    /// A system call failed.
    Io = "io",
    /// A remote service failed.
    Remote = "remote",
    /// Another process holds the store's lock.
    Locked = "locked",
    /// The store was opened read-only.
    ReadOnly = "read_only",
    /// The store is closed.
    Closed = "closed",
    /// A cleanup would delete more than half of the entries.
    LargeCleanup = "large_cleanup",
    /// The content is encrypted and no key is configured.
    NoEncryption = "no_encryption",
    /// The content cannot be decrypted.
    Decrypt = "decrypt",
    /// One content of an entry was altered after it was encrypted.
    Altered = "altered",
    /// The content does not match its hash.
    HashMismatch = "hash_mismatch",
    /// The hash is keyed and no hash key is configured.
    NoHashKey = "no_hash_key",
    /// Any other failure.
    Other = "other",
}

/// As its label.
impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Displays an error with all its causes, separated by `: `.
///
/// The errors of this project print their own message only, so that tools that walk
/// [`source`](Error::source) do not print a cause twice. Use this where one line is written to a log:
///
/// ```
/// use attestry_core::{ErrorChain, StorageError};
///
/// let error = StorageError::io("append to", "/var/log/audit", std::io::Error::other("disk on fire"));
/// assert_eq!(ErrorChain(&error).to_string(), "cannot append to /var/log/audit: disk on fire");
/// ```
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs)] // A wrapper of one reference.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Why an entry must not be written.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum InvalidEntry {
    /// The id is invalid.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A number is not finite, and JSON cannot represent it.
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
    /// A key of the [vocabulary](crate::metadata) has a value of the wrong type.
    #[error("metadata.{key} must be {expected}")]
    #[non_exhaustive]
    MetadataType {
        /// The key.
        key: String,
        /// The type, such as `a text`.
        expected: &'static str,
    },
    /// The line would be too long.
    #[error(
        "the entry takes at least {length} bytes as a line; at most {MAX_LINE_BYTES} are allowed"
    )]
    TooLarge {
        /// Its length in bytes, or the length of its content alone.
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
    /// A metadata condition compares with an array or object.
    #[error("the metadata {key:?} can be compared with a text, a number, a boolean or null only")]
    NotAScalar {
        /// The key.
        key: String,
    },
    /// The text to find is empty.
    #[error("the text to find is empty")]
    EmptyText,
}

/// A stored record that cannot be read: its location and the reason.
///
/// The reason names fields and positions, never content.
///
/// ```
/// use attestry_core::CorruptRecord;
///
/// let record = CorruptRecord::new("audit_20260128.jsonl", "expected a JSON object").at_offset(512);
/// assert_eq!(record.to_string(), "corrupt record in audit_20260128.jsonl at byte 512: expected a JSON object");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorruptRecord {
    /// The file or object that holds it.
    pub location: String,
    /// The offset of its first byte, if it is part of a file.
    pub offset: Option<u64>,
    /// Why it cannot be read.
    pub reason: String,
}

impl CorruptRecord {
    /// A record in `location` that cannot be read because of `reason`. The reason should quote no
    /// content: it goes to logs.
    #[must_use]
    pub fn new(location: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { location: location.into(), offset: None, reason: reason.into() }
    }

    /// Sets the offset of its first byte.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
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
