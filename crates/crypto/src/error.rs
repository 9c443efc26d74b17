//! Errors of keys and tokens. None contains a key, a token or a plaintext.

use thiserror::Error;

/// Why a token could not be decrypted.
///
/// A truncated token is [`Truncated`](Self::Truncated), unless the cut leaves whole cipher blocks: then
/// it is well-formed and [`NotAuthentic`](Self::NotAuthentic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The text is not canonical, padded URL-safe base64. Most likely it was never encrypted.
    #[error("this is not encrypted text: it is not URL-safe base64")]
    NotBase64,
    /// No token has this length: the text was truncated or extended.
    #[error("the encrypted text was truncated or extended: no token has its length")]
    Truncated,
    /// The first byte is not 0x80, the only version of Fernet.
    #[error("this is not a Fernet token of version 0x80")]
    UnknownVersion,
    /// The token is well-formed, but no key authenticates it: it was encrypted with another key, or
    /// altered.
    ///
    /// The HMAC covers every byte, so it fails in both cases, and they are indistinguishable.
    /// Decrypting the unauthenticated token to find out would open a padding oracle. A token with a
    /// valid HMAC over an invalid ciphertext, which no Fernet implementation makes, returns the same
    /// error for that reason.
    #[error("the encrypted text was made with another key, or it was altered")]
    NotAuthentic,
    /// The token is authentic, but its plaintext is not UTF-8.
    #[error("the decrypted content is not UTF-8 text")]
    NotUtf8,
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The text does not have the length of a key.
    #[error("a key has 44 characters, this has {length}")]
    WrongLength {
        /// The length found, in bytes.
        length: usize,
    },
    /// The text has the length of a key, but is not the base64 of 32 bytes.
    #[error("a key is 32 bytes in base64: 43 characters of A-Z a-z 0-9 - _ and one =")]
    NotBase64,
}

/// Why keys could not be read or a key could not be written.
pub type KeyError = attestry_keyfile::KeyError<InvalidKey>;
