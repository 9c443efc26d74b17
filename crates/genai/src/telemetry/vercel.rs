//! The Vercel AI SDK: `ai.prompt.messages`, `ai.response.text`, ...

use attestry_core::metadata;
use attestry_logger::messages::{Message, Part};
use serde_json::{Map, Value, json};

use super::{common, flat};
use crate::json::{Fields, structured};
use crate::messages::tool_call_part;
use crate::record::{CallRecord, Content, Side};

pub(super) fn attributes(record: &mut CallRecord, fields: &mut Fields) {
    let operation = fields.text("ai.operationId").unwrap_or_default();
    record.set("ai.operationId", Some(operation.as_str()));
    fields.take("operation.name");
    let is_step = operation.contains(".do");
    let kind = match operation.as_str() {
        "ai.toolCall" => "execute_tool",
        name if name.starts_with("ai.embed") => "embeddings",
        // Of several steps, each with a span of its own.
        _ if !is_step => "invoke_agent",
        _ => "chat",
    };
    record.set(metadata::OPERATION, Some(kind));
    fields.take("gen_ai.operation.name");
    names(record, fields);
    match kind {
        "execute_tool" => tool(record, fields),
        "embeddings" => embeddings(record, fields),
        _ => {
            prompt(record, fields);
            answer(record, fields);
        }
    }
    usage(record, fields);
    common::tokens(record, fields);
    if let Some(ms) = fields.number("ai.response.msToFirstChunk") {
        record.set(metadata::TIME_TO_FIRST_TOKEN, Some(ms));
    }
    if is_step {
        record.set_text(metadata::RESPONSE_ID, fields, "ai.response.id");
    }
    if let Some(Value::Object(mut about)) = flat::take(fields, "ai.telemetry.metadata") {
        for (name, value) in std::mem::take(&mut about) {
            match (name.as_str(), value) {
                ("sessionId" | "session_id" | "threadId" | "chatId", Value::String(id)) => {
                    record.conversation_id = Some(id);
                }
                ("userId" | "user_id", Value::String(id)) => record.set(metadata::USER, Some(id)),
                (name, value) => fields.put(&format!("ai.telemetry.metadata.{name}"), value),
            }
        }
    }
}

fn names(record: &mut CallRecord, fields: &mut Fields) {
    let system = fields.text("gen_ai.system");
    if let Some(name) = fields.text("ai.model.provider").or(system) {
        // `openai.chat` is the model class, not the provider.
        let name = match name.rsplit_once('.') {
            Some((provider, "chat" | "responses" | "messages" | "completion" | "embedding")) => {
                provider
            }
            _ => &name,
        };
        record.provider = Some(common::provider(name));
    }
    let asked = fields.text("ai.model.id");
    let asked = fields.text("gen_ai.request.model").or(asked);
    let answered = fields.text("ai.response.model");
    let answered = fields.text("gen_ai.response.model").or(answered);
    record.set_model(asked, answered);
}

fn prompt(record: &mut CallRecord, fields: &mut Fields) {
    if let Some(messages) = fields.take("ai.prompt.messages") {
        return common::messages(record, Side::Input, messages);
    }
    let Some(value) = fields.take("ai.prompt") else { return };
    let mut prompt = match structured(value) {
        Value::Object(prompt) => Fields::new(prompt.into()),
        value => return common::content(record, Side::Input, value),
    };
    let mut messages: Vec<Value> = Vec::new();
    if let Some(system) = prompt.take("system") {
        messages.push(json!({"role": "system", "content": system}));
    }
    match prompt.take("prompt") {
        Some(Value::Array(list)) => messages.extend(list),
        Some(text) => messages.push(json!({"role": "user", "content": text})),
        None => {}
    }
    messages.extend(prompt.list("messages").unwrap_or_default());
    fields.put_rest("ai.prompt", prompt);
    common::content(record, Side::Input, messages.into());
}

fn answer(record: &mut CallRecord, fields: &mut Fields) {
    let mut parts = Vec::new();
    if let Some(text) = fields.text("ai.response.reasoning") {
        parts.push(Part::reasoning(text));
    }
    if let Some(text) = fields.text("ai.response.text") {
        parts.push(Part::text(text));
    }
    if let Some(Value::Array(calls)) = fields.take("ai.response.toolCalls").map(structured) {
        for call in calls {
            let mut call = Fields::new(call);
            let (id, name) = (call.text("toolCallId"), call.text("toolName").unwrap_or_default());
            let arguments = call.take("input").or_else(|| call.take("args"));
            call.take("toolCallType");
            call.take("type");
            parts.push(tool_call_part(id, name, arguments, call.rest()));
        }
    }
    if let Some(object) = fields.text("ai.response.object") {
        parts.push(Part::text(object));
    }
    let reason = fields.text("ai.response.finishReason");
    if let Some(reason) = &reason {
        record.set(metadata::FINISH_REASONS, Some(vec![reason.as_str()]));
        fields.take("gen_ai.response.finish_reasons");
    }
    if !parts.is_empty() {
        let mut message = Message::new("assistant", parts);
        message.finish_reason = reason;
        record.set_content(Side::Output, Some(Content::Messages([message].into_iter().collect())));
    }
}

fn tool(record: &mut CallRecord, fields: &mut Fields) {
    record.set_text(metadata::TOOL_NAME, fields, "ai.toolCall.name");
    record.set_text(metadata::TOOL_CALL_ID, fields, "ai.toolCall.id");
    for (side, name) in [(Side::Input, "ai.toolCall.args"), (Side::Output, "ai.toolCall.result")] {
        if let Some(value) = fields.take(name) {
            common::content(record, side, value);
        }
    }
}

fn embeddings(record: &mut CallRecord, fields: &mut Fields) {
    for (side, names) in [
        (Side::Input, ["ai.value", "ai.values"]),
        (Side::Output, ["ai.embedding", "ai.embeddings"]),
    ] {
        for name in names {
            if let Some(value) = fields.take(name) {
                // Each value is JSON text.
                let value = match value {
                    Value::Array(items) => items.into_iter().map(structured).collect(),
                    value => value,
                };
                common::content(record, side, value);
            }
        }
    }
}

fn usage(record: &mut CallRecord, fields: &mut Fields) {
    let mut usage = match flat::take(fields, "ai.usage") {
        Some(Value::Object(usage)) => Fields::new(usage.into()),
        _ => return,
    };
    for name in ["inputTokens", "promptTokens", "tokens"] {
        let tokens = usage.integer(name);
        record.input_tokens = record.input_tokens.or(tokens);
    }
    for name in ["outputTokens", "completionTokens"] {
        let tokens = usage.integer(name);
        record.output_tokens = record.output_tokens.or(tokens);
    }
    record.set_integer(metadata::CACHE_READ_TOKENS, &mut usage, "cachedInputTokens");
    record.set_integer(metadata::REASONING_TOKENS, &mut usage, "reasoningTokens");
    usage.take("totalTokens");
    let rest: Map<String, Value> = usage.rest();
    for (name, value) in rest {
        fields.put(&format!("ai.usage.{name}"), value);
    }
}
