//! Finding a text in an entry.

use serde_json::Value;

use crate::AuditEntry;

/// Whether a text of `entry` contains `wanted`.
pub(crate) fn contains(entry: &AuditEntry, wanted: &str) -> bool {
    let contents = [&entry.input_content, &entry.output_content].into_iter().flatten();
    let others = entry.block_reason.iter().chain(&entry.alerts);
    contents.into_iter().any(|content| in_content(content, wanted))
        || others.into_iter().any(|text| text.contains(wanted))
        || entry.metadata.values().any(|value| in_value(value, wanted))
}

/// In the text itself, or in a string of the JSON that it is.
fn in_content(content: &str, wanted: &str) -> bool {
    if content.contains(wanted) {
        return true;
    }
    // JSON may escape these, and the others only if it was made by an unusual writer.
    let may_be_escaped = |c: char| !c.is_ascii() || c.is_control() || matches!(c, '"' | '\\' | '/');
    content.contains('\\')
        && content.trim_start().starts_with(['{', '[', '"'])
        && wanted.contains(may_be_escaped)
        && serde_json::from_str(content).is_ok_and(|value| in_value(&value, wanted))
}

fn in_value(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.contains(wanted),
        Value::Array(values) => values.iter().any(|value| in_value(value, wanted)),
        Value::Object(values) => values.values().any(|value| in_value(value, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::contains;
    use crate::{AuditEntry, Timestamp};

    #[test]
    fn every_text_of_an_entry_is_searched() {
        let mut entry =
            AuditEntry::new("a".parse().unwrap(), Timestamp::UNIX_EPOCH, "hash".into(), "o".into());
        entry.input_content = Some("Wie heißt du?".into());
        entry.output_content = Some(r#"[{"text":"say \"h\u00e9llo\"\nwörld"}]"#.into());
        entry.block_reason = Some("policy 4.2".into());
        entry.alerts = vec!["first".into(), "second alert".into()];
        entry.metadata = json!({"tags": ["α", {"deep": "β"}]}).as_object().cloned().unwrap();
        for text in ["heißt", "say \"héllo\"\nw", "policy 4", "second", "α", "β", "wörld"] {
            assert!(contains(&entry, text), "{text}");
        }
        for text in ["HEISST", "hash", "tags", "third", "a\"b"] {
            assert!(!contains(&entry, text), "{text}");
        }
    }
}
