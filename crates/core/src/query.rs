//! Queries: a selection of entries, their order, and cursors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::{AuditEntry, EntryId, InvalidQuery, OptionalText, ParseTimestampError, Timestamp};

/// A selection of entries. An empty query selects all entries, oldest first.
///
/// All conditions that are set must hold. Entries are ordered by timestamp, ties by the order of
/// writing (reversed if [descending](Order::Descending)).
///
/// ```
/// use attestry_core::{Order, Query, Timestamp};
///
/// let newest_failures = Query::new()
///     .since("2026-01-01".parse::<Timestamp>()?)
///     .provider("openai")
///     .safety_passed(false)
///     .order(Order::Descending)
///     .limit(20);
/// # Ok::<(), attestry_core::ParseTimestampError>(())
/// ```
///
/// Setters take a value or an `Option` of one, so that optional parameters of a request need no
/// branches. A query can also be deserialised as a whole; every field is optional:
///
/// ```
/// use attestry_core::{Order, Query};
///
/// let query: Query = serde_json::from_str(r#"{"provider": "openai", "order": "descending", "limit": 20}"#)?;
/// assert_eq!(query, Query::new().provider("openai").order(Order::Descending).limit(20));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Query {
    /// Only entries at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only entries at or before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only entries of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only entries of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only entries of this conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Only entries that passed (`true`) or failed (`false`) the safety checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_passed: Option<bool>,
    /// Only entries in which this detector triggered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// At most this number of entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Oldest or newest first.
    pub order: Order,
    /// Only entries after this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Oldest or newest first. Serialised as `ascending` and `descending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums)] // There are two orders.
pub enum Order {
    /// Oldest first; ties in the order of writing.
    #[default]
    Ascending,
    /// Newest first; ties in the reverse order of writing. The exact reverse of ascending.
    Descending,
}

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

impl Query {
    /// All entries, oldest first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All entries from `start` to `end`, both inclusive.
    #[must_use]
    pub fn range(start: Timestamp, end: Timestamp) -> Self {
        Self::new().since(start).until(end)
    }

    /// Only entries at or after `time`.
    #[must_use]
    pub fn since(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.since = time.into();
        self
    }

    /// Only entries at or before `time`.
    #[must_use]
    pub fn until(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.until = time.into();
        self
    }

    /// Only entries of this provider.
    #[must_use]
    pub fn provider(mut self, provider: impl OptionalText) -> Self {
        self.provider = provider.into_optional_text();
        self
    }

    /// Only entries of this model.
    #[must_use]
    pub fn model(mut self, model: impl OptionalText) -> Self {
        self.model = model.into_optional_text();
        self
    }

    /// Only entries of this conversation.
    #[must_use]
    pub fn conversation_id(mut self, id: impl OptionalText) -> Self {
        self.conversation_id = id.into_optional_text();
        self
    }

    /// Only entries that passed (`true`) or failed (`false`) the safety checks.
    #[must_use]
    pub fn safety_passed(mut self, passed: impl Into<Option<bool>>) -> Self {
        self.safety_passed = passed.into();
        self
    }

    /// Only entries in which this detector triggered.
    #[must_use]
    pub fn detector(mut self, name: impl OptionalText) -> Self {
        self.detector = name.into_optional_text();
        self
    }

    /// At most `count` entries.
    #[must_use]
    pub fn limit(mut self, count: impl Into<Option<usize>>) -> Self {
        self.limit = count.into();
        self
    }

    /// Oldest or newest first.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Only entries after `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }

