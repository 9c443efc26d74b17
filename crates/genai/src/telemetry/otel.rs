//! The OpenTelemetry conventions for generative AI, from 1.27 on: messages as one attribute, or flattened.

use attestry_core::metadata;
use serde_json::Value;

use super::{common, flat};
use crate::json::{Fields, structured};
use crate::messages::system;
use crate::record::{CallRecord, Content, Side};

pub(super) fn attributes(record: &mut CallRecord, fields: &mut Fields) {
    let request_type = fields.text("llm.request.type");
    if let Some(operation) = fields.text("gen_ai.operation.name").or(request_type) {
        let operation = match operation.as_str() {
            "completion" => "text_completion",
            "embedding" => "embeddings",
            name => name,
        };
        record.set(metadata::OPERATION, Some(operation));
    }
    common::provider_and_model(record, fields);
    common::tokens(record, fields);
    contents(record, fields);
    flattened(record, fields, Side::Input, "gen_ai.prompt");
    flattened(record, fields, Side::Output, "gen_ai.completion");
    operations(record, fields);
}

/// `gen_ai.input.messages` and its like, of spans and of events.
pub(super) fn contents(record: &mut CallRecord, fields: &mut Fields) {
    if let Some(messages) = fields.take("gen_ai.input.messages") {
        common::messages(record, Side::Input, messages);
    }
    if let Some(messages) = fields.take("gen_ai.output.messages") {
        common::messages(record, Side::Output, messages);
    }
    if let Some(instructions) = fields.take("gen_ai.system_instructions").map(structured)
        && let Some(prompt) = system(instructions.clone())
    {
        match &mut record.input {
            Some(Content::Messages(messages)) => messages.0.insert(0, prompt),
            None => record.input = Some(Content::Messages([prompt].into_iter().collect())),
            Some(_) => record.keep("gen_ai.system_instructions", instructions),
        }
    }
}

/// `gen_ai.prompt.0.role`, `gen_ai.prompt.0.content`, ...
fn flattened(record: &mut CallRecord, fields: &mut Fields, side: Side, prefix: &str) {
    let Some(Value::Array(items)) = flat::take(fields, prefix) else { return };
    let mut messages = Vec::new();
    for item in items {
        let mut message = Fields::new(item);
        if !message.has("role") {
            message.put("role", if side == Side::Input { "user" } else { "assistant" }.into());
        }
        if let Some(content) = message.take("content") {
            message.put("content", structured(content));
        }
        messages.push(Value::Object(message.rest()));
    }
    // A message without content, such as a call of a tool, has other fields.
    for message in &mut messages {
        if let Value::Object(message) = message {
            message.entry("content").or_insert(Value::Null);
        }
    }
    common::content(record, side, messages.into());
}

/// Operations other than inference.
fn operations(record: &mut CallRecord, fields: &mut Fields) {
    for (side, names) in [
        (
            Side::Input,
            ["gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text", "traceloop.entity.input"],
        ),
        (
            Side::Output,
            ["gen_ai.tool.call.result", "gen_ai.retrieval.documents", "traceloop.entity.output"],
        ),
    ] {
        for name in names {
            let known = if side == Side::Input { &record.input } else { &record.output };
            if known.is_none()
                && let Some(value) = fields.take(name)
            {
                common::content(record, side, value);
            }
        }
    }
}
