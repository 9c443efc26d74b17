//! Attributes that all dialects share.

use attestry_core::metadata;
use attestry_logger::messages::Messages;
use serde_json::Value;

use super::model::Origin;
use crate::json::{self, Fields, structured};
use crate::messages::{messages_or_value, plain_messages};
use crate::record::{CallRecord, Content, Side};

/// Keys of the vocabulary with the attributes that have their value, the newest name first.
const TEXTS: &[(&str, &[&str])] = &[
    (
        metadata::USER,
        &[
            "user.id",
            "enduser.id",
            "gen_ai.user",
            "gen_ai.request.user",
            "gen_ai.openai.request.user",
            "traceloop.association.properties.user_id",
        ],
    ),
    (metadata::RESPONSE_ID, &["gen_ai.response.id"]),
    (metadata::ERROR_TYPE, &["error.type"]),
    (metadata::SERVER_ADDRESS, &["server.address"]),
    (metadata::AGENT_ID, &["gen_ai.agent.id"]),
    (metadata::AGENT_NAME, &["gen_ai.agent.name", "gen_ai.workflow.name"]),
    (metadata::TOOL_NAME, &["gen_ai.tool.name"]),
    (metadata::TOOL_CALL_ID, &["gen_ai.tool.call.id"]),
    (metadata::TENANT, &["attestry.tenant"]),
];

const INTEGERS: &[(&str, &[&str])] = &[
    (metadata::MAX_TOKENS, &["gen_ai.request.max_tokens"]),
    (metadata::SEED, &["gen_ai.request.seed", "gen_ai.openai.request.seed"]),
    (metadata::STATUS_CODE, &["http.response.status_code", "http.status_code"]),
    (
        metadata::CACHE_READ_TOKENS,
        &["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"],
    ),
    (
        metadata::CACHE_WRITE_TOKENS,
        &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
        ],
    ),
    (
        metadata::REASONING_TOKENS,
        &["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"],
    ),
];

const NUMBERS: &[(&str, &[&str])] = &[
    (metadata::TEMPERATURE, &["gen_ai.request.temperature"]),
    (metadata::TOP_P, &["gen_ai.request.top_p"]),
];

const CONVERSATIONS: &[&str] = &[
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.chat_id",
];

/// Takes the attributes that have a meaning in every dialect.
pub(super) fn attributes(record: &mut CallRecord, fields: &mut Fields) {
    for (key, names) in TEXTS {
        for name in *names {
            if !fields.has(name) {
                continue;
            }
            match record.metadata.get(*key) {
                None => record.set_text(key, fields, name),
                Some(known) if known == fields.get(name) => drop(fields.take(name)),
                Some(_) => {}
            }
        }
    }
    for (key, names) in INTEGERS {
        for name in *names {
            if fields.has(name) && !record.metadata.contains_key(*key) {
                record.set_integer(key, fields, name);
            }
        }
    }
    for (key, names) in NUMBERS {
        for name in *names {
            if fields.has(name) && !record.metadata.contains_key(*key) {
                record.set_number(key, fields, name);
            }
        }
    }
    for name in CONVERSATIONS {
        if record.conversation_id.is_none() {
            record.conversation_id = fields.label(name);
        }
    }
    for name in ["gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"] {
        record.set_boolean(metadata::STREAM, fields, name);
    }
    for name in ["gen_ai.response.finish_reasons", "anthropic.message.stop_reason"] {
        if fields.has(name) && !record.metadata.contains_key(metadata::FINISH_REASONS) {
            let reasons = fields.texts(name);
            record.set(metadata::FINISH_REASONS, reasons);
        }
    }
    // Seconds.
    for name in ["gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"] {
        if let Some(seconds) = fields.number(name) {
            record.set(metadata::TIME_TO_FIRST_TOKEN, Some(seconds * 1e3));
        }
    }
}

/// The names of providers and models.
pub(super) fn provider_and_model(record: &mut CallRecord, fields: &mut Fields) {
    let system = fields.text("gen_ai.system");
    if let Some(name) = fields.text("gen_ai.provider.name").or(system) {
        record.provider = Some(provider(&name));
    }
    let (requested, answered) =
        (fields.text("gen_ai.request.model"), fields.text("gen_ai.response.model"));
    if requested.is_some() || answered.is_some() {
        record.set_model(requested, answered);
    }
}

