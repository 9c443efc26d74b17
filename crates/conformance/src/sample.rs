//! Test entries.

use attestry_core::{AuditEntry, EntryId, Timestamp};
use serde_json::{Map, Value, json};

/// 2026-01-28T09:15:00 UTC plus `micros` microseconds.
pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(1_769_591_700_000_000 + micros).expect("a timestamp in range")
}

/// In microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;

pub(crate) fn id(text: impl AsRef<str>) -> EntryId {
    EntryId::new(text.as_ref()).expect("a valid id")
}

/// An entry with only the required fields.
pub(crate) fn entry(name: impl AsRef<str>, micros: i64) -> AuditEntry {
    AuditEntry::new(id(name), at(micros), "1".repeat(64), "2".repeat(64))
}

/// `count` entries with the ids `{name}-0`, `{name}-1`, ..., one microsecond apart.
pub(crate) fn series(name: &str, count: usize) -> Vec<AuditEntry> {
    (0..).take(count).map(|n: i64| entry(format!("{name}-{n}"), n)).collect()
}

/// An entry with every field set to a value other than its default.
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

/// Several keys, types and absent keys.
fn metadata(n: usize) -> Map<String, Value> {
    let user = ["u-1", "u-2", "u-3"][n % 3];
    let team = json!({"account": user, "attempt": n % 4, "cached": n.is_multiple_of(2)});
    let other = json!({"account": n % 3, "trace_id": null, "tags": ["Zoë", n], "score": 0.5});
    let value = if n % 6 < 4 { team } else { other };
    value.as_object().cloned().unwrap_or_default()
}

/// 24 entries for queries, in write order: not ordered by timestamp, with ties, over three days, and
/// with few distinct values, so that each filter matches some of them.
pub(crate) fn varied() -> Vec<AuditEntry> {
    let pick = |values: [&'static str; 3], n: usize| Some(values[n % 3]).filter(|v| !v.is_empty());
    (0..24_usize)
        .map(|n| {
            let position = i64::try_from((n * 7) % 24).unwrap_or_default();
            AuditEntry {
                provider: pick(["openai", "anthropic", ""], n).map(Into::into),
                model: pick(["gpt-4", "", "claude"], n / 2).map(Into::into),
                conversation_id: pick(["", "c-1", "c-2"], n / 3).map(Into::into),
                safety_passed: n % 4 != 0,
                detectors_triggered: [vec![], vec!["pii"], vec!["toxicity", "pii"]][n % 3]
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                input_content: (n % 5 == 0).then(|| format!("Wie viel ist {n} + {n}?\nDanke, Zoë")),
                alerts: if n % 7 == 0 { vec!["Zoë asks".into()] } else { Vec::new() },
                metadata: metadata(n),
                // Three entries per timestamp, three timestamps per day.
                ..entry(format!("varied-{n}"), position / 3 % 3 + DAY * (position / 9))
            }
        })
        .collect()
}
