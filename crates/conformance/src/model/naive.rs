//! Evaluates a query entry by entry. Shares no code with `Query`, which it is compared with.

use attestry_core::{AuditEntry, MetadataCondition, MetadataTest, Order, Phase, Query};
use serde_json::Value;

/// The entries that `query` selects from `written`, which is in write order.
pub(crate) fn naive(query: &Query, written: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut ordered: Vec<(usize, &AuditEntry)> = written.iter().enumerate().collect();
    ordered.sort_by_key(|(n, entry)| (entry.timestamp, *n));
    let descending = query.order == Order::Descending;
    if descending {
        ordered.reverse();
    }
    let cursor = query.after.as_ref();
    let cursor_position = cursor.and_then(|cursor| {
        ordered.iter().position(|(_, e)| e.id == cursor.id && e.timestamp == cursor.timestamp)
    });
    let mut result = Vec::new();
    for (position, (_, entry)) in ordered.into_iter().enumerate() {
        let after_cursor = match (cursor, cursor_position) {
            (None, _) => true,
            (Some(_), Some(cursor_position)) => position > cursor_position,
            (Some(cursor), None) if descending => entry.timestamp <= cursor.timestamp,
            (Some(cursor), None) => entry.timestamp >= cursor.timestamp,
        };
        let full = query.limit.is_some_and(|limit| result.len() >= limit);
        if after_cursor && !full && matches(query, entry) && in_phase(query.phase, entry, written) {
            result.push(entry.clone());
        }
    }
    result
}

fn matches(query: &Query, entry: &AuditEntry) -> bool {
    let text = |filter: &Option<String>, value: &Option<String>| match (filter, value) {
        (None, _) => true,
        (Some(filter), Some(value)) => filter == value,
        (Some(_), None) => false,
    };
    let since = query.since.is_none_or(|since| entry.timestamp >= since);
    let until = query.until.is_none_or(|until| entry.timestamp <= until);
    let triggered =
        |name: &String| entry.detectors_triggered.iter().any(|detector| detector == name);
    since
        && until
        && text(&query.provider, &entry.provider)
        && text(&query.model, &entry.model)
        && text(&query.conversation_id, &entry.conversation_id)
        && query.safety_passed.is_none_or(|passed| passed == entry.safety_passed)
        && query.detector.as_ref().is_none_or(triggered)
        && query.metadata.iter().all(|condition| meets(condition, entry))
        && query
            .text_contains
            .as_ref()
            .is_none_or(|wanted| texts(entry).iter().any(|text| text.contains(wanted.as_str())))
}

fn in_phase(phase: Phase, entry: &AuditEntry, written: &[AuditEntry]) -> bool {
    let is = |phase: &str| entry.metadata.get("attestry.phase").is_some_and(|value| value == phase);
    let ends = |end: &AuditEntry| {
        end.timestamp >= entry.timestamp
            && end.metadata.get("attestry.call").is_some_and(|call| call == entry.id.as_str())
    };
    let is_open = || is("start") && !written.iter().any(ends);
    match phase {
        Phase::Latest => !is("start") || is_open(),
        Phase::Start => is("start"),
        Phase::End => is("end"),
        Phase::Open => is_open(),
        _ => true,
    }
}

/// The test data writes equal numbers in one way.
fn meets(condition: &MetadataCondition, entry: &AuditEntry) -> bool {
    let stored = entry.metadata.iter().find(|(key, _)| **key == condition.key);
    match (&condition.test, stored) {
        (MetadataTest::Equals(value), Some((_, stored))) => value == stored,
        (MetadataTest::Exists, stored) => stored.is_some(),
        _ => false,
    }
}

/// The texts of an entry without JSON content. The metadata of the test data has no nested objects.
fn texts(entry: &AuditEntry) -> Vec<&str> {
    let mut texts: Vec<&str> = entry.alerts.iter().map(String::as_str).collect();
    texts.extend(entry.input_content.as_deref());
    texts.extend(entry.output_content.as_deref());
    texts.extend(entry.block_reason.as_deref());
    for value in entry.metadata.values() {
        match value {
            Value::Array(values) => texts.extend(values.iter().filter_map(Value::as_str)),
            value => texts.extend(value.as_str()),
        }
    }
    texts
}
