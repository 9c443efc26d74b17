//! OpenAI Chat Completions, Completions and Embeddings.

use attestry_logger::messages::Messages;
use serde_json::Value;

use super::{answered, finish_reasons, usage};
use crate::json::Fields;
use crate::messages::{message_of, messages_from_json};
use crate::record::{CallRecord, Content, Side};

pub(super) fn chat_request(record: &mut CallRecord, fields: &mut Fields) {
    if let Some(messages) = fields.take("messages") {
        record.set_content(Side::Input, messages_or_json(messages));
    }
}

pub(super) fn completions_request(record: &mut CallRecord, fields: &mut Fields) {
    record.set_content(Side::Input, fields.take("prompt").and_then(Content::any));
}

pub(super) fn embeddings_request(record: &mut CallRecord, fields: &mut Fields) {
    record.set_content(Side::Input, fields.take("input").and_then(Content::any));
}

pub(super) fn chat_response(record: &mut CallRecord, fields: &mut Fields) {
    head(record, fields);
    let mut reasons = Vec::new();
    let mut messages = Messages::default();
    let mut rests = Vec::new();
    for choice in fields.list("choices").unwrap_or_default() {
        let mut choice = Fields::new(choice);
        choice.take("index");
        let reason = choice.text("finish_reason");
        let mut message = choice.fields("message");
        // A field of the provider that says nothing, in every message.
        if !message.has("role") {
            message.put("role", "assistant".into());
        }
        if let Some(mut message) = message_of(message) {
            message.finish_reason = reason.clone();
            messages.0.push(message);
        }
        reasons.extend(reason);
        rests.push(Value::Object(choice.rest()));
    }
    if rests.iter().any(|rest| rest.as_object().is_some_and(|rest| !rest.is_empty())) {
        fields.put("choices", rests.into());
    }
    if !messages.0.is_empty() {
        record.set_content(Side::Output, Some(Content::Messages(messages)));
    }
    finish_reasons(record, reasons);
}

pub(super) fn completions_response(record: &mut CallRecord, fields: &mut Fields) {
    head(record, fields);
    let mut reasons = Vec::new();
    let mut texts = Vec::new();
    for choice in fields.list("choices").unwrap_or_default() {
        let mut choice = Fields::new(choice);
        choice.take("index");
        reasons.extend(choice.text("finish_reason"));
        texts.push(choice.take("text").unwrap_or_default());
        if choice.has("logprobs") {
            fields.put("logprobs", choice.take("logprobs").unwrap_or_default());
        }
    }
    let output = match texts.len() {
        0 => None,
        1 => texts.pop().and_then(Content::any),
        _ => Some(Content::Json(texts.into())),
    };
    record.set_content(Side::Output, output);
    finish_reasons(record, reasons);
}

pub(super) fn embeddings_response(record: &mut CallRecord, fields: &mut Fields) {
    head(record, fields);
    record.set_content(Side::Output, fields.take("data").and_then(Content::any));
}

fn head(record: &mut CallRecord, fields: &mut Fields) {
    let (model, id) = (fields.text("model"), fields.text("id"));
    answered(record, model, id);
    // The type is known, and the time is that of the answer in whole seconds.
    fields.take("object");
    let created = fields.time("created");
    record.started = record.started.or(created);
    let rest = usage::openai(record, fields.fields("usage"));
    fields.put_rest("usage", rest);
}

pub(super) fn messages_or_json(value: Value) -> Option<Content> {
    match messages_from_json(value.clone()) {
        Some(messages) => Some(Content::Messages(messages)),
        None => Content::any(value),
    }
}
