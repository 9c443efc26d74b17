//! Amazon Bedrock Converse.

use attestry_logger::messages::{Message, Messages};

use super::{answered, finish_reasons, usage};
use crate::json::Fields;
use crate::messages::{message_of, messages_from_json, system};
use crate::record::{CallRecord, Content, Side};

pub(super) fn request(record: &mut CallRecord, fields: &mut Fields) {
    let mut messages: Vec<Message> = fields.take("system").and_then(system).into_iter().collect();
    if let Some(list) = fields.take("messages") {
        match messages_from_json(list.clone()) {
            Some(list) => messages.extend(list.0),
            None => fields.put("messages", list),
        }
    }
    if !messages.is_empty() {
        record.set_content(Side::Input, Some(Content::Messages(Messages(messages))));
    }
    if let Some(model) = fields.text("modelId") {
        record.model = Some(model);
    }
}

pub(super) fn response(record: &mut CallRecord, fields: &mut Fields) {
    answered(record, None, None);
    let reason = fields.text("stopReason");
    let mut output = fields.fields("output");
    let message = output.fields("message");
    fields.put_rest("output", output);
    if let Some(mut message) = message_of(message) {
        message.finish_reason.clone_from(&reason);
        record.set_content(Side::Output, Some(Content::Messages(Messages(vec![message]))));
    }
    finish_reasons(record, reason.into_iter().collect());
    let rest = usage::converse(record, fields.fields("usage"));
    fields.put_rest("usage", rest);
    let mut metrics = fields.fields("metrics");
    record.latency_ms = record.latency_ms.or(metrics.number("latencyMs"));
    fields.put_rest("metrics", metrics);
}
