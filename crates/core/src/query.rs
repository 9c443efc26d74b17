//! Queries: a selection of entries and their order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::search;
use crate::{AuditEntry, Cursor, InvalidQuery, MetadataCondition, OptionalText, Phase, Timestamp};

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
    /// Only entries whose metadata meets each of these conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<MetadataCondition>,
    /// Only entries that contain this text; see [`text_contains`](Self::text_contains).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_contains: Option<String>,
    /// Which entries of calls; see [`phase`](Self::phase).
    #[serde(skip_serializing_if = "is_all")]
    pub phase: Phase,
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

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference.
fn is_all(phase: &Phase) -> bool {
    *phase == Phase::All
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

    /// Only entries whose metadata has `key` with this value: a text, a number, a boolean or `null`.
    /// Numbers are compared by value, so that `5` equals `5.0`. May be called several times; all
    /// conditions must hold.
    ///
    /// File stores have an index of conversations and, for texts, of some metadata keys. Without an index each
    /// entry that meets the other conditions is read; [`since`](Self::since) and [`until`](Self::until) bound
    /// that.
    ///
    /// ```
    /// # use attestry_core::Query;
    /// let query = Query::new().metadata_equals("user.id", "u-17").metadata_equals("attempt", 2);
    /// ```
    #[must_use]
    pub fn metadata_equals(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.push(MetadataCondition::equals(key, value));
        self
    }

    /// Only entries whose metadata has `key`, whatever its value. May be called several times; all
    /// conditions must hold.
    #[must_use]
    pub fn metadata_exists(mut self, key: impl Into<String>) -> Self {
        self.metadata.push(MetadataCondition::exists(key));
        self
    }

    /// Only entries that contain `text` in their stored input or output, their block reason, an alert,
    /// or a text of their metadata. Upper and lower case differ. Content that is JSON is also searched
    /// by its texts, so that escaped characters are found. Encrypted content is compared as it is
    /// stored, that is, encrypted.
    ///
    /// No backend has an index for this: each entry that meets the other conditions is read.
    #[must_use]
    pub fn text_contains(mut self, text: impl OptionalText) -> Self {
        self.text_contains = text.into_optional_text();
        self
    }

    /// Which entries of calls with a start and an end; all by default. With [`Phase::Latest`] each call is
    /// one entry. A call that ends during the scan may be left out.
    ///
    /// ```
    /// use attestry_core::{Order, Phase, Query};
    ///
    /// let latest_calls = Query::new().phase(Phase::Latest).order(Order::Descending).limit(20);
    /// ```
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
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
    /// [`InvalidQuery::SinceAfterUntil`] if the range ends before it starts;
    /// [`InvalidQuery::NotAScalar`] if a metadata value is an array or object;
    /// [`InvalidQuery::EmptyText`] if the text to find is empty.
    pub fn validate(&self) -> Result<(), InvalidQuery> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            return Err(InvalidQuery::SinceAfterUntil { since, until });
        }
        if let Some(condition) = self.metadata.iter().find(|condition| !condition.is_scalar()) {
            return Err(InvalidQuery::NotAScalar { key: condition.key.clone() });
        }
        if self.text_contains.as_deref() == Some("") {
            return Err(InvalidQuery::EmptyText);
        }
        Ok(())
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

    /// Whether `entry` meets all conditions. Limit and cursor are not conditions of a single entry. Nor is
    /// whether a start entry has an end, which [`calls::entries`](crate::calls::entries) finds out.
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
            && self.phase.may_select(entry)
            && self.metadata.iter().all(|condition| condition.holds(&entry.metadata))
            && self.text_contains.as_ref().is_none_or(|text| search::contains(entry, text))
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
        if !self.metadata.is_empty() {
            return false;
        }
        let Self {
            since: _,
            until: _,
            provider: None,
            model: None,
            conversation_id: None,
            safety_passed: None,
            detector: None,
            metadata: _,
            text_contains: None,
            phase: Phase::All,
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
    fn query_json_is_parsed_back() {
        let some = Some("x");
        let full = Query::range(Timestamp::MIN, Timestamp::MAX)
            .provider(some)
            .model("m".to_owned())
            .conversation_id("c")
            .detector("d")
            .safety_passed(Some(true))
            .metadata_equals("user.id", "u")
            .metadata_equals("n", 5)
            .metadata_exists("trace_id")
            .text_contains("t")
            .phase(Phase::Latest)
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
