//! Encrypts texts into the form that entries store, and decrypts it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use attestry_keyfile::Keys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{DecryptError, KeyError};
use crate::key::{ENV_SEPARATOR, Key};
use crate::structure;
use crate::token::{self, Decrypted};

/// Encrypts and decrypts the content of entries, with one key or several.
///
/// The first key encrypts; decryption tries all keys in order. To rotate keys, put a new key first.
/// Remove the old key once no stored content needs it, for example after [`rotate`](Self::rotate).
///
/// The stored form is that of Python's `rotalabs-comply`: a Fernet token, which is base64url text,
/// base64url-encoded once more. A text of *n* bytes takes about 1.8·*n* + 140 bytes.
///
/// Clones are cheap and share the keys. `Debug` prints only the number of keys.
///
/// ```
/// use attestry_crypto::{EncryptionManager, Key};
///
/// let old = Key::generate();
/// let stored = EncryptionManager::new(old.clone()).encrypt("sensitive data");
///
/// let manager = EncryptionManager::with_keys(Key::generate(), [old]);
/// assert_eq!(manager.decrypt(&stored)?, "sensitive data");
///
/// let rotated = manager.rotate(&stored)?;
/// let new_only = EncryptionManager::new(manager.key().clone());
/// assert_eq!(new_only.decrypt(&rotated)?, "sensitive data");
/// # Ok::<(), attestry_crypto::DecryptError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionManager {
    /// Never empty.
    keys: Arc<[Key]>,
}

impl EncryptionManager {
    /// A manager with a new random key. Store its [`key`](Self::key): without it, nothing that this
    /// manager encrypts can be decrypted.
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(Key::generate())
    }

    /// A manager with this key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self::with_keys(key, [])
    }

    /// A manager that encrypts with `first` and decrypts with `first` and `rest`, in this order.
    #[must_use]
    pub fn with_keys(first: Key, rest: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: std::iter::once(first).chain(rest).collect() }
    }

    /// Reads a key file: one key per line, the first of which encrypts. Blank lines, lines that start
    /// with `#` and white space around a key are ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the file and the line: the file cannot be read, contains no key, or a line
    /// that is not a key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        attestry_keyfile::read_file(path.as_ref(), Key::from_text).map(Self::from_keys)
    }

    /// Reads the environment variable `name`: one key, or several separated by commas, the first of
    /// which encrypts.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the variable: it is not set, is empty, or contains something that is not a
    /// key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        attestry_keyfile::read_env(name, ENV_SEPARATOR, Key::from_text).map(Self::from_keys)
    }

    fn from_keys(keys: Keys<Key>) -> Self {
        Self::with_keys(keys.first, keys.rest)
    }

    /// The first key, which encrypts.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.keys[0]
    }

    /// Encrypts `text`. Equal texts give a different result each time.
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn encrypt(&self, text: &str) -> String {
        URL_SAFE.encode(token::encrypt(text, self.key()))
    }

    /// Decrypts a text that was encrypted with one of the keys by [`encrypt`](Self::encrypt) or by
    /// Python's `EncryptionManager`.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]. Altered content is always an error, never a wrong text.
    pub fn decrypt(&self, encrypted: &str) -> Result<String, DecryptError> {
        String::from_utf8(self.decrypt_bytes(encrypted)?.plaintext).map_err(|error| {
            error.into_bytes().zeroize();
            DecryptError::NotUtf8
        })
    }

    /// Decrypts with any of the keys and encrypts again with the first, so that the other keys are no
    /// longer needed for this text. The token keeps its timestamp.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]; never [`NotUtf8`](DecryptError::NotUtf8).
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    pub fn rotate(&self, encrypted: &str) -> Result<String, DecryptError> {
        let Decrypted { plaintext, timestamp } = self.decrypt_bytes(encrypted)?;
        let plaintext = Zeroizing::new(plaintext);
        Ok(URL_SAFE.encode(token::encrypt_at(&plaintext, self.key(), timestamp)))
    }

    fn decrypt_bytes(&self, encrypted: &str) -> Result<Decrypted, DecryptError> {
        token::decrypt_with(&structure::decode_base64(encrypted.as_bytes())?, &self.keys)
    }
}

impl fmt::Debug for EncryptionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionManager").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Whether `text` has the form of a text encrypted by an [`EncryptionManager`], with any key.
///
/// True for every result of [`EncryptionManager::encrypt`]; if false, no key decrypts the text. Such a
/// text can be built without a key, so this distinguishes encrypted from plain content, but detects no
/// forgery. Costs almost nothing for most plain texts, and decoding base64 for encrypted ones.
///
/// ```
/// use attestry_crypto::{EncryptionManager, looks_encrypted};
///
/// assert!(looks_encrypted(&EncryptionManager::generate().encrypt("hello")));
/// assert!(!looks_encrypted("hello"));
/// ```
#[must_use]
pub fn looks_encrypted(text: &str) -> bool {
    // A token's first byte is 0x80: its base64 starts with `gA` to `gP`, and the base64 of that with
    // `Z0` or `Z1`. This check avoids decoding nearly all plain texts.
    (text.starts_with("Z0") || text.starts_with("Z1"))
        && structure::decode_base64(text.as_bytes())
            .is_ok_and(|token| structure::check(&token).is_ok())
}
