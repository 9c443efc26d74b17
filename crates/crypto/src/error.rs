//! What can go wrong with keys and tokens. No error carries a key, a token or a plaintext.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a token could not be decrypted.
///
/// A token that was cut off is [`Truncated`](Self::Truncated), unless the cut happens to leave
/// whole blocks: such a token is well-formed and [`NotAuthentic`](Self::NotAuthentic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// There are characters that URL-safe base64 does not have, or it is not in its one
    /// canonical, padded form. Most likely this text was never encrypted.
    #[error("this is not an encrypted text: it is not URL-safe base64")]
    NotBase64,
    /// The end is missing, or something was added to it: the length is none that a token has.
    #[error("the encrypted text is cut off, or something was added to its end")]
    Truncated,
    /// The token is of a version other than 0x80, the only one of Fernet, or no token at all.
    #[error("this is not a Fernet token of version 0x80")]
    UnknownVersion,
    /// The token is well-formed, but its signature matches none of the keys: it was made with
    /// another key, or a byte of it was altered.
    ///
    /// Which of the two it was cannot be told. The signature covers every byte, so it is wrong in
    /// both cases, and looking at what the cipher would make of an unsigned token is the mistake
    /// that padding-oracle attacks live on. A token that was correctly signed around a broken
    /// ciphertext, which no Fernet program makes, is answered the same way for the same reason.
    #[error("the encrypted text was made with another key, or it was altered")]
    NotAuthentic,
    /// The token is genuine, but what was encrypted is not UTF-8 text.
    #[error("the decrypted content is not UTF-8 text")]
    NotUtf8,
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It is longer or shorter than a key.
    #[error("a key has 44 characters, this has {length}")]
    WrongLength {
        /// The length of what was found, in bytes.
        length: usize,
    },
    /// It has the length of a key, but is not 32 bytes in base64.
    #[error("a key is 32 bytes in base64: 43 characters of A-Z a-z 0-9 - _ and one =")]
    NotBase64,
}

/// Why keys could not be read, or a key not be written.
///
/// Messages do not repeat their cause; walk [`source`](std::error::Error::source) for it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The environment variable is not set.
    #[error("the environment variable {name} is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// Something that was found where a key should be is none.
    #[error("{} {position} of {origin} is not a key", origin.item())]
    Invalid {
        /// Where it was read from.
        origin: KeySource,
        /// The line of the file, or the place in the variable's list; the first is 1.
        position: usize,
        /// What is wrong with it.
        source: InvalidKey,
    },
    /// There is no key: nothing, or only blank lines and comments.
    #[error("there is no key in {origin}")]
    NoKey {
        /// Where it was read from.
        origin: KeySource,
    },
    /// There are several keys where [`Key`](crate::Key) reads one;
    /// [`EncryptionManager`](crate::EncryptionManager) reads them all.
    #[error("there are {count} keys in {origin} where one is expected")]
    SeveralKeys {
        /// Where they were read from.
        origin: KeySource,
        /// How many there are.
        count: usize,
    },
    /// The key was not written because the file exists. It stays as it is: overwriting a key
    /// would make everything encrypted with it unreadable.
    #[error("{} exists already; a key file is never overwritten", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be written. None is left behind.
    #[error("cannot write the key file {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Where keys were read from. Displays as the path or the name of the variable.
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
