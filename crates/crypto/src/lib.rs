//! Content that only the holder of a key can read, and that nobody can alter unnoticed:
//! [Fernet](https://github.com/fernet/spec/blob/master/Spec.md) encryption (AES-128-CBC with
//! HMAC-SHA-256), byte-compatible with the Python package `rotalabs-comply` in both directions.
//!
//! ```
//! use attestry_crypto::{DecryptError, EncryptionManager};
//!
//! let manager = EncryptionManager::generate();
//! let stored = manager.encrypt("sensitive data");
//! assert_eq!(manager.decrypt(&stored)?, "sensitive data");
//!
//! let stranger = EncryptionManager::generate();
//! assert_eq!(stranger.decrypt(&stored), Err(DecryptError::NotAuthentic));
//! # Ok::<(), DecryptError>(())
//! ```
//!
//! * [`Key`]: made, read from a file or the environment, written to a new file; wiped from memory
//!   when dropped, never printed.
//! * [`EncryptionManager`]: texts to and from the form in which they stand in an entry, with one
//!   key or with several while keys are being replaced.
//! * [`generate_key`], [`encrypt`], [`decrypt`]: plain Fernet tokens of bytes.
//! * [`DecryptError`], [`KeyError`], [`InvalidKey`]: what can go wrong. No error carries a key, a
//!   token or a plaintext.
//!
//! **A lost key is lost content.** There is no other way back to the plaintext.
//!
//! # What stays in memory
//!
//! A [`Key`] and its decoded form are wiped when the last clone is dropped, and the AES round keys after
//! each token. Out of this crate's reach are: the buffer in which the `fernet` crate decodes a key, once
//! per [`Key`]; the HMAC state on the stack while a token is signed or checked; the process environment.
//! Plaintexts belong to the caller.

mod error;
mod key;
mod load;
mod manager;
mod structure;
mod token;

pub use error::{DecryptError, InvalidKey, KeyError, KeySource};
pub use key::{Key, generate_key};
pub use manager::{EncryptionManager, looks_encrypted};
pub use token::{decrypt, encrypt};
