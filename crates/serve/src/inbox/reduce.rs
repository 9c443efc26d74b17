//! What is stored of a call that was accepted and whose entry is not valid, such as one that exceeds a line as the union of
//! parts that each fit.

use attestry::{AuditEntry, metadata};
use serde_json::{Map, Value};

/// A longer text is no name or id.
const MAX_TEXT: usize = 4096;
/// What identifies the call and its source.
const KEPT: &[&str] = &[
    metadata::SOURCE,
    metadata::ADDS_TO,
    metadata::RESPONSE_ID,
    metadata::TRACE_ID,
    metadata::SPAN_ID,
    metadata::PARENT_SPAN_ID,
    metadata::OUTCOME,
];

/// Leaves out content, whose hashes are kept, and fields of the source that have no field of ours.
pub(super) fn without_content(entry: &mut AuditEntry) {
    let contents = [("input", &mut entry.input_content), ("output", &mut entry.output_content)];
    let truncated = contents.into_iter().filter_map(|(name, content)| content.take().map(|_| name));
    let truncated: Vec<&str> = truncated.collect();
    note(&mut entry.metadata, metadata::TRUNCATED, &truncated);
    if entry.metadata.shift_remove(metadata::OTHER).is_some() {
        note(&mut entry.metadata, metadata::LOSSY, &[metadata::OTHER]);
    }
}

/// Leaves out all that may be of any length or form.
pub(super) fn to_identity(entry: &mut AuditEntry) {
    without_content(entry);
    let is_short = |text: &str| text.len() <= MAX_TEXT;
    let all = std::mem::take(&mut entry.metadata);
    let is_kept = |key: &str, value: &Value| {
        let is_names = [metadata::TRUNCATED, metadata::MISSING].contains(&key)
            && value.as_array().is_some_and(|names| names.len() <= 8);
        is_names || (KEPT.contains(&key) && value.as_str().is_some_and(is_short))
    };
    entry.metadata = all.into_iter().filter(|(key, value)| is_kept(key, value)).collect();
    let mut lossy = vec!["metadata"];
    for (name, field) in [
        ("provider", &mut entry.provider),
        ("model", &mut entry.model),
        ("conversation_id", &mut entry.conversation_id),
        ("block_reason", &mut entry.block_reason),
    ] {
        if field.take_if(|text| text.len() > MAX_TEXT).is_some() {
            lossy.push(name);
        }
    }
    for (name, field) in
        [("detectors_triggered", &mut entry.detectors_triggered), ("alerts", &mut entry.alerts)]
    {
        if field.iter().map(String::len).sum::<usize>() + field.len() > MAX_TEXT {
            field.clear();
            lossy.push(name);
        }
    }
    note(&mut entry.metadata, metadata::LOSSY, &lossy);
}

/// Adds `names` to the list in this field.
pub(super) fn note(fields: &mut Map<String, Value>, key: &str, names: &[&str]) {
    if names.is_empty() {
        return;
    }
    let known = fields.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all: Vec<Value> = known;
    for name in names {
        if !all.iter().any(|known| known == name) {
            all.push((*name).into());
        }
    }
    fields.insert(key.to_owned(), all.into());
}

#[cfg(test)]
mod tests {
    use attestry::{Timestamp, line};
    use serde_json::json;

    use super::*;

    fn entry(fields: &Value) -> AuditEntry {
        let id = "e-1".parse().unwrap();
        let mut entry = AuditEntry::new(id, Timestamp::UNIX_EPOCH, "in".into(), "out".into());
        entry.metadata = fields.as_object().unwrap().clone();
        entry
    }

    #[test]
    fn what_is_left_out_is_named() {
        let mut reduced = entry(&json!({"attestry.other": {"port": 1}, "label": "a"}));
        reduced.output_content = Some("answer".to_owned());
        without_content(&mut reduced);
        assert_eq!(
            (reduced.output_content.as_deref(), reduced.output_hash.as_str()),
            (None, "out")
        );
        let expected = json!({"label": "a", "attestry.truncated": ["output"], "attestry.lossy": ["attestry.other"]});
        assert_eq!(Value::from(reduced.metadata), expected);
    }

    #[test]
    fn identity_is_always_valid() {
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        let mut reduced = entry(&json!({
            "deep": deep, "attestry.missing": 5, "span_id": "s", "attestry.source": "otlp",
            "long": "x".repeat(65 << 20)}));
        reduced.model = Some("m".repeat(65 << 20));
        reduced.alerts = vec!["a".repeat(5000)];
        reduced.provider = Some("openai".to_owned());
        assert!(reduced.validate().is_err());
        to_identity(&mut reduced);
        reduced.validate().unwrap();
        assert!(line::encode(&reduced).unwrap().len() < 1000);
        assert_eq!(reduced.provider.as_deref(), Some("openai"));
        assert_eq!(reduced.metadata["span_id"], "s");
        assert_eq!(reduced.metadata["attestry.lossy"], json!(["metadata", "model", "alerts"]));
    }
}
