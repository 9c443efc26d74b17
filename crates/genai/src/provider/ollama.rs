//! Ollama.

use attestry_logger::messages::Messages;

use super::openai::messages_or_json;
use super::{answered, finish_reasons};
use crate::json::Fields;
use crate::messages::message_of;
use crate::record::{CallRecord, Content, Side};

pub(super) fn chat_request(record: &mut CallRecord, fields: &mut Fields) {
    let messages = fields.take("messages").and_then(messages_or_json);
    record.set_content(Side::Input, messages);
}

pub(super) fn generate_request(record: &mut CallRecord, fields: &mut Fields) {
    record.set_content(Side::Input, fields.take("prompt").and_then(Content::any));
}

pub(super) fn chat_response(record: &mut CallRecord, fields: &mut Fields) {
    let reason = head(record, fields);
    let mut message = fields.fields("message");
    if !message.has("role") {
        message.put("role", "assistant".into());
    }
    if let Some(mut message) = message_of(message) {
        message.finish_reason = reason;
        record.set_content(Side::Output, Some(Content::Messages(Messages(vec![message]))));
    }
}

pub(super) fn generate_response(record: &mut CallRecord, fields: &mut Fields) {
    head(record, fields);
    record.set_content(Side::Output, fields.take("response").and_then(Content::any));
}

/// Returns the reason why the model stopped.
fn head(record: &mut CallRecord, fields: &mut Fields) -> Option<String> {
    let model = fields.text("model");
    answered(record, model, None);
    let created = fields.time("created_at");
    record.started = record.started.or(created);
    record.input_tokens = fields.integer("prompt_eval_count");
    record.output_tokens = fields.integer("eval_count");
    if let Some(nanos) = fields.number("total_duration") {
        record.latency_ms = record.latency_ms.or(Some(nanos / 1e6));
    }
    fields.take("done");
    let reason = fields.text("done_reason");
    finish_reasons(record, reason.iter().cloned().collect());
    reason
}
