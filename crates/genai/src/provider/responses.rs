//! OpenAI Responses.

use attestry_core::metadata;
use attestry_logger::messages::{Message, Messages, Part};
use serde_json::Value;

use super::{answered, finish_reasons, usage};
use crate::json::Fields;
use crate::messages::{items, system};
use crate::record::{CallRecord, Content, Side};

pub(super) fn request(record: &mut CallRecord, fields: &mut Fields) {
    let mut messages: Vec<Message> =
        fields.take("instructions").and_then(system).into_iter().collect();
    match fields.take("input") {
        None => {}
        Some(Value::String(text)) => messages.push(Message::new("user", [Part::text(text)])),
        Some(Value::Array(list)) => messages.extend(items(list).0),
        Some(value) => messages.extend(items(vec![value]).0),
    }
    if !messages.is_empty() {
        record.set_content(Side::Input, Some(Content::Messages(Messages(messages))));
    }
    conversation(record, fields);
}

fn conversation(record: &mut CallRecord, fields: &mut Fields) {
    let id = fields.text("conversation");
    let mut object = fields.fields("conversation");
    if let Some(id) = id.or_else(|| object.text("id")) {
        record.conversation_id = Some(id);
    }
    fields.put_rest("conversation", object);
}

pub(super) fn response(record: &mut CallRecord, fields: &mut Fields) {
    let (model, id) = (fields.text("model"), fields.text("id"));
    answered(record, model, id);
    fields.take("object");
    let created = fields.time("created_at");
    record.started = record.started.or(created);
    let rest = usage::openai(record, fields.fields("usage"));
    fields.put_rest("usage", rest);
    conversation(record, fields);
    // An echo of the request.
    for key in ["instructions", "temperature", "top_p", "max_output_tokens", "user"] {
        fields.take(key);
    }
    let status = fields.text("status");
    let mut incomplete = fields.fields("incomplete_details");
    let reason = incomplete.text("reason");
    fields.put_rest("incomplete_details", incomplete);
    match status.as_deref() {
        Some("failed") => record.failed("error"),
        Some("cancelled") => record.set(metadata::OUTCOME, Some(metadata::OUTCOME_ABANDONED)),
        _ => {}
    }
    if let Some(output) = fields.list("output") {
        let mut messages = items(output);
        let finish_reason = reason.or(status);
        if let Some(last) = messages.0.last_mut() {
            last.finish_reason.clone_from(&finish_reason);
        }
        record.set_content(Side::Output, Some(Content::Messages(messages)));
        finish_reasons(record, finish_reason.into_iter().collect());
    }
    // `output_text` of the clients is the text of `output`.
    fields.take("output_text");
}
