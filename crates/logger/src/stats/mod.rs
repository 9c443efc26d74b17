//! Entries summarised in groups: by provider and model, by day, by user.
//!
//! ```
//! use attestry_core::Query;
//! use attestry_logger::stats::{GroupKey, Percentile, Statistics};
//! use attestry_logger::{AuditLogger, Interaction};
//! use attestry_memory::MemoryStorage;
//! use futures_util::StreamExt;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let logger = AuditLogger::builder(MemoryStorage::new()).build();
//! logger.log(Interaction::new("2+2?", "4").model("gpt-4").output_tokens(1)).await?;
//!
//! let mut statistics = Statistics::new([GroupKey::Model]);
//! let mut found = logger.query(Query::new());
//! while let Some(entry) = found.next().await {
//!     statistics.add(&entry?);
//! }
//! assert_eq!(statistics.total().output_tokens, 1);
//! let json = statistics.to_json(&Percentile::USUAL, |time| time.to_string());
//! assert_eq!(json["groups"][0]["model"], "gpt-4");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod group_key;
mod latencies;

use std::collections::BTreeMap;

use attestry_core::{AuditEntry, Timestamp};
use serde_json::{Map, Value, json};

pub use self::group_key::{GroupKey, InvalidGroupKey};
pub use self::latencies::{InvalidPercentile, Latencies, Percentile};

/// The values of the keys; `None` where an entry has none.
pub type Group = Vec<Option<String>>;

/// Summaries of entries, one for each group. Memory grows with the number of groups, not with that of the entries.
#[derive(Debug, Clone)]
pub struct Statistics {
    keys: Vec<GroupKey>,
    groups: BTreeMap<Group, Summary>,
}

/// A summary of entries.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Number of entries.
    pub entries: u64,
    /// The earliest and the latest time.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Entries that did not pass the safety checks.
    pub safety_failed: u64,
    /// Sum of the input tokens. 2^64 entries cannot overflow it.
    pub input_tokens: i128,
    /// Sum of the output tokens.
    pub output_tokens: i128,
    /// The latencies of the entries that have one.
    pub latency: Latencies,
}

impl Statistics {
    /// Groups by these keys.
    pub fn new(keys: impl IntoIterator<Item = GroupKey>) -> Self {
        Self { keys: keys.into_iter().collect(), groups: BTreeMap::new() }
    }

    /// Counts `entry`. Days are those of UTC.
    pub fn add(&mut self, entry: &AuditEntry) {
        self.add_on_day_of(entry, |time| {
            let (year, month, day) = time.date();
            format!("{year:04}-{month:02}-{day:02}")
        });
    }

    /// Counts `entry`; `day` gives the day of its time, such as `2026-01-28`, in another time zone.
    pub fn add_on_day_of(&mut self, entry: &AuditEntry, day: impl Fn(Timestamp) -> String) {
        let group = self.keys.iter().map(|key| key.value(entry, &day)).collect();
        self.groups.entry(group).or_default().add(entry);
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[GroupKey] {
        &self.keys
    }

    /// The summaries, in the order of their groups.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<Group, Summary> {
        &self.groups
    }

    /// The summary of all entries.
    #[must_use]
    pub fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.groups.values().for_each(|summary| total.merge(summary));
        total
    }

    /// `first`, `last`, `total`, `by`, and `groups` with these percentiles of the latency. `show` is the text of a
    /// time.
    #[must_use]
    pub fn to_json(&self, percentiles: &[Percentile], show: impl Fn(Timestamp) -> String) -> Value {
        let groups = self.groups.iter().map(|(group, summary)| {
            let values = group.iter().map(|value| Value::from(value.as_deref()));
            let mut object: Map<_, _> =
                self.keys.iter().map(ToString::to_string).zip(values).collect();
            object.extend(summary.to_json(percentiles));
            Value::from(object)
        });
        let total = self.total();
        json!({
            "first": total.span.map(|span| show(span.0)),
            "last": total.span.map(|span| show(span.1)),
            "total": total.to_json(percentiles),
            "by": self.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
        })
    }
}

impl Summary {
    /// Counts `entry`.
    pub fn add(&mut self, entry: &AuditEntry) {
        self.entries += 1;
        self.widen(entry.timestamp, entry.timestamp);
        self.safety_failed += u64::from(!entry.safety_passed);
        self.input_tokens += i128::from(entry.input_tokens.unwrap_or(0));
        self.output_tokens += i128::from(entry.output_tokens.unwrap_or(0));
        self.latency.add(entry.latency_ms);
    }

    /// Adds the counts of `other`, a summary of other entries.
    ///
    /// ```
    /// use attestry_logger::stats::Summary;
    ///
    /// let (mut year, month) = (Summary::default(), Summary::default());
    /// year.merge(&month);
    /// assert_eq!(year.entries, 0);
    /// ```
    pub fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        if let Some((first, last)) = other.span {
            self.widen(first, last);
        }
        self.safety_failed += other.safety_failed;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.latency.merge(&other.latency);
    }

    fn widen(&mut self, from: Timestamp, to: Timestamp) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    fn to_json(&self, percentiles: &[Percentile]) -> Map<String, Value> {
        let mut latency = Map::from_iter([("measured".to_owned(), self.latency.count().into())]);
        for percentile in percentiles {
            latency.insert(format!("p{percentile}"), self.latency.percentile(*percentile).into());
        }
        latency.insert("max".to_owned(), self.latency.max().into());
        Map::from_iter([
            ("entries".to_owned(), self.entries.into()),
            ("safety_failed".to_owned(), self.safety_failed.into()),
            ("input_tokens".to_owned(), integer(self.input_tokens)),
            ("output_tokens".to_owned(), integer(self.output_tokens)),
            ("latency_ms".to_owned(), latency.into()),
        ])
    }
}

/// A number, or its digits as text where a number of more than 64 bits would lose some.
fn integer(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from)
}
