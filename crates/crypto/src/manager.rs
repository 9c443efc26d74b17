//! Texts, to and from the form in which they stand in an entry.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::{Zeroize, Zeroizing};

use crate::load::{self, Loaded};
use crate::token::{self, Decrypted};
use crate::{DecryptError, Key, KeyError, structure};

/// Encrypts and decrypts the content of entries, with one key or several.
///
/// The first key encrypts; decrypting tries them all in turn. So a key is replaced by putting a
/// new one before it, and the old one is dropped once nothing stored needs it, after
/// [`rotate`](Self::rotate) perhaps.
///
/// The form is that of Python's `rotalabs-comply`: a Fernet token, which is base64url text, in
/// base64url once more. A text of *n* bytes becomes one of about 1.8·*n* + 140 bytes.
///
/// Clones are cheap and share the keys. `Debug` prints how many there are and nothing else.
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
    /// A manager with a new random key. Get it from [`key`](Self::key) and store it: without it
    /// nothing this manager encrypts can be read again.
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

    /// A manager that encrypts with `first` and decrypts with that and the `rest`, tried in this
    /// order.
    #[must_use]
    pub fn with_keys(first: Key, rest: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: std::iter::once(first).chain(rest).collect() }
    }

    /// Reads a key file: one key per line, the first of which encrypts while all decrypt. Blank
    /// lines and lines that start with `#` are ignored, and so is white space around a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the file and the line: the file cannot be read, holds no key or
    /// something that is no key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        load::from_file(path.as_ref()).map(Self::from_loaded)
    }

    /// Reads the environment variable `name`: one key or several separated by commas, the first
    /// of which encrypts while all decrypt.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the variable: it is not set, is empty, or holds something that is no
    /// key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        load::from_env(name).map(Self::from_loaded)
    }

    fn from_loaded(loaded: Loaded) -> Self {
        Self::with_keys(loaded.first, loaded.rest)
    }

    /// The key that encrypts, the first.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.keys[0]
    }

    /// Encrypts `text`. Equal texts become different every time.
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn encrypt(&self, text: &str) -> String {
        URL_SAFE.encode(token::encrypt(text, self.key()))
    }

    /// Decrypts what [`encrypt`](Self::encrypt), or Python's `EncryptionManager`, made of a text
    /// with one of the keys.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]. Altered or foreign content is an error and never a wrong text.
    pub fn decrypt(&self, encrypted: &str) -> Result<String, DecryptError> {
        String::from_utf8(self.open(encrypted)?.plaintext).map_err(|error| {
            error.into_bytes().zeroize();
            DecryptError::NotUtf8
        })
    }

    /// Decrypts with whichever key fits and encrypts with the first, so that the others are not
    /// needed for it any more. The token keeps the time of its making.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]; never [`NotUtf8`](DecryptError::NotUtf8).
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    pub fn rotate(&self, encrypted: &str) -> Result<String, DecryptError> {
        let Decrypted { plaintext, timestamp } = self.open(encrypted)?;
        let plaintext = Zeroizing::new(plaintext);
        Ok(URL_SAFE.encode(token::encrypt_at(&plaintext, self.key(), timestamp)))
    }

    fn open(&self, encrypted: &str) -> Result<Decrypted, DecryptError> {
        token::decrypt_with(&structure::decode_base64(encrypted.as_bytes())?, &self.keys)
    }
}

impl fmt::Debug for EncryptionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionManager").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Whether `text` is built like something an [`EncryptionManager`] made, whatever its key.
///
/// Everything that [`EncryptionManager::encrypt`] returns is; what is not, no key can decrypt.
/// But anyone can build such a text without a key, so this tells encrypted content from plain
/// content by accident, not from a forgery. It takes a moment for most plain texts, a base64
/// pass for encrypted ones.
///
/// ```
/// use attestry_crypto::{EncryptionManager, looks_encrypted};
///
/// assert!(looks_encrypted(&EncryptionManager::generate().encrypt("hello")));
/// assert!(!looks_encrypted("hello"));
/// ```
#[must_use]
pub fn looks_encrypted(text: &str) -> bool {
    // A token's first byte is 0x80, so it begins with `gA` to `gP`; and that in base64 once more
    // with `Z0` or `Z1`. This spares nearly every other text the decoding.
    (text.starts_with("Z0") || text.starts_with("Z1"))
        && structure::decode_base64(text.as_bytes())
            .is_ok_and(|token| structure::check(&token).is_ok())
}