    /// Checks that the query does not contradict itself. Every backend calls this first.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery::SinceAfterUntil`] if the range ends before it starts.
    pub fn validate(&self) -> Result<(), InvalidQuery> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => {
                Err(InvalidQuery::SinceAfterUntil { since, until })
            }
            _ => Ok(()),
        }
    }

    /// The inclusive range of timestamps that matching entries can have, narrowed by the cursor. `None`
    /// if the range is empty.
    #[must_use]
    pub fn time_range(&self) -> Option<(Timestamp, Timestamp)> {
        let mut start = self.since.unwrap_or(Timestamp::MIN);
        let mut end = self.until.unwrap_or(Timestamp::MAX);
        if let Some(cursor) = &self.after {
            match self.order {
                Order::Ascending => start = start.max(cursor.timestamp),
                Order::Descending => end = end.min(cursor.timestamp),
            }
        }
        (start <= end).then_some((start, end))
    }

    /// Whether `entry` meets all conditions. Limit and cursor are not conditions of a single entry.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let is = |wanted: &Option<String>, value: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| value.as_ref() == Some(wanted))
        };
        self.since.is_none_or(|since| entry.timestamp >= since)
            && self.until.is_none_or(|until| entry.timestamp <= until)
            && is(&self.provider, &entry.provider)
            && is(&self.model, &entry.model)
            && is(&self.conversation_id, &entry.conversation_id)
            && self.safety_passed.is_none_or(|passed| entry.safety_passed == passed)
            && self.detector.as_ref().is_none_or(|name| entry.detectors_triggered.contains(name))
    }

    /// Whether timestamps alone decide which entries are selected, so that an index of timestamps is
    /// enough to answer the query. Limit, order and cursor do not matter.
    ///
    /// ```
    /// use attestry_core::{Query, Timestamp};
    ///
    /// let early = Query::new().until(Timestamp::UNIX_EPOCH).limit(5);
    /// assert!(early.is_by_time_alone());
    /// assert!(!early.provider("openai").is_by_time_alone());
    /// ```
    #[must_use]
    pub fn is_by_time_alone(&self) -> bool {
        // Names all fields, so that a new one does not compile until it is considered here.
        let Self {
            since: _,
            until: _,
            provider: None,
            model: None,
            conversation_id: None,
            safety_passed: None,
            detector: None,
            limit: _,
            order: _,
            after: _,
        } = self
        else {
            return false;
        };
        true
    }

    /// Answers the query from `entries`, which must include all entries of
    /// [`time_range`](Self::time_range), in ascending order, ties in the order of writing.
    ///
    /// The provided [`StorageBackend::scan`](crate::StorageBackend::scan) uses this.
    #[must_use]
    pub fn select(&self, mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
        if self.order == Order::Descending {
            entries.reverse();
        }
        let start = self.after.as_ref().map_or(0, |cursor| self.position_after(cursor, &entries));
        entries
            .into_iter()
            .skip(start)
            .filter(|entry| self.matches(entry))
            .take(self.limit.unwrap_or(usize::MAX))
            .collect()
    }

    /// The index at which the result resumes after `cursor`, in entries of this query's order.
    fn position_after(&self, cursor: &Cursor, entries: &[AuditEntry]) -> usize {
        let first = entries.partition_point(|entry| match self.order {
            Order::Ascending => entry.timestamp < cursor.timestamp,
            Order::Descending => entry.timestamp > cursor.timestamp,
        });
        let ties = entries[first..].iter().take_while(|entry| entry.timestamp == cursor.timestamp);
        // The last record of that id: a folder may hold an id twice, and a page must not be repeated.
        let last = ties.enumerate().filter(|(_, entry)| entry.id == cursor.id).last();
        last.map_or(first, |(index, _)| first + index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, micros: i64) -> AuditEntry {
        let timestamp = Timestamp::from_unix_micros(micros).unwrap();
        AuditEntry::new(id.parse().unwrap(), timestamp, "i".into(), "o".into())
    }

    fn ids(entries: &[AuditEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn pages_concatenate_to_the_full_result_in_both_orders() {
        let all = vec![entry("a", 1), entry("b", 2), entry("c", 2), entry("d", 2), entry("e", 3)];
        for (order, expected) in [
            (Order::Ascending, ["a", "b", "c", "d", "e"]),
            (Order::Descending, ["e", "d", "c", "b", "a"]),
        ] {
            for size in 1..=5 {
                let mut query = Query::new().order(order).limit(size);
                let mut seen = Vec::new();
                loop {
                    let page = query.select(all.clone());
                    let Some(last) = page.last() else { break };
                    query = query.after(Cursor::from(last));
                    seen.extend(page);
                }
                assert_eq!(ids(&seen), expected, "{order:?}, pages of {size}");
            }
        }
    }

    #[test]
    fn deleted_cursor_repeats_its_timestamp_and_skips_nothing() {
        let left = vec![entry("a", 1), entry("b", 2), entry("d", 2), entry("e", 3)];
        let cursor = Cursor::from(&entry("c", 2));
        assert_eq!(ids(&Query::new().after(cursor.clone()).select(left.clone())), ["b", "d", "e"]);
        let descending = Query::new().order(Order::Descending).after(cursor);
        assert_eq!(ids(&descending.select(left)), ["d", "b", "a"]);
    }

    #[test]
    fn contradictory_ranges_are_invalid() {
        let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
        assert!(Query::range(at(2), at(1)).validate().is_err());
        assert!(Query::range(at(1), at(1)).validate().is_ok());
        assert_eq!(
            Query::range(at(5), at(9)).after(Cursor::from(&entry("x", 10))).time_range(),
            None
        );
    }

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

    #[test]
    fn query_json_is_parsed_back() {
        let some = Some("x");
        let full = Query::range(Timestamp::MIN, Timestamp::MAX)
            .provider(some)
            .model("m".to_owned())
            .conversation_id("c")
            .detector("d")
            .safety_passed(Some(true))
            .limit(Some(3))
            .order(Order::Descending)
            .after(Cursor::from(&entry("a", 1)));
        for query in [Query::new(), full] {
            let json = serde_json::to_string(&query).unwrap();
            assert_eq!(serde_json::from_str::<Query>(&json).unwrap(), query, "{json}");
        }
        assert_eq!(serde_json::to_string(&Query::new()).unwrap(), r#"{"order":"ascending"}"#);
        let error = serde_json::from_str::<Query>(r#"{"colour": "red"}"#).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
        assert_eq!(Query::new().provider(None::<String>).limit(None), Query::new());
    }
}
