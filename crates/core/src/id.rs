//! Entry ids: validation and creation.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// The identifier of one audit entry: text of 1 to 255 bytes, unique within a store.
///
/// Ids become parts of file names and object keys, so [`EntryId::new`] rejects path separators, `..`
/// and control characters. Cloning is cheap: clones share the text.
///
/// ```
/// use attestry_core::EntryId;
///
/// let id: EntryId = "order-4711".parse()?;
/// assert_eq!(id.as_str(), "order-4711");
/// assert!("../etc/passwd".parse::<EntryId>().is_err());
/// # Ok::<(), attestry_core::InvalidId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(Arc<str>);

/// Why a text is not a valid id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("an entry id must not be empty")]
    Empty,
    /// The text is longer than 255 bytes.
    #[error("an entry id has at most 255 bytes, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It contains `/` or `\`.
    #[error("an entry id must not contain the path separator {separator:?} (at byte {offset})")]
    PathSeparator {
        /// The first separator.
        separator: char,
        /// Its byte offset.
        offset: usize,
    },
    /// It is `.` or contains `..`.
    #[error("an entry id must not be \".\" or contain \"..\"")]
    DotSegment,
    /// It contains a control character, such as a line break.
    #[error("an entry id must not contain the control character U+{:04X} (at byte {offset})", u32::from(*.character))]
    ControlCharacter {
        /// The first control character.
        character: char,
        /// Its byte offset.
        offset: usize,
    },
}

impl EntryId {
    /// The maximum length of an id, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Creates an id from `id` after validating it.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] with the violated rule.
    pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidId> {
        let id = id.as_ref();
        check(id)?;
        Ok(Self(Arc::from(id)))
    }

    /// Creates an id from `id` without validating it.
    ///
    /// The Python package validates nothing, so a store may hold ids that [`new`](Self::new) rejects;
    /// they can be read and deleted. Writing an entry validates its id.
    #[must_use]
    pub fn new_unchecked(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The id of an imported record: a UUID of version 5 of the record's SHA-256, `record_sha256` in
    /// hexadecimal, and its `occurrence` among identical records of its file, counted from 0. Importing a
    /// file again gives the same ids, so that no record is stored twice, and identical records of one
    /// file have distinct ids.
    ///
    /// The name that is hashed is `record_sha256`, a slash and the occurrence in decimal, in the namespace
    /// [`RECORD_NAMESPACE`](Self::RECORD_NAMESPACE). Other programs can compute the id, too: in Python,
    /// `uuid.uuid5(namespace, f"{record_sha256}/{occurrence}")`.
    ///
    /// ```
    /// use attestry_core::{EntryId, hash_content};
    ///
    /// let record = hash_content(r#"{"input": "2+2?", "output": "4"}"#);
    /// let id = EntryId::for_record(&record, 0);
    /// assert_eq!(id.as_str(), "d1a278aa-19bd-5179-b70a-80774e84b915");
    /// assert_ne!(id, EntryId::for_record(&record, 1));
    /// ```
    #[must_use]
    pub fn for_record(record_sha256: &str, occurrence: u64) -> Self {
        let name = format!("{record_sha256}/{occurrence}");
        Self::from_uuid(Uuid::new_v5(&Uuid::from_bytes(Self::RECORD_NAMESPACE), name.as_bytes()))
    }

    /// The namespace of [`for_record`](Self::for_record), as a UUID:
    /// `3567d417-5bc1-4b7f-bd7d-4936ee01e5ec`.
    pub const RECORD_NAMESPACE: [u8; 16] =
        0x3567_d417_5bc1_4b7f_bd7d_4936_ee01_e5ec_u128.to_be_bytes();

    fn from_uuid(uuid: Uuid) -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        Self(Arc::from(&*uuid.hyphenated().encode_lower(&mut text)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks whether an entry with this id may be written.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] with the violated rule.
    pub fn validate(&self) -> Result<(), InvalidId> {
        check(&self.0)
    }
}

fn check(id: &str) -> Result<(), InvalidId> {
    if is_plain(id) {
        return Ok(());
    }
    if id.is_empty() {
        return Err(InvalidId::Empty);
    }
    if id.len() > EntryId::MAX_BYTES {
        return Err(InvalidId::TooLong { length: id.len() });
    }
    for (offset, character) in id.char_indices() {
        if matches!(character, '/' | '\\') {
            return Err(InvalidId::PathSeparator { separator: character, offset });
        }
        if character.is_control() {
            return Err(InvalidId::ControlCharacter { character, offset });
        }
    }
    if id == "." || id.contains("..") {
        return Err(InvalidId::DotSegment);
    }
    Ok(())
}

/// Fast path: whether `id` has a valid length and only ASCII letters, digits, `-` and `_`, as every
/// UUID does. There is no early exit, so that the loop is vectorised.
fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_');
    (1..=EntryId::MAX_BYTES).contains(&id.len())
        && id.bytes().fold(true, |all, byte| all & plain(byte))
}

/// The scheme by which ids of new entries are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum IdScheme {
    /// Random UUIDs (version 4), as the Python package creates them.
    #[default]
    V4,
    /// UUIDs that begin with the time in milliseconds (version 7). A backend that files entries by
    /// date, such as S3, finds them without a search. They reveal their time of creation.
    V7,
}

