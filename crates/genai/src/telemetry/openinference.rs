//! OpenInference: `llm.input_messages.0.message.content`, ...

use attestry_core::metadata;
use serde_json::{Map, Value, json};

use super::{common, flat};
use crate::json::{Fields, structured};
use crate::provider::parameters;
use crate::record::{CallRecord, Side};

pub(super) fn attributes(record: &mut CallRecord, fields: &mut Fields) {
    let kind = fields.text("openinference.span.kind").unwrap_or_default();
    let operation = operation(&kind);
    record.set(metadata::OPERATION, Some(operation));
    let mut invocation = fields.embedded_fields("llm.invocation_parameters");
    parameters(record, &mut invocation);
    fields.put_rest("llm.invocation_parameters", invocation);
    let asked = fields.text("llm.request.model_name").or_else(|| record.model.take());
    let answered = fields.text("llm.response.model_name").or_else(|| fields.text("llm.model_name"));
    record.set_model(asked, answered);
    let system = fields.text("llm.system");
    if let Some(name) = fields.text("llm.provider").or(system) {
        record.provider = Some(common::provider(&name));
    }
    record.input_tokens = fields.integer("llm.token_count.prompt");
    record.output_tokens = fields.integer("llm.token_count.completion");
    let sum = record.input_tokens.unwrap_or(0).saturating_add(record.output_tokens.unwrap_or(0));
    if fields.get("llm.token_count.total").as_i64() == Some(sum) {
        fields.take("llm.token_count.total");
    }
    for (key, name) in [
        (metadata::CACHE_READ_TOKENS, "llm.token_count.prompt_details.cache_read"),
        (metadata::CACHE_WRITE_TOKENS, "llm.token_count.prompt_details.cache_write"),
        (metadata::REASONING_TOKENS, "llm.token_count.completion_details.reasoning"),
    ] {
        record.set_integer(key, fields, name);
    }
    record.set_text(metadata::TOOL_NAME, fields, "tool.name");
    record.set_text(metadata::TOOL_CALL_ID, fields, "tool.id");
    record.set_text(metadata::AGENT_NAME, fields, "agent.name");
    for (side, list, value) in [
        (Side::Input, "llm.input_messages", "input.value"),
        (Side::Output, "llm.output_messages", "output.value"),
    ] {
        match flat::take(fields, list) {
            Some(Value::Array(items)) => {
                common::content(record, side, items.into_iter().map(message).collect());
                response_body(record, fields, side, value);
            }
            _ => {
                if let Some(value) = fields.take(value) {
                    common::content(record, side, value);
                }
            }
        }
        fields.take(if side == Side::Input { "input.mime_type" } else { "output.mime_type" });
    }
    if operation == "guardrail" {
        guardrail(record, fields);
    }
}

fn operation(kind: &str) -> &'static str {
    match kind.to_ascii_uppercase().as_str() {
        "LLM" => "chat",
        "TOOL" => "execute_tool",
        "AGENT" => "invoke_agent",
        "CHAIN" => "invoke_workflow",
        "RETRIEVER" => "retrieval",
        "EMBEDDING" => "embeddings",
        "RERANKER" => "rerank",
        "GUARDRAIL" => "guardrail",
        "EVALUATOR" => "evaluate",
        _ => "other",
    }
}

/// `{"message": {"role", "content", "contents": [...], "tool_calls": [...]}}`.
fn message(item: Value) -> Value {
    let mut message = Fields::new(item).fields("message");
    let mut content: Vec<Value> =
        message.list("contents").unwrap_or_default().into_iter().map(content_block).collect();
    if let Some(text) = message.take("content") {
        content.insert(0, text);
    }
    let content = match content.len() {
        1 if content[0].is_string() => content.remove(0),
        0 => Value::Null,
        _ => content.into(),
    };
    let calls: Vec<Value> = message
        .list("tool_calls")
        .unwrap_or_default()
        .into_iter()
        .map(|call| Value::Object(Fields::new(call).fields("tool_call").rest()))
        .collect();
    if !message.has("role") {
        message.put("role", "assistant".into());
    }
    let mut message: Map<String, Value> = message.rest();
    message.insert("content".to_owned(), content);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    message.into()
}

/// `{"message_content": {"type": "image", "image": {"image": {"url"}}}}`.
fn content_block(item: Value) -> Value {
    let mut block = Fields::new(item).fields("message_content");
    let mut outer = block.fields("image");
    let mut image = outer.fields("image");
    if let Some(url) = image.text("url") {
        return json!({"type": "image_url", "image_url": {"url": url}});
    }
    outer.put_rest("image", image);
    block.put_rest("image", outer);
    Value::Object(block.rest())
}

/// The response as it came has its id and why the model stopped, which no attribute has.
fn response_body(record: &mut CallRecord, fields: &Fields, side: Side, name: &str) {
    if side != Side::Output {
        return;
    }
    let Some(text) = fields.get(name).as_str() else { return };
    let Value::Object(body) = structured(text.into()) else { return };
    if let Some(id) = body.get("id").and_then(Value::as_str).filter(|_| body.contains_key("model"))
    {
        record.set(metadata::RESPONSE_ID, Some(id));
    }
    let choices = body.get("choices").and_then(Value::as_array);
    let reasons: Vec<&str> = choices
        .into_iter()
        .flatten()
        .filter_map(|choice| choice["finish_reason"].as_str())
        .chain(body.get("stop_reason").and_then(Value::as_str))
        .collect();
    if !reasons.is_empty() {
        record.set(metadata::FINISH_REASONS, Some(reasons));
    }
}

fn guardrail(record: &mut CallRecord, fields: &mut Fields) {
    let label = fields.text("evaluation.label");
    let name = fields.text("evaluation.name");
    record.safety_passed =
        label.as_deref().map(|label| !matches!(label, "fail" | "failed" | "block" | "blocked"));
    if record.safety_passed == Some(false) {
        record.detectors.extend(name);
        record.block_reason = label;
    }
}
