//! Amazon Bedrock InvokeModel: the bodies are those of the model's own API.

use serde_json::Value;

use super::{answered, anthropic, converse, finish_reasons, openai};
use crate::json::Fields;
use crate::record::{CallRecord, Content, Side};

pub(super) fn request(record: &mut CallRecord, fields: &mut Fields) {
    if fields.has("anthropic_version") || fields.has("anthropic_beta") {
        return anthropic::request(record, fields);
    }
    if fields.has("messages") {
        // Of Amazon Nova, as in Converse; of others, as in OpenAI's API.
        return match fields.get("messages")[0]["content"].is_array() {
            true => converse::request(record, fields),
            false => openai::chat_request(record, fields),
        };
    }
    for key in ["prompt", "inputText", "text", "texts", "input"] {
        if let Some(prompt) = fields.take(key) {
            return record.set_content(Side::Input, Content::any(prompt));
        }
    }
}

pub(super) fn response(record: &mut CallRecord, fields: &mut Fields) {
    if fields.get("type") == "message" || fields.has("stop_reason") && fields.has("content") {
        return anthropic::response(record, fields);
    }
    if fields.get("output")["message"].is_object() {
        return converse::response(record, fields);
    }
    if fields.has("choices") {
        return openai::chat_response(record, fields);
    }
    answered(record, None, None);
    record.input_tokens =
        fields.integer("inputTextTokenCount").or_else(|| fields.integer("prompt_token_count"));
    record.output_tokens = fields.integer("generation_token_count");
    // Of Llama, and of Titan's streams.
    let reasons = ["stop_reason", "completionReason"].into_iter();
    finish_reasons(record, reasons.filter_map(|key| fields.text(key)).collect());
    let streamed = fields.integer("totalOutputTextTokenCount");
    record.output_tokens = record.output_tokens.or(streamed);
    if let Some(metrics) = fields.take("amazon-bedrock-invocationMetrics") {
        let mut metrics = Fields::new(metrics);
        let tokens = (metrics.integer("inputTokenCount"), metrics.integer("outputTokenCount"));
        record.input_tokens = record.input_tokens.or(tokens.0);
        record.output_tokens = record.output_tokens.or(tokens.1);
        fields.put_rest("amazon-bedrock-invocationMetrics", metrics);
    }
    let output = match titan_result(record, fields) {
        Some(text) => Some(text),
        None => OUTPUTS.iter().find_map(|key| fields.take(key)),
    };
    record.set_content(Side::Output, output.and_then(Content::any));
}

/// The names that models give to what they answer.
const OUTPUTS: &[&str] = &[
    "generation",
    "completion",
    "outputText",
    "outputs",
    "generations",
    "embedding",
    "embeddings",
    "results",
];

/// `{"results": [{"outputText", "tokenCount", "completionReason"}]}` with one result.
fn titan_result(record: &mut CallRecord, fields: &mut Fields) -> Option<Value> {
    let results = fields.get("results").as_array()?;
    if results.len() != 1 || !results[0]["outputText"].is_string() {
        return None;
    }
    let mut result = Fields::new(fields.list("results")?.pop()?);
    let text = result.take("outputText");
    record.output_tokens = result.integer("tokenCount");
    finish_reasons(record, result.text("completionReason").into_iter().collect());
    fields.put_rest("results", result);
    text
}
