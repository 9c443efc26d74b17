//! The secret key: generating, parsing, comparing, reading and writing it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use fernet::Fernet;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{InvalidKey, KeyError};

/// Separates keys in an environment variable.
pub(crate) const ENV_SEPARATOR: u8 = b',';

/// A Fernet key: 32 secret bytes, as text 44 characters of URL-safe base64.
///
/// The same text is a key for Python's `cryptography.fernet` and any other Fernet implementation.
///
/// Clones share one copy in memory, which is wiped when the last clone is dropped. `Debug` prints
/// `Key(..)`; there is no `Display` and no serde; comparison takes constant time. Only
/// [`expose_secret`](Self::expose_secret) returns the text.
///
/// ```
/// use attestry_crypto::Key;
///
/// let key: Key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=".parse()?;
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// assert!("correct horse battery staple".parse::<Key>().is_err());
/// # Ok::<(), attestry_crypto::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct Key(Arc<Secret>);

struct Secret {
    /// The canonical text.
    text: Zeroizing<String>,
    /// The same key, decoded. Wipes itself.
    fernet: Fernet,
}

/// Generates a random key. The same as [`Key::generate`].
///
/// ```
/// let key = attestry_crypto::generate_key();
/// assert_eq!(key.expose_secret().len(), 44);
/// ```
///
/// # Panics
///
/// When the operating system's random number generator fails.
#[must_use]
pub fn generate_key() -> Key {
    Key::generate()
}

impl Key {
    /// The length of a key's text, in bytes.
    pub const TEXT_LENGTH: usize = 44;

    /// Generates a key with the operating system's random number generator.
    ///
    /// Store it with [`write_new_file`](Self::write_new_file) before encrypting anything that must
    /// outlive the process.
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).expect("the operating system provides random bytes");
        Self::from_bytes(&bytes)
    }

    /// Creates a key from 32 bytes of a cryptographic random number generator or a key derivation
    /// function. A password is not a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        // Allocated once: a buffer that grows leaves copies of the key in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(Self::TEXT_LENGTH));
        URL_SAFE.encode_string(bytes, &mut text);
        let Some(fernet) = Fernet::new(&text) else { unreachable!("the text encodes 32 bytes") };
        Self(Arc::new(Secret { text, fernet }))
    }

    /// Reads a file that contains one key on a line. Blank lines and lines that start with `#` are
    /// ignored. [`EncryptionManager::from_file`] reads files with several keys.
    ///
    /// [`EncryptionManager::from_file`]: crate::EncryptionManager::from_file
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the file and the line: the file cannot be read, contains no key or several,
    /// or a line that is not a key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        attestry_keyfile::read_file(path.as_ref(), Self::from_text)?.single()
    }

    /// Reads one key from the environment variable `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the variable: it is not set, is empty, contains several keys or something
    /// that is not a key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        attestry_keyfile::read_env(name, ENV_SEPARATOR, Self::from_text)?.single()
    }

    /// Writes the key as one line to a new file that only its owner can read (mode 0600, on systems
    /// that have modes). On return the file is on stable storage.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("audit.key");
    /// use attestry_crypto::Key;
    ///
    /// let key = Key::generate();
    /// key.write_new_file(&path)?;
    /// assert_eq!(Key::from_file(&path)?, key);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::AlreadyExists`] if `path` exists, which is left unchanged;
    /// [`KeyError::Unwritable`] if the file cannot be written, in which case none is left behind.
    pub fn write_new_file(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        attestry_keyfile::write_new(path.as_ref(), &self.0.text)
    }

    /// The text of the key: 44 characters of URL-safe base64. It decrypts everything that was encrypted
    /// with the key, and forges more.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn fernet(&self) -> &Fernet {
        &self.0.fernet
    }

    /// Parses a key without surrounding white space. Accepts the `+` and `/` of standard base64 too, as
    /// Python does and `openssl rand -base64 32` prints.
    pub(crate) fn from_text(text: &[u8]) -> Result<Self, InvalidKey> {
        if text.len() != Self::TEXT_LENGTH {
            return Err(InvalidKey::WrongLength { length: text.len() });
        }
        let mut url_safe = Zeroizing::new([0; Self::TEXT_LENGTH]);
        url_safe.copy_from_slice(text);
        for byte in url_safe.iter_mut() {
            match byte {
                b'+' => *byte = b'-',
                b'/' => *byte = b'_',
                _ => {}
            }
        }
        // 44 characters without padding are 33 bytes.
        let mut bytes = Zeroizing::new([0; 33]);
        match URL_SAFE.decode_slice(*url_safe, &mut *bytes) {
            Ok(32) => {}
            _ => return Err(InvalidKey::NotBase64),
        }
        let bytes = bytes.first_chunk().ok_or(InvalidKey::NotBase64)?;
        Ok(Self::from_bytes(bytes))
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    /// Parses the 44 characters of a key, also in the standard base64 alphabet, without surrounding
    /// white space.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::from_text(text.as_bytes())
    }
}

impl PartialEq for Key {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.text.as_bytes().ct_eq(other.0.text.as_bytes()).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";

    #[test]
    fn text_and_bytes_make_the_same_key() {
        let key: Key = TEXT.parse().unwrap();
        assert_eq!(key.expose_secret(), TEXT);
        let bytes = URL_SAFE.decode(TEXT).unwrap();
        assert_eq!(Key::from_bytes(bytes.as_slice().try_into().unwrap()), key);
        assert_ne!(Key::generate(), key);
        assert_ne!(Key::generate(), Key::generate());
    }

    #[test]
    fn standard_base64_is_normalised() {
        let key: Key = TEXT.replace('-', "+").replace('_', "/").parse().unwrap();
        assert_eq!(key.expose_secret(), TEXT);
    }

    #[test]
    fn rejects_malformed_keys() {
        let wrong_length = |length| Err(InvalidKey::WrongLength { length });
        assert_eq!("".parse::<Key>(), wrong_length(0));
        assert_eq!(TEXT[..43].parse::<Key>(), wrong_length(43));
        assert_eq!(format!("{TEXT}\n").parse::<Key>(), wrong_length(45));
        for text in [
            "x".repeat(44),               // 33 bytes
            format!("{}==", &TEXT[..42]), // 31 bytes
            format!(" {}", &TEXT[1..]),   // not in the alphabet
            format!("{}5=", &TEXT[..42]), // non-zero trailing bits
            format!("é{}", &TEXT[2..]),   // not ASCII
        ] {
            assert_eq!(text.parse::<Key>(), Err(InvalidKey::NotBase64), "{text}");
        }
    }

    #[test]
    fn keys_differ_in_any_byte() {
        for index in 0..32 {
            let mut bytes = [7; 32];
            bytes[index] ^= 1;
            assert_ne!(Key::from_bytes(&bytes), Key::from_bytes(&[7; 32]));
        }
    }

    #[test]
    fn keys_and_managers_are_send_and_sync() {
        fn check<T: Send + Sync + Clone>() {}
        check::<Key>();
        check::<crate::EncryptionManager>();
    }
}
