//! Content encryption with [Fernet](https://github.com/fernet/spec/blob/master/Spec.md) (AES-128-CBC and
//! HMAC-SHA-256), byte-compatible with the Python package `rotalabs-comply` in both directions. The
//! `fernet` crate makes and reads the tokens.
//!
//! ```
//! use attestry_crypto::{DecryptError, EncryptionManager};
//!
//! let manager = EncryptionManager::generate();
//! let stored = manager.encrypt("sensitive data");
//! assert_eq!(manager.decrypt(&stored)?, "sensitive data");
//!
//! let other = EncryptionManager::generate();
//! assert_eq!(other.decrypt(&stored), Err(DecryptError::NotAuthentic));
//! # Ok::<(), DecryptError>(())
//! ```
//!
//! * [`Key`]: a secret key, generated, read from a file or the environment, written to a new file. Wiped
//!   from memory on drop, never printed.
//! * [`EncryptionManager`]: encrypts texts into the form that entries store, with one key, or several
//!   during key rotation.
//! * [`generate_key`], [`encrypt`], [`decrypt`]: plain Fernet tokens of bytes.
//! * [`DecryptError`], [`KeyError`], [`InvalidKey`]: errors. None contains a key, a token or a plaintext.
//!
//! **A lost key is lost content.** There is no other way to recover the plaintext.
//!
//! # What stays in memory
//!
//! A [`Key`] and its decoded form are wiped when the last clone is dropped, and the AES round keys after
//! each token. Out of this crate's reach are: the buffer in which the `fernet` crate decodes a key, once
//! per [`Key`]; the HMAC state on the stack while a token is signed or checked; the process environment.
//! Plaintexts belong to the caller.

mod error;
mod key;
mod manager;
mod structure;
mod token;

pub use attestry_keyfile::KeySource;
pub use error::{DecryptError, InvalidKey, KeyError};
pub use key::{Key, generate_key};
pub use manager::{EncryptionManager, looks_encrypted};
pub use token::{decrypt, encrypt};
