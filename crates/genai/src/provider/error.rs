//! Bodies that say what went wrong.

use attestry_core::metadata;
use serde_json::Value;

use crate::json::{Fields, is_empty};
use crate::record::CallRecord;

/// Whether the body is that of a failed call; adds what it says.
pub(crate) fn error_body(record: &mut CallRecord, fields: &mut Fields) -> bool {
    // `{"error": {...}}` of OpenAI, Anthropic and Gemini; `{"error": "..."}` of Ollama; `{"message": "..."}`
    // of AWS, whose answers have no such field.
    let is_message = fields.get("message").is_string()
        && fields.keys().all(|key| matches!(key, "message" | "__type" | "code"));
    let Some(error) = fields
        .take("error")
        .filter(|error| !is_empty(error))
        .or_else(|| is_message.then(|| fields.take("message")).flatten())
    else {
        return false;
    };
    failed_with(record, error);
    if fields.get("type") == "error" {
        fields.take("type");
    }
    true
}

/// The call failed with `error`, as the API described it.
pub(crate) fn failed_with(record: &mut CallRecord, error: Value) {
    let named = ["code", "type", "status"]
        .into_iter()
        .find_map(|key| error[key].as_str().filter(|name| is_name(name)))
        .unwrap_or("error");
    let is_blocked = matches!(
        named,
        "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation"
    );
    if is_blocked {
        record.set(metadata::OUTCOME, Some(metadata::OUTCOME_BLOCKED));
        record.set(metadata::ERROR_TYPE, Some(named));
        record.block_reason = Some(named.to_owned());
        record.safety_passed = Some(false);
        record.detectors.insert(named.to_owned());
    } else {
        record.failed(named);
    }
    // The message may quote content.
    record.keep("error", error);
}

/// Whether it is a name of an error, and not a sentence that may quote content.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
