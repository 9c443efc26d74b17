//! Errors of reading and writing keys. None contains a key.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why keys could not be read or a key could not be written. `E` says why a text is not a key.
///
/// Messages do not repeat their cause; see [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError<E: Error + 'static> {
    /// The key file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users may read or write the key file.
    #[error(
        "others may access the key file {} (mode {mode:04o}); restrict it with \"chmod 600 {}\"",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The environment variable is not set.
    #[error("the environment variable {name} is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// A line of the file or an item of the variable is not a key.
    #[error("{} {position} of {origin} is not a key", origin.item())]
    Invalid {
        /// Where it was read from.
        origin: KeySource,
        /// The line of the file or the item of the variable, counted from 1.
        position: usize,
        /// Why it is not a key.
        source: E,
    },
    /// The file or variable is empty, or has only blank lines and comments.
    #[error("there is no key in {origin}")]
    NoKey {
        /// Where it was read from.
        origin: KeySource,
    },
    /// Several keys were found where one is expected.
    #[error("there are {count} keys in {origin} where one is expected")]
    SeveralKeys {
        /// Where they were read from.
        origin: KeySource,
        /// How many were found.
        count: usize,
    },
    /// The key was not written because the file exists. The file is unchanged: overwriting a key would
    /// make its data unreadable.
    #[error("{} exists already; a key file is never overwritten", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be written. No file is left behind.
    #[error("cannot write the key file {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Where keys were read from. Displays as the path or the variable's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// A key file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl KeySource {
    /// What [`KeyError::Invalid`] counts.
    fn item(&self) -> &'static str {
        match self {
            Self::File(_) => "line",
            Self::Env(_) => "item",
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Env(name) => f.write_str(name),
        }
    }
}