/// The name of a provider in the conventions, so that the spans of two instrumentations name the same one.
pub(super) fn provider(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "az.ai.openai" | "azure" | "azure_openai" | "azure-openai" => "azure.ai.openai".to_owned(),
        "bedrock" | "aws_bedrock" | "aws" | "amazon-bedrock" => "aws.bedrock".to_owned(),
        "vertexai" | "vertex_ai" | "google_vertex" => "gcp.vertex_ai".to_owned(),
        "gemini" | "google" | "google_genai" => "gcp.gemini".to_owned(),
        "mistralai" | "mistral" => "mistral_ai".to_owned(),
        _ => name,
    }
}

/// Tokens, under the names of all versions of the conventions.
pub(super) fn tokens(record: &mut CallRecord, fields: &mut Fields) {
    for name in ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"] {
        let tokens = fields.integer(name);
        record.input_tokens = record.input_tokens.or(tokens);
    }
    for name in ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"] {
        let tokens = fields.integer(name);
        record.output_tokens = record.output_tokens.or(tokens);
    }
    let sum = record.input_tokens.unwrap_or(0).saturating_add(record.output_tokens.unwrap_or(0));
    for name in ["llm.usage.total_tokens", "gen_ai.usage.total_tokens"] {
        if fields.get(name).as_i64() == Some(sum) {
            fields.take(name);
        }
    }
}

/// Messages as structured values or as JSON text, with the system prompt that was apart. A text that does not parse was
/// cut by a limit of the SDK: it is kept as text and recorded as truncated.
pub(super) fn messages(record: &mut CallRecord, side: Side, value: Value) {
    if let Some(messages) = value.as_str().and_then(plain_messages) {
        return record.set_content(side, Some(Content::Messages(messages)));
    }
    let is_json_text = value.as_str().is_some_and(|text| text.trim_start().starts_with(['[', '{']));
    match structured(value) {
        Value::String(text) => {
            if is_json_text {
                record.truncated.insert(side.name());
            }
            record.set_content(side, Some(Content::Text(text)));
        }
        value => {
            // Of no message, unlike any other value, it is a list of messages.
            let content = match value {
                Value::Array(list) if list.is_empty() => Content::Messages(Messages::default()),
                value => messages_or_value(value).map_or_else(Content::Json, Content::Messages),
            };
            record.set_content(side, Some(content));
        }
    }
}

/// Any content of which only the value is known.
pub(super) fn content(record: &mut CallRecord, side: Side, value: Value) {
    let value = structured(value);
    let content = match messages_or_value(value) {
        Ok(messages) => Some(Content::Messages(messages)),
        Err(value) => Content::any(value),
    };
    record.set_content(side, content);
}

/// The span ended with an error.
pub(super) fn failed(record: &mut CallRecord) {
    let error_type = record.metadata_text(metadata::ERROR_TYPE).unwrap_or("error").to_owned();
    record.failed(error_type);
}

/// The service that made the call, from the resource; the rest of it, and the instrumentation.
pub(super) fn origin(record: &mut CallRecord, origin: Origin) {
    let mut resource = origin.resource;
    for (key, name) in [
        (metadata::SERVICE_NAME, "service.name"),
        (metadata::SERVICE_VERSION, "service.version"),
        (metadata::DEPLOYMENT_ENVIRONMENT, "deployment.environment"),
        (metadata::DEPLOYMENT_ENVIRONMENT, "deployment.environment.name"),
    ] {
        record.set_text(key, &mut resource, name);
    }
    record.keep("resource", resource.rest());
    for (name, value) in [
        ("otel.scope.name", origin.scope_name),
        ("otel.scope.version", origin.scope_version),
        ("otel.schema_url", origin.schema_url),
    ] {
        record.keep(name, value);
    }
}

/// Keeps the attributes without a meaning: labels as metadata of their own name, so that they can be queried.
pub(super) fn keep_attributes(record: &mut CallRecord, fields: Fields) {
    for (key, value) in fields.rest() {
        let is_label = match &value {
            Value::String(text) => json::is_label(text),
            Value::Number(_) | Value::Bool(_) => true,
            _ => false,
        };
        let is_free = !key.starts_with("attestry.") && metadata::is_valid(&key, &value);
        if is_label && is_free && !record.metadata.contains_key(&key) {
            record.metadata.insert(key, value);
        } else {
            record.keep(&key, value);
        }
    }
}
