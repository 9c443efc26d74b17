//! Langfuse: observations, of the export to blob storage (`snake_case`) and of the API (`camelCase`).

use attestry_core::metadata;

use super::{add_content, latency};
use crate::error::RecordError;
use crate::format::Format;
use crate::json::{Fields, is_empty};
use crate::record::{CallRecord, Side, SpanId};

pub(super) fn decode(fields: Fields) -> Result<CallRecord, RecordError> {
    let mut fields = snake_case(fields);
    let mut record = CallRecord::new(Format::Langfuse.name());
    let Some(id) = fields.label("id") else {
        return Err(RecordError::format(Format::Langfuse, "`id` is missing"));
    };
    let kind = fields.text("type").unwrap_or_else(|| "GENERATION".to_owned());
    record.set(metadata::OPERATION, Some(operation(&kind)));
    if operation(&kind) == "execute_tool" {
        record.set_text(metadata::TOOL_NAME, &mut fields, "name");
    }
    for (side, key) in [(Side::Input, "input"), (Side::Output, "output")] {
        if let Some(value) = fields.take(key).filter(|value| !is_empty(value)) {
            add_content(&mut record, side, value);
        }
    }
    let model = fields.text("provided_model_name").or_else(|| fields.text("model"));
    record.set_model(record.metadata_text(metadata::REQUEST_MODEL).map(str::to_owned), model);
    record.conversation_id = fields.text("session_id");
    record.set_text(metadata::USER, &mut fields, "user_id");
    record.set_text(metadata::DEPLOYMENT_ENVIRONMENT, &mut fields, "environment");
    record.set_text(metadata::SERVICE_VERSION, &mut fields, "version");
    times(&mut record, &mut fields);
    if let Some(trace) = fields.label("trace_id") {
        let start_nanos =
            record.started.map_or(0, |time| time.unix_micros().unsigned_abs().saturating_mul(1000));
        let parent = fields.label("parent_observation_id");
        record.spans.insert(SpanId { start_nanos, trace, span: id, parent });
    } else {
        record.own_id = Some(id);
    }
    tokens(&mut record, &mut fields);
    let mut parameters = fields.embedded_fields("model_parameters");
    let model = record.model.take();
    crate::provider::parameters(&mut record, &mut parameters);
    record.model = model;
    fields.put_rest("model_parameters", parameters);
    if fields.get("level") == "ERROR" {
        record.failed("error");
    }
    record.keep_rest(fields);
    Ok(record)
}

fn operation(kind: &str) -> &str {
    match kind.to_ascii_uppercase().as_str() {
        "GENERATION" => "chat",
        "TOOL" => "execute_tool",
        "AGENT" => "invoke_agent",
        "RETRIEVER" => "retrieval",
        "EMBEDDING" => "embeddings",
        "SPAN" => "span",
        "EVENT" => "event",
        _ => "other",
    }
}

fn snake_case(mut fields: Fields) -> Fields {
    let renamed: Vec<_> = [
        ("traceId", "trace_id"),
        ("startTime", "start_time"),
        ("endTime", "end_time"),
        ("completionStartTime", "completion_start_time"),
        ("providedModelName", "provided_model_name"),
        ("modelParameters", "model_parameters"),
        ("usageDetails", "usage_details"),
        ("costDetails", "cost_details"),
        ("parentObservationId", "parent_observation_id"),
        ("statusMessage", "status_message"),
        ("sessionId", "session_id"),
        ("userId", "user_id"),
    ]
    .into_iter()
    .filter_map(|(camel, snake)| Some((snake, fields.take(camel)?)))
    .collect();
    for (name, value) in renamed {
        if !fields.has(name) {
            fields.put(name, value);
        }
    }
    fields
}

fn times(record: &mut CallRecord, fields: &mut Fields) {
    record.started = fields.time("start_time");
    let end = fields.time("end_time");
    if let (Some(start), Some(end)) = (record.started, end) {
        record.latency_ms = Some(latency(start, end));
        // Seconds, rounded.
        fields.take("latency");
        if let Some(first) = fields.time("completion_start_time") {
            record.set(metadata::TIME_TO_FIRST_TOKEN, Some(latency(start, first)));
            fields.take("time_to_first_token");
        }
    } else {
        record.latency_ms = fields.number("latency").map(|seconds| seconds * 1e3);
    }
    if let Some(seconds) = fields.number("time_to_first_token") {
        record.set(metadata::TIME_TO_FIRST_TOKEN, Some(seconds * 1e3));
    }
}

/// `usage_details`: `input` and `output`, and parts of them under names that the integrations choose.
fn tokens(record: &mut CallRecord, fields: &mut Fields) {
    let mut usage = fields.embedded_fields("usage_details");
    let (mut input, output) = (usage.integer("input"), usage.integer("output"));
    for (key, field) in [
        (metadata::CACHE_READ_TOKENS, "input_cached_tokens"),
        (metadata::CACHE_READ_TOKENS, "input_cache_read"),
        (metadata::CACHE_READ_TOKENS, "cache_read_input_tokens"),
        (metadata::CACHE_WRITE_TOKENS, "input_cache_creation"),
        (metadata::CACHE_WRITE_TOKENS, "cache_creation_input_tokens"),
    ] {
        // Counted apart from `input`, so that the sum is right.
        if let Some(tokens) = usage.integer(field) {
            record.set(key, Some(tokens));
            input = Some(input.unwrap_or(0).saturating_add(tokens));
        }
    }
    let mut total_output = output;
    for field in ["output_reasoning_tokens", "output_reasoning"] {
        if let Some(tokens) = usage.integer(field) {
            record.set(metadata::REASONING_TOKENS, Some(tokens));
            total_output = Some(total_output.unwrap_or(0).saturating_add(tokens));
        }
    }
    let sum = input.unwrap_or(0).saturating_add(total_output.unwrap_or(0));
    if usage.get("total").as_i64() == Some(sum) {
        usage.take("total");
    }
    record.input_tokens = record.input_tokens.or(input);
    record.output_tokens = record.output_tokens.or(total_output);
    fields.put_rest("usage_details", usage);
}
