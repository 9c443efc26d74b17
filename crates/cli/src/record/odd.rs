//! Values that are possible and most likely wrong: negative counts, and times far from now.

use std::time::Duration;

use attestry::{AuditEntry, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// Why `entry` is most likely wrong at the time `now`.
pub(crate) fn oddity(entry: &AuditEntry, now: Timestamp) -> Option<String> {
    let tokens = [("input_tokens", entry.input_tokens), ("output_tokens", entry.output_tokens)];
    if let Some((field, _)) = tokens.iter().find(|(_, tokens)| tokens.is_some_and(|n| n < 0)) {
        return Some(format!("{field}: a number of tokens is 0 or more"));
    }
    if entry.latency_ms < 0.0 {
        return Some("latency_ms: a latency is 0 or more".to_owned());
    }
    if entry.timestamp < Timestamp::UNIX_EPOCH {
        return Some("timestamp: the time is before 1970".to_owned());
    }
    if entry.timestamp > now.saturating_add(DAY) {
        return Some("timestamp: the time is more than a day in the future".to_owned());
    }
    None
}