impl IdScheme {
    /// Creates an id.
    ///
    /// ```
    /// use attestry_core::IdScheme;
    /// assert_eq!(IdScheme::V7.create().as_str().as_bytes()[14], b'7');
    /// ```
    ///
    /// # Panics
    ///
    /// If the operating system's random number generator fails.
    #[must_use]
    pub fn create(self) -> EntryId {
        let uuid = match self {
            // Without uuid's `fast-rng`: its generator is not reseeded after a fork, so that parent and
            // child would create the same ids.
            Self::V4 => Uuid::new_v4(),
            Self::V7 => Uuid::now_v7(),
        };
        EntryId::from_uuid(uuid)
    }
}

/// Creates a random id: a UUID of version 4, such as `550e8400-e29b-41d4-a716-446655440000`.
///
/// ```
/// let id = attestry_core::create_entry_id();
/// assert_eq!(id.as_str().len(), 36);
/// ```
///
/// # Panics
///
/// If the operating system's random number generator fails.
#[must_use]
pub fn create_entry_id() -> EntryId {
    IdScheme::V4.create()
}

impl FromStr for EntryId {
    type Err = InvalidId;
    fn from_str(id: &str) -> Result<Self, InvalidId> {
        Self::new(id)
    }
}

impl TryFrom<&str> for EntryId {
    type Error = InvalidId;
    fn try_from(id: &str) -> Result<Self, InvalidId> {
        Self::new(id)
    }
}

impl TryFrom<&String> for EntryId {
    type Error = InvalidId;
    fn try_from(id: &String) -> Result<Self, InvalidId> {
        Self::new(id)
    }
}

impl TryFrom<String> for EntryId {
    type Error = InvalidId;
    fn try_from(id: String) -> Result<Self, InvalidId> {
        Self::new(id)
    }
}

impl From<&EntryId> for EntryId {
    fn from(id: &EntryId) -> Self {
        id.clone()
    }
}

impl AsRef<str> for EntryId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for EntryId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Accepts any text, so that every stored entry can be read.
impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = EntryId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry id as text")
            }
            fn visit_str<E>(self, id: &str) -> Result<EntryId, E> {
                Ok(EntryId::new_unchecked(id))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_ids_are_rejected_with_the_rule() {
        for (id, expected) in [
            ("", InvalidId::Empty),
            ("a/b", InvalidId::PathSeparator { separator: '/', offset: 1 }),
            ("a\\b", InvalidId::PathSeparator { separator: '\\', offset: 1 }),
            ("..", InvalidId::DotSegment),
            (".", InvalidId::DotSegment),
            ("a..b", InvalidId::DotSegment),
            ("é\n", InvalidId::ControlCharacter { character: '\n', offset: 2 }),
            ("\u{85}", InvalidId::ControlCharacter { character: '\u{85}', offset: 0 }),
        ] {
            assert_eq!(EntryId::new(id), Err(expected), "{id:?}");
            assert_eq!(EntryId::new_unchecked(id).validate(), Err(expected), "{id:?}");
        }
        assert_eq!(EntryId::new("x".repeat(256)), Err(InvalidId::TooLong { length: 256 }));
    }

    #[test]
    fn record_ids_are_those_of_other_programs() {
        // Python: uuid.uuid5(uuid.UUID("3567d417-5bc1-4b7f-bd7d-4936ee01e5ec"), "ab/N")
        for (occurrence, id) in [
            (0, "2c8ed7b7-e915-5b5b-a0ba-21262bc9f5c8"),
            (4711, "29294c6f-bc9f-51f5-83e0-8379e5c6eeb1"),
        ] {
            assert_eq!(EntryId::for_record("ab", occurrence).as_str(), id);
        }
        let hashes = ["a", "b"].into_iter().flat_map(|hash| [(hash, 0), (hash, 1)]);
        let ids: std::collections::HashSet<_> =
            hashes.map(|(hash, occurrence)| EntryId::for_record(hash, occurrence)).collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn other_ids_are_valid() {
        assert!(is_plain("0b-9_Z") && !is_plain("") && !is_plain("a.b") && !is_plain("é"));
        assert!(!is_plain("a/b") && !is_plain("a\u{7f}") && !is_plain(&"x".repeat(256)));
        for id in ["a", "a.b", ".hidden", "日本", "with space", &"x".repeat(255)] {
            assert_eq!(EntryId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn schemes_create_distinct_uuids_of_their_version() {
        for (scheme, version) in [(IdScheme::V4, b'4'), (IdScheme::V7, b'7')] {
            let ids: std::collections::HashSet<_> = (0..1000).map(|_| scheme.create()).collect();
            assert_eq!(ids.len(), 1000);
            assert!(ids.iter().all(|id| id.as_str().as_bytes()[14] == version));
            assert!(ids.iter().all(|id| id.validate().is_ok()));
        }
    }
}
