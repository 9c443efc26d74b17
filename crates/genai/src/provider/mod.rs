//! Requests and responses of the APIs of providers.
//!
//! Each API has a function for the body of a request and one for the body of a response. A streamed response is
//! first folded into the body that the API would have sent without streaming.

mod anthropic;
mod api;
mod converse;
mod error;
mod gemini;
mod invoke;
mod ollama;
mod openai;
mod responses;
mod usage;

use attestry_core::metadata;
use serde_json::{Map, Value};

pub use self::api::Api;
pub(crate) use self::error::{error_body, failed_with};
pub(crate) use self::usage::openai as openai_usage;

use crate::json::Fields;
use crate::record::CallRecord;

/// Adds what the body of a request says.
pub(crate) fn request(api: Api, record: &mut CallRecord, body: Value) {
    let mut fields = Fields::new(body);
    record.set(metadata::OPERATION, Some(api.operation()));
    match api {
        Api::OpenAiChat => openai::chat_request(record, &mut fields),
        Api::OpenAiCompletions => openai::completions_request(record, &mut fields),
        Api::OpenAiEmbeddings => openai::embeddings_request(record, &mut fields),
        Api::OpenAiResponses => responses::request(record, &mut fields),
        Api::AnthropicMessages => anthropic::request(record, &mut fields),
        Api::Gemini => gemini::request(record, &mut fields),
        Api::OllamaChat => ollama::chat_request(record, &mut fields),
        Api::OllamaGenerate => ollama::generate_request(record, &mut fields),
        Api::BedrockConverse => converse::request(record, &mut fields),
        Api::BedrockInvoke => invoke::request(record, &mut fields),
    }
    parameters(record, &mut fields);
    keep_rest(record, "request", fields);
}

/// Adds what the body of a response says.
pub(crate) fn response(api: Api, record: &mut CallRecord, body: Value) {
    let mut fields = Fields::new(body);
    if error_body(record, &mut fields) {
        return keep_rest(record, "response", fields);
    }
    match api {
        Api::OpenAiChat => openai::chat_response(record, &mut fields),
        Api::OpenAiCompletions => openai::completions_response(record, &mut fields),
        Api::OpenAiEmbeddings => openai::embeddings_response(record, &mut fields),
        Api::OpenAiResponses => responses::response(record, &mut fields),
        Api::AnthropicMessages => anthropic::response(record, &mut fields),
        Api::Gemini => gemini::response(record, &mut fields),
        Api::OllamaChat => ollama::chat_response(record, &mut fields),
        Api::OllamaGenerate => ollama::generate_response(record, &mut fields),
        Api::BedrockConverse => converse::response(record, &mut fields),
        Api::BedrockInvoke => invoke::response(record, &mut fields),
    }
    keep_rest(record, "response", fields);
}

/// Parameters that have a name in the vocabulary, under the names that the APIs give them.
pub(crate) fn parameters(record: &mut CallRecord, fields: &mut Fields) {
    if let Some(model) = fields.text("model") {
        record.model = Some(model);
    }
    record.set_boolean(metadata::STREAM, fields, "stream");
    for key in ["generationConfig", "inferenceConfig", "options"] {
        let mut nested = fields.fields(key);
        sampling(record, &mut nested);
        fields.put_rest(key, nested);
    }
    sampling(record, fields);
    for key in ["user", "safety_identifier"] {
        record.set_text(metadata::USER, fields, key);
    }
}

fn sampling(record: &mut CallRecord, fields: &mut Fields) {
    record.set_number(metadata::TEMPERATURE, fields, "temperature");
    for key in ["top_p", "topP"] {
        record.set_number(metadata::TOP_P, fields, key);
    }
    for key in [
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "maxOutputTokens",
        "maxTokens",
        "num_predict",
        "maxTokenCount",
    ] {
        record.set_integer(metadata::MAX_TOKENS, fields, key);
    }
    record.set_integer(metadata::SEED, fields, "seed");
}

/// The model and id that a response names.
fn answered(record: &mut CallRecord, model: Option<String>, id: Option<String>) {
    let requested = record.model.take();
    record.set_model(requested, model);
    record.set(metadata::RESPONSE_ID, id);
}

fn finish_reasons(record: &mut CallRecord, reasons: Vec<String>) {
    for reason in &reasons {
        let is_filter = matches!(
            reason.to_ascii_lowercase().as_str(),
            "content_filter"
                | "content_filtered"
                | "guardrail_intervened"
                | "safety"
                | "prohibited_content"
                | "blocklist"
                | "spii"
                | "image_safety"
        );
        if is_filter {
            record.safety_passed = Some(false);
            record.detectors.insert(reason.clone());
        }
    }
    if !reasons.is_empty() {
        record.set(metadata::FINISH_REASONS, Some(reasons));
    }
}

fn keep_rest(record: &mut CallRecord, name: &str, fields: Fields) {
    let rest: Map<String, Value> = fields.rest();
    if rest.is_empty() {
        return;
    }
    match record.other.get_mut(name) {
        Some(Value::Object(known)) => known.extend(rest),
        _ => record.keep(name, rest),
    }
}
