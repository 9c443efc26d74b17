//! Entries to write.

use attestry_core::{AuditEntry, EntryId, Timestamp};
use serde_json::json;

/// 2026-01-28T09:15:00, and so many microseconds.
pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(1_769_591_700_000_000 + micros).expect("a moment in range")
}

pub(crate) const DAY: i64 = 86_400_000_000;

pub(crate) fn id(text: impl AsRef<str>) -> EntryId {
    EntryId::new(text.as_ref()).expect("an id that may be written")
}

/// An entry with the required fields.
pub(crate) fn entry(name: impl AsRef<str>, micros: i64) -> AuditEntry {
    AuditEntry::new(id(name), at(micros), "1".repeat(64), "2".repeat(64))
}

/// Entries of the same name with numbers, one microsecond apart.
pub(crate) fn series(name: &str, count: usize) -> Vec<AuditEntry> {
    (0..).take(count).map(|n: i64| entry(format!("{name}-{n}"), n)).collect()
}

/// An entry with every field set to something other than its default.
pub(crate) fn full(name: &str, micros: i64) -> AuditEntry {
    let metadata =
        json!({"user": "u-1", "tags": ["a", "b"], "nested": {"score": 0.25, "none": null}});
    AuditEntry {
        id: id(name),
        timestamp: at(micros),
        input_hash: attestry_core::hash_content("What is 2+2?"),
        output_hash: attestry_core::hash_content("4"),
        input_content: Some("What is 2+2?".into()),
        output_content: Some("4".into()),
        provider: Some("openai".into()),
        model: Some("gpt-4".into()),
        conversation_id: Some("conversation-7".into()),
        safety_passed: false,
        detectors_triggered: vec!["pii".into(), "toxicity".into()],
        block_reason: Some("contains a card number".into()),
        alerts: vec!["alert one".into(), "alert two".into()],
        latency_ms: 245.518,
        input_tokens: Some(15),
        output_tokens: Some(8),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
    }
}

/// Two dozen entries for queries, in the order to write them: out of the order of time, with
/// ties, over three days, and with few distinct values so that filters match some of them.
pub(crate) fn varied() -> Vec<AuditEntry> {
    let pick = |values: [&'static str; 3], n: usize| Some(values[n % 3]).filter(|v| !v.is_empty());
    (0..24_usize)
        .map(|n| {
            let place = i64::try_from((n * 7) % 24).unwrap_or_default();
            AuditEntry {
                provider: pick(["openai", "anthropic", ""], n).map(Into::into),
                model: pick(["gpt-4", "", "claude"], n / 2).map(Into::into),
                conversation_id: pick(["", "c-1", "c-2"], n / 3).map(Into::into),
                safety_passed: n % 4 != 0,
                detectors_triggered: [vec![], vec!["pii"], vec!["toxicity", "pii"]][n % 3]
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                // Three of a moment, and the moments on three days.
                ..entry(format!("varied-{n}"), place / 3 % 3 + DAY * (place / 9))
            }
        })
        .collect()
}
