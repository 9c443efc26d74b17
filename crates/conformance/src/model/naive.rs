//! A query answered one entry at a time, with nothing clever and nothing shared with `Query`.

use attestry_core::{AuditEntry, Order, Query};

/// What `query` selects from `written`, which stands in the order it was written.
pub(crate) fn naive(query: &Query, written: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut ordered: Vec<(usize, &AuditEntry)> = written.iter().enumerate().collect();
    ordered.sort_by_key(|(n, entry)| (entry.timestamp, *n));
    let descending = query.order == Order::Descending;
    if descending {
        ordered.reverse();
    }
    let cursor = query.after.as_ref();
    let found = cursor.and_then(|cursor| {
        ordered.iter().position(|(_, e)| e.id == cursor.id && e.timestamp == cursor.timestamp)
    });
    let mut result = Vec::new();
    for (place, (_, entry)) in ordered.into_iter().enumerate() {
        let behind = match (cursor, found) {
            (None, _) => true,
            (Some(_), Some(position)) => place > position,
            (Some(cursor), None) if descending => entry.timestamp <= cursor.timestamp,
            (Some(cursor), None) => entry.timestamp >= cursor.timestamp,
        };
        let full = query.limit.is_some_and(|limit| result.len() >= limit);
        if behind && !full && fits(query, entry) {
            result.push(entry.clone());
        }
    }
    result
}

fn fits(query: &Query, entry: &AuditEntry) -> bool {
    let text = |wanted: &Option<String>, value: &Option<String>| match (wanted, value) {
        (None, _) => true,
        (Some(wanted), Some(value)) => wanted == value,
        (Some(_), None) => false,
    };
    let late_enough = query.since.is_none_or(|since| entry.timestamp >= since);
    let early_enough = query.until.is_none_or(|until| entry.timestamp <= until);
    let triggered = |name: &String| entry.detectors_triggered.iter().any(|one| one == name);
    late_enough
        && early_enough
        && text(&query.provider, &entry.provider)
        && text(&query.model, &entry.model)
        && text(&query.conversation_id, &entry.conversation_id)
        && query.safety_passed.is_none_or(|passed| passed == entry.safety_passed)
        && query.detector.as_ref().is_none_or(triggered)
}
