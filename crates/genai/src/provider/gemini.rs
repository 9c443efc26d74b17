//! Gemini `generateContent`.

use attestry_core::metadata;
use attestry_logger::messages::{Message, Messages};
use serde_json::Value;

use super::{answered, finish_reasons, usage};
use crate::json::Fields;
use crate::messages::block;
use crate::record::{CallRecord, Content, Side};

pub(super) fn request(record: &mut CallRecord, fields: &mut Fields) {
    let mut messages = Vec::new();
    for key in ["systemInstruction", "system_instruction"] {
        if let Some(instruction) = fields.take(key) {
            messages.push(content(instruction, "system"));
        }
    }
    let contents = match fields.take("contents") {
        Some(Value::Array(contents)) => contents,
        Some(content) => vec![content],
        None => Vec::new(),
    };
    messages.extend(contents.into_iter().map(|item| content(item, "user")));
    if !messages.is_empty() {
        record.set_content(Side::Input, Some(Content::Messages(Messages(messages))));
    }
}

/// `{"role": "user", "parts": [...]}`. The role `model` is `assistant` in the schema.
fn content(value: Value, default_role: &str) -> Message {
    let mut fields = match value {
        Value::String(text) => Fields::new(serde_json::json!({"parts": [{"text": text}]})),
        value => Fields::new(value),
    };
    let role = match (default_role, fields.text("role")) {
        ("system", _) => "system".to_owned(),
        (_, Some(role)) if role == "model" => "assistant".to_owned(),
        (_, Some(role)) => role,
        (role, None) => role.to_owned(),
    };
    let parts = match fields.take("parts") {
        Some(Value::Array(parts)) => parts.into_iter().map(block).collect(),
        Some(part) => vec![block(part)],
        None => Vec::new(),
    };
    let mut message = Message::new(role, parts);
    message.extra = fields.rest();
    message
}

pub(super) fn response(record: &mut CallRecord, fields: &mut Fields) {
    let (model, id) = (fields.text("modelVersion"), fields.text("responseId"));
    answered(record, model, id);
    let mut reasons = Vec::new();
    let mut messages = Vec::new();
    let mut rests = Vec::new();
    for candidate in fields.list("candidates").unwrap_or_default() {
        let mut candidate = Fields::new(candidate);
        candidate.take("index");
        let reason = candidate.text("finishReason");
        let mut message = content(candidate.take("content").unwrap_or_default(), "assistant");
        message.finish_reason.clone_from(&reason);
        messages.push(message);
        reasons.extend(reason);
        rests.push(Value::Object(candidate.rest()));
    }
    if rests.iter().any(|rest| rest.as_object().is_some_and(|rest| !rest.is_empty())) {
        fields.put("candidates", rests.into());
    }
    if !messages.is_empty() {
        record.set_content(Side::Output, Some(Content::Messages(Messages(messages))));
    }
    finish_reasons(record, reasons);
    let rest = usage::gemini(record, fields.fields("usageMetadata"));
    fields.put_rest("usageMetadata", rest);
    let mut feedback = fields.fields("promptFeedback");
    if let Some(reason) = feedback.text("blockReason") {
        record.set(metadata::OUTCOME, Some(metadata::OUTCOME_BLOCKED));
        record.safety_passed = Some(false);
        record.detectors.insert(reason.clone());
        record.block_reason = Some(reason);
    }
    fields.put_rest("promptFeedback", feedback);
}
