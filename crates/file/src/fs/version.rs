//! Files of a version that this one does not know.

use std::error::Error;
use std::fmt;
use std::io;

use attestry_core::StorageError;

/// A file of the store has another version than this version of the crate knows. It is not damaged, and it is
/// left as it is. It is the inner error of the [`io::Error`] in a [`StorageError::Io`] that names the file, of
/// kind [`Unsupported`](io::ErrorKind::Unsupported).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownVersion {
    /// The version in the file.
    pub found: String,
    /// The version that is known.
    pub known: String,
}

impl UnknownVersion {
    pub(crate) fn error(found: impl Into<String>, known: impl Into<String>) -> io::Error {
        let error = Self { found: found.into(), known: known.into() };
        io::Error::new(io::ErrorKind::Unsupported, error)
    }

    pub(crate) fn is(error: &StorageError) -> bool {
        let StorageError::Io { source, .. } = error else { return false };
        source.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it has version {}, and this version of Attestry knows version {}; \
             use the version of Attestry that wrote it, or a later one",
            self.found, self.known
        )
    }
}

impl Error for UnknownVersion {}
