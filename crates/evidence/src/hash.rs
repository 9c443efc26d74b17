//! SHA-256 with the domain separation of RFC 6962 for leaves and nodes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A SHA-256 hash of 32 bytes: a leaf, a node or the root of the tree.
///
/// As text it is 44 characters of padded standard base64, as in all formats of C2SP; `{:x}` prints
/// hexadecimal.
///
/// ```
/// use attestry_evidence::Hash;
///
/// let root: Hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?;
/// assert_eq!(root, Hash::EMPTY_TREE);
/// assert!(format!("{root:x}").starts_with("e3b0c442"));
/// # Ok::<(), attestry_evidence::InvalidHash>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// The text is not 32 bytes in standard, padded base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a hash is 32 bytes in base64: 43 characters of A-Z a-z 0-9 + / and one =")]
pub struct InvalidHash;

/// The bytes contain a line break and are not one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an entry is one line, but there is a line break at byte {offset}")]
pub struct NotOneLine {
    /// The position of the first line break.
    pub offset: usize,
}

impl Hash {
    /// The length of a hash in bytes.
    pub const SIZE: usize = 32;

    /// The root of an empty tree: SHA-256 of no data.
    pub const EMPTY_TREE: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    pub(crate) const ZERO: Self = Self([0; 32]);

    /// A hash with these bytes; nothing is computed.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The hash of a leaf with this data: SHA-256 of a 0x00 byte and the data (RFC 6962, section 2.1).
///
/// For entries use [`line_hash`], which cannot be confused with [erasure
/// records](crate::ErasureRecord).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut sha = Sha256::new();
    sha.update([0]);
    sha.update(data);
    Hash(sha.finalize().into())
}

/// [`leaf_hash`] of data in chunks.
///
/// ```
/// use attestry_evidence::{LeafHasher, leaf_hash};
///
/// let mut hasher = LeafHasher::new();
/// hasher.update(b"a long ");
/// hasher.update(b"line");
/// assert_eq!(hasher.finish(), leaf_hash(b"a long line"));
/// ```
#[derive(Debug, Clone)]
pub struct LeafHasher(Sha256);

impl LeafHasher {
    /// A hasher without data.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix([0]))
    }

    /// Adds data.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of the leaf.
    #[must_use]
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of a node with these children: SHA-256 of a 0x01 byte and both (RFC 6962, section 2.1).
#[must_use]
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    // One call with a fixed size, the fastest form: this is the cost of appending to the tree.
    let mut data = [1; 65];
    data[1..33].copy_from_slice(&left.0);
    data[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(data).into())
}

/// The leaf hash of an entry: of its raw line, without the final `\n`, if any.
///
/// Every other byte counts, also a `\r` before the line break: the raw line is the record.
///
/// ```
/// use attestry_evidence::{leaf_hash, line_hash};
///
/// assert_eq!(line_hash(b"{\"id\": \"a\"}\n")?, leaf_hash(b"{\"id\": \"a\"}"));
/// assert!(line_hash(b"one\ntwo").is_err());
/// # Ok::<(), attestry_evidence::NotOneLine>(())
/// ```
///
/// # Errors
///
/// [`NotOneLine`] when the line contains a line break. Erasure records contain one and entries do not,
/// which separates their leaves.
pub fn line_hash(line: &[u8]) -> Result<Hash, NotOneLine> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // `contains` is vectorised, `position` is not.
    if line.contains(&b'\n') {
        let offset = line.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        return Err(NotOneLine { offset });
    }
    Ok(leaf_hash(line))
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 44];
        // 32 bytes are always 44 ASCII characters.
        let length = STANDARD.encode_slice(self.0, &mut text).unwrap_or_default();
        f.pad(std::str::from_utf8(&text[..length]).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::LowerHex for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        if text.len() != 44 {
            return Err(InvalidHash);
        }
        // 44 characters without padding are 33 bytes.
        let mut bytes = [0; 33];
        match STANDARD.decode_slice(text, &mut bytes) {
            Ok(32) => bytes.first_chunk().map(|bytes| Self(*bytes)).ok_or(InvalidHash),
            _ => Err(InvalidHash),
        }
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_base64_is_a_hash() {
        let text = Hash::EMPTY_TREE.to_string();
        assert_eq!(text.parse(), Ok(Hash::EMPTY_TREE));
        for wrong in [
            String::new(),
            text[..43].to_owned(),
            format!("{text}="),
            text.replace('+', "-"),
            // Non-zero trailing bits.
            text.replace("FU=", "FV="),
            // 33 bytes.
            "A".repeat(44),
            format!("é{}", &text[2..]),
        ] {
            assert_eq!(wrong.parse::<Hash>(), Err(InvalidHash), "{wrong}");
        }
    }

    #[test]
    fn line_hash_ignores_one_final_line_break() {
        assert_eq!(line_hash(b"a\n"), Ok(leaf_hash(b"a")));
        assert_eq!(line_hash(b""), Ok(leaf_hash(b"")));
        assert_eq!(line_hash(b"a\r\n"), Ok(leaf_hash(b"a\r")));
        assert_eq!(line_hash(b"a\n\n"), Err(NotOneLine { offset: 1 }));
        assert_eq!(line_hash(b"\na"), Err(NotOneLine { offset: 0 }));
    }
}
