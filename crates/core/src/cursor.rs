//! Cursors: positions in an ordered result.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::{AuditEntry, EntryId, ParseTimestampError, Timestamp};

/// A position in an ordered result: directly after one entry, usually the last of a page.
///
/// If the entry has been deleted since, the query resumes at the first entry of the same timestamp: it
/// may repeat entries of that timestamp, and never skips one.
///
/// The text form, which serde uses too, is the timestamp and the id, joined by `~`:
///
/// ```
/// use attestry_core::{AuditEntry, Cursor, Query, Timestamp};
///
/// # let last = AuditEntry::new("order-4711".parse()?, Timestamp::UNIX_EPOCH, "i".into(), "o".into());
/// let cursor = Cursor::from(&last);
/// assert_eq!(cursor.to_string(), "1970-01-01T00:00:00~order-4711");
/// let next_page = Query::new().limit(100).after(cursor.to_string().parse::<Cursor>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // Entries are ordered by timestamp and identified by id.
pub struct Cursor {
    /// The entry's timestamp.
    pub timestamp: Timestamp,
    /// The entry's id.
    pub id: EntryId,
}

/// Why a text is not a [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidCursor {
    /// It has no `~` between timestamp and id.
    #[error("a cursor is a timestamp and an id, joined by \"~\"")]
    NoSeparator,
    /// The part before the `~` is not a timestamp.
    #[error("the cursor does not begin with a timestamp")]
    Timestamp(#[from] ParseTimestampError),
}

impl From<&AuditEntry> for Cursor {
    fn from(entry: &AuditEntry) -> Self {
        Self { timestamp: entry.timestamp, id: entry.id.clone() }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.timestamp, self.id)
    }
}

/// Accepts any id, because a store may hold ids that are invalid for new entries.
impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (timestamp, id) = text.split_once('~').ok_or(InvalidCursor::NoSeparator)?;
        Ok(Self { timestamp: timestamp.parse()?, id: EntryId::new_unchecked(id) })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_text_is_parsed_back() {
        for id in ["a", "a~b", "", "with space", "../x", "é"] {
            let cursor = Cursor {
                timestamp: Timestamp::from_unix_micros(1_234_567).unwrap(),
                id: EntryId::new_unchecked(id),
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
            let json = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
        }
        assert_eq!("2026-01-28".parse::<Cursor>(), Err(InvalidCursor::NoSeparator));
        let error = "soon~a".parse::<Cursor>().unwrap_err();
        assert!(matches!(error, InvalidCursor::Timestamp(_)), "{error}");
    }
}
