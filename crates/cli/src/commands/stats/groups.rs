//! Entries summarised by the values of some of their fields.

use std::collections::BTreeMap;

use attestry::{AuditEntry, Timestamp};
use serde_json::Value;

use crate::args::GroupKey;
use crate::histogram::Histogram;
use crate::times::Zone;

/// The values of the keys; `None` where an entry has none.
pub(super) type Group = Vec<Option<String>>;

/// Memory grows with the number of groups, not with the number of entries.
pub(super) struct Groups {
    pub(super) keys: Vec<GroupKey>,
    zone: Zone,
    pub(super) summaries: BTreeMap<Group, Summary>,
}

impl Groups {
    pub(super) fn new(keys: Vec<GroupKey>, zone: Zone) -> Self {
        Self { keys, zone, summaries: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, entry: &AuditEntry) {
        let group = self.keys.iter().map(|key| value(key, entry, &self.zone)).collect();
        self.summaries.entry(group).or_default().add(entry);
    }

    pub(super) fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.summaries.values().for_each(|summary| total.merge(summary));
        total
    }
}

fn value(key: &GroupKey, entry: &AuditEntry, zone: &Zone) -> Option<String> {
    let metadata = |key: &str| match entry.metadata.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match key {
        GroupKey::Provider => entry.provider.clone(),
        GroupKey::Model => entry.model.clone(),
        GroupKey::Conversation => entry.conversation_id.clone(),
        GroupKey::Safety => Some(if entry.safety_passed { "passed" } else { "failed" }.to_owned()),
        GroupKey::Year => Some(zone.day(entry.timestamp)[..4].to_owned()),
        GroupKey::Month => Some(zone.day(entry.timestamp)[..7].to_owned()),
        GroupKey::Day => Some(zone.day(entry.timestamp)),
        GroupKey::Metadata(key) => metadata(key),
    }
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) entries: u64,
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) safety_failed: u64,
    /// 2^64 entries cannot overflow it.
    pub(super) input_tokens: i128,
    pub(super) output_tokens: i128,
    pub(super) latency: Histogram,
}

impl Summary {
    fn add(&mut self, entry: &AuditEntry) {
        self.entries += 1;
        self.widen(entry.timestamp, entry.timestamp);
        self.safety_failed += u64::from(!entry.safety_passed);
        self.input_tokens += i128::from(entry.input_tokens.unwrap_or(0));
        self.output_tokens += i128::from(entry.output_tokens.unwrap_or(0));
        self.latency.add(entry.latency_ms);
    }

    fn merge(&mut self, other: &Self) {
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
}
