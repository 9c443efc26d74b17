//! Which entries, in which order.

use crate::{AuditEntry, EntryId, InvalidQuery, Timestamp};

/// A selection of entries. Empty, it selects all of them, earliest first.
///
/// Every condition that is set must hold. Entries come in order of time; those of the same moment
/// in the order they were written (in the reverse of it when [descending](Order::Descending)).
///
/// ```
/// use attestry_core::{Order, Query};
///
/// let blocked_lately = Query::new()
///     .since("2026-01-01".parse()?)
///     .provider("openai")
///     .safety_passed(false)
///     .order(Order::Descending)
///     .limit(20);
/// # Ok::<(), attestry_core::ParseTimestampError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Query {
    /// Only entries at or after this moment.
    pub since: Option<Timestamp>,
    /// Only entries at or before this moment.
    pub until: Option<Timestamp>,
    /// Only entries of this provider.
    pub provider: Option<String>,
    /// Only entries of this model.
    pub model: Option<String>,
    /// Only entries of this conversation.
    pub conversation_id: Option<String>,
    /// Only entries that passed (`true`) or failed (`false`) the safety checks.
    pub safety_passed: Option<bool>,
    /// Only entries in which this detector triggered.
    pub detector: Option<String>,
    /// At most this many entries.
    pub limit: Option<usize>,
    /// Earliest or latest first.
    pub order: Order,
    /// Go on behind this entry.
    pub after: Option<Cursor>,
}

/// Earliest or latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[allow(clippy::exhaustive_enums)] // There is no third direction.
pub enum Order {
    /// Earliest first; of one moment, in the order written.
    #[default]
    Ascending,
    /// Latest first; of one moment, the last written first. The exact reverse.
    Descending,
}

/// A place in an ordered result: right behind one entry, usually the last of a page.
///
/// A query that goes on there yields what comes behind that entry. When it has been deleted in
/// between, the query starts at the first entry of the same moment: it may repeat some of that
/// moment, and never leaves one out.
///
/// ```
/// use attestry_core::{AuditEntry, Cursor, EntryId, Query, Timestamp};
///
/// # let last_of_page = AuditEntry::new("a".parse()?, Timestamp::UNIX_EPOCH, "i".into(), "o".into());
/// let next_page = Query::new().limit(100).after(Cursor::from(&last_of_page));
/// # Ok::<(), attestry_core::InvalidId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // Time and id are what the order is made of.
pub struct Cursor {
    /// The entry's time.
    pub timestamp: Timestamp,
    /// The entry's id.
    pub id: EntryId,
}

impl From<&AuditEntry> for Cursor {
    fn from(entry: &AuditEntry) -> Self {
        Self { timestamp: entry.timestamp, id: entry.id.clone() }
    }
}

impl Query {
    /// All entries, earliest first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All entries from `start` to `end`, both inclusive.
    #[must_use]
    pub fn range(start: Timestamp, end: Timestamp) -> Self {
        Self::new().since(start).until(end)
    }

    /// Only entries at or after `moment`.
    #[must_use]
    pub fn since(mut self, moment: Timestamp) -> Self {
        self.since = Some(moment);
        self
    }

    /// Only entries at or before `moment`.
    #[must_use]
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self
    }

    /// Only entries of this provider.
    #[must_use]
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Only entries of this model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Only entries of this conversation.
    #[must_use]
    pub fn conversation_id(mut self, id: impl Into<String>) -> Self {
        self.conversation_id = Some(id.into());
        self
    }

    /// Only entries that passed (`true`) or failed (`false`) the safety checks.
    #[must_use]
    pub fn safety_passed(mut self, passed: bool) -> Self {
        self.safety_passed = Some(passed);
        self
    }

    /// Only entries in which this detector triggered.
    #[must_use]
    pub fn detector(mut self, name: impl Into<String>) -> Self {
        self.detector = Some(name.into());
        self
    }

    /// At most `count` entries.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        self.limit = Some(count);
        self
    }

    /// Earliest or latest first.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Goes on behind `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Whether the query can be answered at all; every backend asks first.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery::SinceAfterUntil`] when the range ends before it starts.
    pub fn validate(&self) -> Result<(), InvalidQuery> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => {
                Err(InvalidQuery::SinceAfterUntil { since, until })
            }
            _ => Ok(()),
        }
    }

    /// The range of time in which matching entries can lie, narrowed by the cursor; both ends
    /// inclusive. `None` when there is no such moment.
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

    /// Whether `entry` meets the conditions. Limit and cursor are not conditions of one entry.
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

    /// Whether it is by their time alone that entries are selected, so that one who knows their times
    /// need not look into them. Limit, order and cursor do not matter here.
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
        // All fields, so that none is forgotten.
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

    /// Answers the query from `entries`, which must be all entries of at least
    /// [`time_range`](Self::time_range), in ascending order of time, ties as written.
    ///
    /// What [`StorageBackend::scan`](crate::StorageBackend::scan) does for a backend that brings
    /// no better way.
    #[must_use]
    pub fn select(&self, mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
        if self.order == Order::Descending {
            entries.reverse();
        }
        let start = self.after.as_ref().map_or(0, |cursor| self.position_behind(cursor, &entries));
        entries
            .into_iter()
            .skip(start)
            .filter(|entry| self.matches(entry))
            .take(self.limit.unwrap_or(usize::MAX))
            .collect()
    }

    /// Where the result goes on behind `cursor`, in entries that stand in this query's order.
    fn position_behind(&self, cursor: &Cursor, entries: &[AuditEntry]) -> usize {
        let first = entries.partition_point(|entry| match self.order {
            Order::Ascending => entry.timestamp < cursor.timestamp,
            Order::Descending => entry.timestamp > cursor.timestamp,
        });
        let ties = entries[first..].iter().take_while(|entry| entry.timestamp == cursor.timestamp);
        // The last of that id: a folder may hold one twice, and a page must not be handed out again.
        let behind = ties.enumerate().filter(|(_, entry)| entry.id == cursor.id).last();
        behind.map_or(first, |(index, _)| first + index + 1)
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
    fn pages_join_into_the_whole_in_both_orders() {
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
    fn a_deleted_cursor_repeats_its_moment_and_skips_nothing() {
        let left = vec![entry("a", 1), entry("b", 2), entry("d", 2), entry("e", 3)];
        let cursor = Cursor::from(&entry("c", 2));
        assert_eq!(ids(&Query::new().after(cursor.clone()).select(left.clone())), ["b", "d", "e"]);
        let descending = Query::new().order(Order::Descending).after(cursor);
        assert_eq!(ids(&descending.select(left)), ["d", "b", "a"]);
    }

    #[test]
    fn contradictions_are_named() {
        let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
        assert!(Query::range(at(2), at(1)).validate().is_err());
        assert!(Query::range(at(1), at(1)).validate().is_ok());
        assert_eq!(
            Query::range(at(5), at(9)).after(Cursor::from(&entry("x", 10))).time_range(),
            None
        );
    }
}
