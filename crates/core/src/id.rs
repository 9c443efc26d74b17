//! Entry ids: what may be one, and how new ones are made.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// The identifier of one audit entry: text of 1 to 255 bytes, unique within a store.
///
/// Ids become parts of file names and object keys, so [`EntryId::new`] refuses path separators,
/// `..`, and control characters. Cloning is cheap: clones share the text.
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

/// Why a text cannot be the id of a new entry.
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
    /// It has a `/` or a `\`.
    #[error("an entry id must not contain the path separator {separator:?} (at byte {offset})")]
    PathSeparator {
        /// The separator found first.
        separator: char,
        /// Its byte offset.
        offset: usize,
    },
    /// It is `.` or contains `..`.
    #[error("an entry id must not be \".\" or contain \"..\"")]
    DotSegment,
    /// It has a control character, a line break for instance.
    #[error("an entry id must not contain the control character U+{:04X} (at byte {offset})", u32::from(*.character))]
    ControlCharacter {
        /// The character found first.
        character: char,
        /// Its byte offset.
        offset: usize,
    },
}

impl EntryId {
    /// The greatest length of an id, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Takes `id` as an entry id if it may be one.
    ///
    /// # Errors
    ///
    /// [`InvalidId`], naming the rule that `id` breaks.
    pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidId> {
        let id = id.as_ref();
        check(id)?;
        Ok(Self(Arc::from(id)))
    }

    /// Takes `id` as it stands in an existing store, whatever it looks like.
    ///
    /// The Python package checks nothing, so a store may hold ids that [`new`](Self::new) would
    /// refuse; they can be read and deleted. Writing an entry checks its id again.
    #[must_use]
    pub fn new_unchecked(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this id may be written; [`new_unchecked`](Self::new_unchecked) does not check.
    ///
    /// # Errors
    ///
    /// [`InvalidId`], naming the rule that it breaks.
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

/// Whether `id` is of a usual length and of letters, digits, `-` and `_` only, as every UUID is:
/// then it breaks no rule. Without an early end the loop takes many bytes a step.
fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_');
    (1..=EntryId::MAX_BYTES).contains(&id.len())
        && id.bytes().fold(true, |all, byte| all & plain(byte))
}

/// How the ids of new entries are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IdScheme {
    /// Random UUIDs (version 4), as the Python package makes them.
    #[default]
    V4,
    /// UUIDs that begin with the time in milliseconds (version 7). A store that files entries by
    /// date, S3 above all, finds such an entry without a search. They reveal when they were made.
    V7,
}

impl IdScheme {
    /// A new id of this scheme.
    ///
    /// ```
    /// use attestry_core::IdScheme;
    /// assert_eq!(IdScheme::V7.create().as_str().as_bytes()[14], b'7');
    /// ```
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    #[must_use]
    pub fn create(self) -> EntryId {
        let uuid = match self {
            // Without uuid's `fast-rng`: its generator is not reseeded after a fork, so that parent and
            // child would create the same ids.
            Self::V4 => Uuid::new_v4(),
            Self::V7 => Uuid::now_v7(),
        };
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        EntryId(Arc::from(&*uuid.hyphenated().encode_lower(&mut text)))
    }
}

/// A new random id: a UUID of version 4, such as `550e8400-e29b-41d4-a716-446655440000`.
///
/// ```
/// let id = attestry_core::create_entry_id();
/// assert_eq!(id.as_str().len(), 36);
/// ```
///
/// # Panics
///
/// When the operating system's random number generator fails.
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

/// Accepts any text: what a store holds must stay readable.
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
    fn refuses_what_cannot_be_a_name() {
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
    fn accepts_the_rest() {
        assert!(is_plain("0b-9_Z") && !is_plain("") && !is_plain("a.b") && !is_plain("é"));
        assert!(!is_plain("a/b") && !is_plain("a\u{7f}") && !is_plain(&"x".repeat(256)));
        for id in ["a", "a.b", ".hidden", "日本", "with space", &"x".repeat(255)] {
            assert_eq!(EntryId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn schemes_make_distinct_uuids_of_their_version() {
        for (scheme, version) in [(IdScheme::V4, b'4'), (IdScheme::V7, b'7')] {
            let ids: std::collections::HashSet<_> = (0..1000).map(|_| scheme.create()).collect();
            assert_eq!(ids.len(), 1000);
            assert!(ids.iter().all(|id| id.as_str().as_bytes()[14] == version));
            assert!(ids.iter().all(|id| id.validate().is_ok()));
        }
    }
}
