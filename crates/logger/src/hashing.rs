//! Hashes of content: SHA-256, or HMAC-SHA-256 with a key.

use std::fmt;
use std::path::{Path, PathBuf};

use attestry_core::{hash_content, to_hex};
use attestry_keyfile::KeyError;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// The prefix of a keyed hash.
const KEYED_PREFIX: &str = "hmac-sha256:";

/// The hash that the logger stores of content.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum ContentHash {
    /// SHA-256, 64 hexadecimal digits, as in the Python package. It can be checked without a key, and
    /// a short or guessable content can be recovered by trying candidates.
    #[default]
    Sha256,
    /// HMAC-SHA-256, written as `hmac-sha256:` and 64 hexadecimal digits. Checking it and trying
    /// candidates need the key.
    HmacSha256(HashKey),
}

/// The key of a keyed content hash: at least 16 bytes, zeroised when dropped, never printed.
#[derive(Clone)]
pub struct HashKey(Zeroizing<Vec<u8>>);

/// Why a hash key could not be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidHashKey {
    /// The key has fewer than 16 bytes.
    #[error("a hash key has at least {} bytes, this one has {length}", HashKey::MIN_BYTES)]
    TooShort {
        /// Its length in bytes.
        length: usize,
    },
    /// Other users may read or write the file.
    #[error(
        "others may access the hash key file {} (mode {mode:04o}); restrict it with \"chmod 600 {}\"",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
    /// The minimum length of a key, in bytes.
    pub const MIN_BYTES: usize = 16;

    /// Creates a key from `key`, which should be random; 32 bytes are a good length.
    ///
    /// # Errors
    ///
    /// [`InvalidHashKey::TooShort`] below 16 bytes.
    pub fn new(key: impl Into<Vec<u8>>) -> Result<Self, InvalidHashKey> {
        let key = Zeroizing::new(key.into());
        if key.len() < Self::MIN_BYTES {
            return Err(InvalidHashKey::TooShort { length: key.len() });
        }
        Ok(Self(key))
    }

    /// Reads the key from a file: all its bytes except trailing line breaks. The file has at most 64 KiB; one
    /// of this user must not be accessible to others.
    ///
    /// # Errors
    ///
    /// [`InvalidHashKey`] if the file cannot be read, others may access it, or the key is too short.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidHashKey> {
        let path = path.as_ref();
        let bytes = attestry_keyfile::read_bytes(path).map_err(|error| match error {
            KeyError::Unreadable { path, source } => InvalidHashKey::File { path, source },
            KeyError::Exposed { path, mode } => InvalidHashKey::Exposed { path, mode },
            other => {
                let (path, source) = (path.to_path_buf(), std::io::Error::other(other));
                InvalidHashKey::File { path, source }
            }
        })?;
        Self::new(&**bytes)
    }
}

impl HashKey {
    fn mac(&self) -> Hmac<Sha256> {
        // HMAC accepts keys of any length, so this cannot fail.
        let Ok(mac) = Hmac::new_from_slice(&self.0) else { unreachable!() };
        mac
    }
}

fn keyed(mac: Hmac<Sha256>) -> String {
    format!("{KEYED_PREFIX}{}", to_hex(&mac.finalize().into_bytes()))
}

/// [`ContentHash::hash`] in pieces.
pub(crate) enum Hasher {
    Sha256(Sha256),
    HmacSha256(Box<Hmac<Sha256>>),
}

impl Hasher {
    pub(crate) fn update(&mut self, content: &str) {
        match self {
            Self::Sha256(hasher) => hasher.update(content),
            Self::HmacSha256(mac) => mac.update(content.as_bytes()),
        }
    }

    pub(crate) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => to_hex(&hasher.finalize()),
            Self::HmacSha256(mac) => keyed(*mac),
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl ContentHash {
    /// The hash of `content` as stored in an entry.
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
                let mut mac = key.mac();
                mac.update(content.as_bytes());
                keyed(mac)
            }
        }
    }

    /// Hashes content that arrives in pieces.
    pub(crate) fn hasher(&self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::HmacSha256(key) => Hasher::HmacSha256(Box::new(key.mac())),
        }
    }

    /// Whether `hash`, taken from an entry, is the hash of `content`; `None` if it is keyed and `self`
    /// has no key. A plain hash is checked regardless of the setting for new entries.
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
    fn short_keys_are_rejected_and_keys_are_not_printed() {
        assert!(matches!(HashKey::new(*b"short"), Err(InvalidHashKey::TooShort { length: 5 })));
        let hash = ContentHash::HmacSha256(HashKey::new(*b"a very secret hash key").unwrap());
        assert!(!format!("{hash:?}").contains("secret"));
    }

    #[test]
    fn keyed_hashes_are_not_checked_without_the_key() {
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
