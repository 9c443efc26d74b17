//! How content is hashed: SHA-256, or HMAC-SHA-256 with a key.

use std::fmt;
use std::path::{Path, PathBuf};

use attestry_core::{hash_content, to_hex};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// What stands before the hexadecimal digits of a keyed hash.
const KEYED_PREFIX: &str = "hmac-sha256:";

/// How the logger hashes content.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum ContentHash {
    /// Plain SHA-256, 64 hexadecimal digits, as the Python package does. Anyone can check it, and
    /// anyone can find a short or guessable content by trying.
    #[default]
    Sha256,
    /// HMAC-SHA-256 under a key, written `hmac-sha256:` and 64 hexadecimal digits. Only holders of
    /// the key can check it or try candidates.
    HmacSha256(HashKey),
}

/// The key of a keyed content hash: at least 16 bytes, wiped from memory when dropped, never
/// printed.
#[derive(Clone)]
pub struct HashKey(Zeroizing<Vec<u8>>);

/// Why bytes are not a hash key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidHashKey {
    /// Fewer than 16 bytes can be guessed.
    #[error("a hash key has at least {} bytes, this one has {length}", HashKey::MIN_BYTES)]
    TooShort {
        /// Its length.
        length: usize,
    },
    /// The file cannot be read.
    #[error("cannot read the hash key file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl HashKey {
    /// The least length of a key, in bytes.
    pub const MIN_BYTES: usize = 16;

    /// Takes `key`, which should be random: 32 bytes are a good length.
    ///
    /// # Errors
    ///
    /// [`InvalidHashKey::TooShort`] under 16 bytes.
    pub fn new(key: impl Into<Vec<u8>>) -> Result<Self, InvalidHashKey> {
        let key = Zeroizing::new(key.into());
        if key.len() < Self::MIN_BYTES {
            return Err(InvalidHashKey::TooShort { length: key.len() });
        }
        Ok(Self(key))
    }

    /// Takes the content of a file as the key, all of its bytes but line breaks at the end.
    ///
    /// # Errors
    ///
    /// [`InvalidHashKey`] when it cannot be read or is too short.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidHashKey> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| InvalidHashKey::File { path: path.to_path_buf(), source })?;
        let bytes = Zeroizing::new(bytes);
        let end =
            bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        Self::new(&bytes[..end])
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl ContentHash {
    /// The hash of `content` as it stands in an entry.
    ///
    /// ```
    /// use attestry_logger::{ContentHash, HashKey};
    ///
    /// let keyed = ContentHash::HmacSha256(HashKey::new(*b"0123456789abcdef")?);
    /// assert!(keyed.hash("4").starts_with("hmac-sha256:"));
    /// assert_eq!(ContentHash::Sha256.hash("4").len(), 64);
    /// # Ok::<(), attestry_logger::InvalidHashKey>(())
    /// ```
    #[must_use]
    pub fn hash(&self, content: &str) -> String {
        match self {
            Self::Sha256 => hash_content(content),
            Self::HmacSha256(key) => {
                // HMAC takes keys of any length; this cannot fail.
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.0) else { unreachable!() };
                mac.update(content.as_bytes());
                format!("{KEYED_PREFIX}{}", to_hex(&mac.finalize().into_bytes()))
            }
        }
    }

    /// Whether `hash`, found in an entry, is that of `content`; `None` when it is keyed and this
    /// has no key. A plain hash is checked whatever the choice for new entries is.
    pub(crate) fn matches(&self, hash: &str, content: &str) -> Option<bool> {
        match (self, hash.starts_with(KEYED_PREFIX)) {
            (Self::Sha256, true) => None,
            (_, true) => Some(self.hash(content) == hash),
            (_, false) => Some(hash_content(content).eq_ignore_ascii_case(hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 3.
    #[test]
    fn keyed_hash_is_hmac_sha256() {
        let key = HashKey::new([0xaa; 20]).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).unwrap();
        mac.update(&[0xdd; 50]);
        assert_eq!(
            to_hex(&mac.finalize().into_bytes()),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        );
        let hash = ContentHash::HmacSha256(HashKey::new(*b"key-key-key-key-").unwrap());
        // Python: hmac.new(b"key-key-key-key-", "é".encode(), "sha256").hexdigest()
        assert_eq!(hash.hash("é"), format!("hmac-sha256:{PYTHON_HMAC}"));
    }
    const PYTHON_HMAC: &str = "63f22a7643e96e899338ecc4a9ee8bf73b30e8817dc4e72c476b483e2334b412";

    #[test]
    fn keys_are_checked_and_never_shown() {
        assert!(matches!(HashKey::new(*b"short"), Err(InvalidHashKey::TooShort { length: 5 })));
        let hash = ContentHash::HmacSha256(HashKey::new(*b"a very secret hash key").unwrap());
        assert!(!format!("{hash:?}").contains("secret"));
    }

    #[test]
    fn a_keyed_hash_is_not_checked_without_its_key() {
        let keyed = ContentHash::HmacSha256(HashKey::new([7; 32]).unwrap());
        let other = ContentHash::HmacSha256(HashKey::new([8; 32]).unwrap());
        let hash = keyed.hash("4");
        assert_eq!(ContentHash::Sha256.matches(&hash, "4"), None);
        assert_eq!(keyed.matches(&hash, "4"), Some(true));
        assert_eq!(keyed.matches(&hash, "5"), Some(false));
        assert_eq!(other.matches(&hash, "4"), Some(false));
        assert_eq!(keyed.matches(&hash_content("4"), "4"), Some(true));
    }
}
