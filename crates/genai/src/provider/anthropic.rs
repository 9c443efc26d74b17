//! Anthropic Messages.

use attestry_core::metadata;
use attestry_logger::messages::{Message, Messages};

use super::openai::messages_or_json;
use super::{answered, finish_reasons, usage};
use crate::json::Fields;
use crate::messages::{content_parts, system};
use crate::record::{CallRecord, Content, Side};

pub(super) fn request(record: &mut CallRecord, fields: &mut Fields) {
    let prompt = fields.take("system").and_then(system);
    let content = fields.take("messages").and_then(messages_or_json);
    let content = match (prompt, content) {
        (Some(prompt), Some(Content::Messages(mut messages))) => {
            messages.0.insert(0, prompt);
            Some(Content::Messages(messages))
        }
        (Some(prompt), None) => Some(Content::Messages(Messages(vec![prompt]))),
        (_, content) => content,
    };
    record.set_content(Side::Input, content);
    let mut user = fields.fields("metadata");
    record.set_text(metadata::USER, &mut user, "user_id");
    fields.put_rest("metadata", user);
}

pub(super) fn response(record: &mut CallRecord, fields: &mut Fields) {
    let (model, id) = (fields.text("model"), fields.text("id"));
    answered(record, model, id);
    fields.take("type");
    let role = fields.text("role").unwrap_or_else(|| "assistant".to_owned());
    let reason = fields.text("stop_reason");
    if let Some(content) = fields.take("content") {
        let mut message = Message::new(role, content_parts(content));
        message.finish_reason.clone_from(&reason);
        record.set_content(Side::Output, Some(Content::Messages(Messages(vec![message]))));
    }
    finish_reasons(record, reason.into_iter().collect());
    let rest = usage::anthropic(record, fields.fields("usage"));
    fields.put_rest("usage", rest);
}
