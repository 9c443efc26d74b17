//! A key: how it is made, compared, shown (not at all) and wiped.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use fernet::Fernet;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{InvalidKey, KeyError, load};

/// A Fernet key: 32 secret bytes, as text 44 characters of URL-safe base64.
///
/// The same text is a key for Python's `cryptography.fernet` and for any other Fernet program.
///
/// Clones share one copy in memory, which is wiped when the last of them is dropped. `Debug`
/// prints `Key(..)`, there is no `Display` and no serde, and comparing takes the same time
/// wherever two keys differ. [`expose_secret`](Self::expose_secret) is the one way to the text.
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

/// A new random key. The same as [`Key::generate`].
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

    /// A new random key, from the operating system's generator.
    ///
    /// Store it before you encrypt anything with it that must outlive the process:
    /// [`write_new_file`](Self::write_new_file).
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).expect("the operating system gives random bytes");
        Self::from_bytes(&bytes)
    }

    /// The key of these 32 bytes. They must come from a cryptographic random number generator
    /// or a key derivation function; a password is no key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        // Of its final size from the start, so that it never moves and leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(Self::TEXT_LENGTH));
        URL_SAFE.encode_string(bytes, &mut text);
        let Some(fernet) = Fernet::new(&text) else { unreachable!("the text encodes 32 bytes") };
        Self(Arc::new(Secret { text, fernet }))
    }

    /// Reads a file that holds one key: its text on a line, with blank lines and lines that
    /// start with `#` ignored. [`EncryptionManager::from_file`] takes files with several keys.
    ///
    /// [`EncryptionManager::from_file`]: crate::EncryptionManager::from_file
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the file and the line: the file cannot be read, holds no key or
    /// several, or something that is no key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        load::one(load::from_file(path.as_ref())?)
    }

    /// Reads the environment variable `name`, whose value is the text of one key.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the variable: it is not set, is empty, holds several keys or
    /// something that is no key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        load::one(load::from_env(name)?)
    }

    /// Writes the key as one line to a new file that only its owner may read or write (mode
    /// 0600, where the system has modes). When this returns, the file is on stable storage.
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
    /// [`KeyError::AlreadyExists`] when there is something at `path`, which is left as it is;
    /// [`KeyError::Unwritable`] when the system refuses.
    pub fn write_new_file(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        load::write_new_file(path.as_ref(), &self.0.text)
    }

    /// The text of the key: 44 characters of URL-safe base64. Whoever has it reads everything
    /// that was encrypted with it, and can forge more.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn fernet(&self) -> &Fernet {
        &self.0.fernet
    }

    /// The key that `text` is, without white space around it. Takes the `+` and `/` of standard
    /// base64 too, as Python does and `openssl rand -base64 32` makes.
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
        // 44 characters are at most 33 bytes, when there is no padding.
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

    /// Takes the 44 characters of a key, also in the standard base64 alphabet, and nothing around
    /// them.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::from_text(text.as_bytes())
    }
}

impl PartialEq for Key {
    /// Takes the same time wherever the keys differ.
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
    fn text_and_bytes_are_the_same_key() {
        let key: Key = TEXT.parse().unwrap();
        assert_eq!(key.expose_secret(), TEXT);
        let bytes = URL_SAFE.decode(TEXT).unwrap();
        assert_eq!(Key::from_bytes(bytes.as_slice().try_into().unwrap()), key);
        assert_ne!(Key::generate(), key);
        assert_ne!(Key::generate(), Key::generate());
    }

    #[test]
    fn standard_base64_is_taken_and_normalised() {
        let key: Key = TEXT.replace('-', "+").replace('_', "/").parse().unwrap();
        assert_eq!(key.expose_secret(), TEXT);
    }

    #[test]
    fn refuses_what_is_no_key() {
        let wrong_length = |length| Err(InvalidKey::WrongLength { length });
        assert_eq!("".parse::<Key>(), wrong_length(0));
        assert_eq!(TEXT[..43].parse::<Key>(), wrong_length(43));
        assert_eq!(format!("{TEXT}\n").parse::<Key>(), wrong_length(45));
        for text in [
            "x".repeat(44),               // 33 bytes
            format!("{}==", &TEXT[..42]), // 31 bytes
            format!(" {}", &TEXT[1..]),   // not in the alphabet
            format!("{}5=", &TEXT[..42]), // bits beyond the last byte
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
    fn may_be_shared_between_threads() {
        fn check<T: Send + Sync + Clone>() {}
        check::<Key>();
        check::<crate::EncryptionManager>();
    }
}
