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
//! Keys, and what was made of them in advance, are wiped when the last copy is dropped. Beyond this
//! crate's reach are the buffers in which the libraries below it code and decode a key, once, when it is
//! made or read, and hash it into a signature; and a variable in the process environment, which stays
//! there. Plaintexts belong to the caller.

mod error;
mod iv;
mod key;
mod load;
mod manager;
mod structure;
mod token;

pub use error::{DecryptError, InvalidKey, KeyError, KeySource};
pub use key::{Key, generate_key};
pub use manager::{EncryptionManager, looks_encrypted};
pub use token::{decrypt, encrypt};
