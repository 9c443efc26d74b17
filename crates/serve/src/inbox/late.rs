//! What is received after the entry of its call was written.

use attestry::{AuditEntry, EntryId, hash_content, line, metadata};
use serde_json::{Map, Value};

/// Keys that say how a record was received, not what the call was.
const OF_RECORD: &[&str] = &[
    metadata::SOURCE,
    metadata::SOURCE_SHA256,
    metadata::MISSING,
    metadata::TRACE_ID,
    metadata::SPAN_ID,
    metadata::PARENT_SPAN_ID,
    metadata::CONTENT,
    metadata::CONTENT_INPUT,
    metadata::CONTENT_OUTPUT,
];
/// The same in [`metadata::OTHER`].
const OF_SPAN: &[&str] = &["span.name", "spans", "otel.schema_url"];
const OF_SCOPE: &str = "otel.scope.";

/// The entry of what `late` says and `stored`, the entry of the same call, does not. `None` if it says nothing more: it
/// was sent twice, or repeats the call in the words of another instrumentation. `dated_now` is whether the time of `late`
/// is that of its writing.
pub(super) fn supplement(
    late: AuditEntry,
    stored: &AuditEntry,
    dated_now: bool,
) -> Option<AuditEntry> {
    if is_covered(&late, stored) {
        return None;
    }
    let mut entry = late;
    entry.metadata.insert(metadata::ADDS_TO.to_owned(), stored.id.as_str().into());
    // Sent again, or written again after a crash, it has the same id. Content is encrypted differently each time; its
    // hashes are the same.
    let known = AuditEntry {
        input_content: None,
        output_content: None,
        timestamp: if dated_now { stored.timestamp } else { entry.timestamp },
        ..entry.clone()
    };
    let line = line::encode(&known).unwrap_or_default();
    let text = format!("{} {}", stored.id, String::from_utf8_lossy(&line));
    entry.id = EntryId::for_record(&hash_content(&text), 0);
    Some(entry)
}

fn is_covered(late: &AuditEntry, stored: &AuditEntry) -> bool {
    let is_missing = |name: &str| {
        let missing = late.metadata.get(metadata::MISSING).and_then(Value::as_array);
        missing.is_some_and(|names| names.iter().any(|known| known == name))
    };
    let same_text =
        |late: &Option<String>, stored: &Option<String>| late.is_none() || late == stored;
    let same_tokens = |late: Option<i64>, stored: Option<i64>| late.is_none() || late == stored;
    (is_missing("input") || late.input_hash == stored.input_hash)
        && (is_missing("output") || late.output_hash == stored.output_hash)
        && same_text(&late.provider, &stored.provider)
        && same_text(&late.model, &stored.model)
        && same_text(&late.conversation_id, &stored.conversation_id)
        && same_text(&late.block_reason, &stored.block_reason)
        && (late.safety_passed || !stored.safety_passed)
        && same_tokens(late.input_tokens, stored.input_tokens)
        && same_tokens(late.output_tokens, stored.output_tokens)
        && late.detectors_triggered.iter().all(|name| stored.detectors_triggered.contains(name))
        && late.alerts.iter().all(|alert| stored.alerts.contains(alert))
        && has_all(&late.metadata, &stored.metadata, |key| {
            OF_RECORD.contains(&key) || key == metadata::OTHER
        })
        && other(late).is_none_or(|fields| {
            has_all(fields, other(stored).unwrap_or(&Map::new()), |key| {
                OF_SPAN.contains(&key) || key.starts_with(OF_SCOPE)
            })
        })
}

/// Whether `stored` has all fields of `late`, except those that `skipped` names.
fn has_all(
    late: &Map<String, Value>,
    stored: &Map<String, Value>,
    skipped: impl Fn(&str) -> bool,
) -> bool {
    late.iter().all(|(key, value)| skipped(key) || stored.get(key) == Some(value))
}

fn other(entry: &AuditEntry) -> Option<&Map<String, Value>> {
    entry.metadata.get(metadata::OTHER).and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use attestry::Timestamp;
    use serde_json::json;

    use super::*;

    fn entry(fields: &Value) -> AuditEntry {
        let id: EntryId = "e-1".parse().unwrap();
        let mut entry = AuditEntry::new(id, Timestamp::UNIX_EPOCH, "in".into(), "out".into());
        entry.provider = Some("openai".to_owned());
        entry.input_tokens = Some(5);
        entry.metadata = fields.as_object().unwrap().clone();
        entry
    }

    #[test]
    fn repetition_says_nothing_more() {
        let stored =
            entry(&json!({"a": 1, "span_id": "s", "attestry.other": {"port": 1, "spans": []}}));
        for late in [
            stored.clone(),
            AuditEntry { input_tokens: None, provider: None, ..stored.clone() },
            entry(
                &json!({"span_id": "another", "attestry.other": {"port": 1, "otel.scope.name": "x"}}),
            ),
            AuditEntry {
                output_hash: "of nothing".to_owned(),
                ..entry(&json!({"attestry.missing": ["output"]}))
            },
        ] {
            assert_eq!(supplement(late, &stored, false), None);
        }
    }

    #[test]
    fn anything_more_is_an_entry_with_a_stable_id() {
        let stored = entry(&json!({"attestry.other": {"port": 1}}));
        for late in [
            AuditEntry { output_hash: "another".to_owned(), ..stored.clone() },
            AuditEntry { output_tokens: Some(2), ..stored.clone() },
            AuditEntry { safety_passed: false, ..stored.clone() },
            entry(&json!({"new": true})),
            entry(&json!({"attestry.other": {"port": 2}})),
        ] {
            let added = supplement(late.clone(), &stored, false).unwrap();
            assert_eq!(added.metadata["attestry.adds_to"], "e-1");
            assert_ne!(added.id, stored.id);
            assert_eq!(supplement(late, &stored, false), Some(added));
        }
    }

    #[test]
    fn neither_encryption_nor_the_time_of_writing_changes_the_id() {
        let stored = entry(&json!({}));
        let late = |text: &str, seconds: i64| {
            let mut late = entry(&json!({"new": true}));
            (late.input_content, late.output_content) = (Some(text.to_owned()), None);
            late.timestamp = Timestamp::from_unix_micros(seconds * 1_000_000).unwrap();
            late
        };
        let id = |text, seconds, dated_now| {
            supplement(late(text, seconds), &stored, dated_now).unwrap().id
        };
        assert_eq!(id("one IV", 1, false), id("another IV", 1, false));
        assert_eq!(id("one IV", 1, true), id("another IV", 2, true));
        assert_ne!(id("one IV", 1, false), id("one IV", 2, false));
    }
}
