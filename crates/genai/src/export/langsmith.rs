//! LangSmith: runs, one a line or as `{"runs": [...]}`.

use attestry_core::metadata;
use serde_json::Value;

use super::{add_content, latency};
use crate::decoded::Decoded;
use crate::error::RecordError;
use crate::format::Format;
use crate::json::{Fields, is_empty, structured, take_at};
use crate::messages::messages_from_json;
use crate::provider::{Api, openai_usage, parameters, response};
use crate::record::{CallRecord, Content, Side, SpanId};

pub(super) fn decode(mut fields: Fields) -> Result<Decoded, RecordError> {
    match fields.list("runs") {
        Some(runs) => {
            let records = runs.into_iter().map(|run| decode_run(Fields::new(run)));
            Ok(Decoded { records: records.collect::<Result<_, _>>()?, ignored: 0 })
        }
        None => decode_run(fields).map(Decoded::from),
    }
}

fn decode_run(mut fields: Fields) -> Result<CallRecord, RecordError> {
    let mut record = CallRecord::new(Format::LangSmith.name());
    let (Some(id), Some(kind)) = (fields.label("id"), fields.text("run_type")) else {
        return Err(RecordError::format(Format::LangSmith, "`id` or `run_type` is missing"));
    };
    let operation = match kind.as_str() {
        "llm" | "chat_model" => "chat",
        "tool" => "execute_tool",
        "retriever" => "retrieval",
        "embedding" => "embeddings",
        "chain" => "invoke_agent",
        _ => "other",
    };
    record.set(metadata::OPERATION, Some(operation));
    match operation {
        "execute_tool" => record.set_text(metadata::TOOL_NAME, &mut fields, "name"),
        "invoke_agent" => record.set_text(metadata::AGENT_NAME, &mut fields, "name"),
        _ => {}
    }
    inputs(&mut record, &mut fields);
    outputs(&mut record, &mut fields);
    record.started = fields.time("start_time");
    if let (Some(start), Some(end)) = (record.started, fields.time("end_time")) {
        record.latency_ms = Some(latency(start, end));
    }
    if let Some(first) = fields.time("first_token_time")
        && let Some(start) = record.started
    {
        record.set(metadata::TIME_TO_FIRST_TOKEN, Some(latency(start, first)));
    }
    let input = fields.integer("prompt_tokens");
    let output = fields.integer("completion_tokens");
    record.input_tokens = record.input_tokens.or(input);
    record.output_tokens = record.output_tokens.or(output);
    fields.take("total_tokens");
    extra(&mut record, &mut fields);
    let start_nanos =
        record.started.map_or(0, |time| time.unix_micros().unsigned_abs().saturating_mul(1000));
    let trace = fields.label("trace_id").unwrap_or_else(|| id.clone());
    let parent = fields.label("parent_run_id");
    record.spans.insert(SpanId { start_nanos, trace, span: id, parent });
    let has_error = fields.has("error") && !is_empty(fields.get("error"));
    if has_error || fields.get("status") == "error" {
        record.failed("error");
    }
    record.keep_rest(fields);
    Ok(record)
}

/// `{"messages": [[...]]}` of LangChain, `{"messages": [...]}` of the OpenAI wrapper, or anything.
fn inputs(record: &mut CallRecord, fields: &mut Fields) {
    let Some(mut inputs) = fields.take("inputs").map(structured) else { return };
    let outer = inputs.get_mut("messages").and_then(Value::as_array_mut);
    if let Some(outer) = outer
        && let [Value::Array(inner)] = outer.as_mut_slice()
    {
        *outer = std::mem::take(inner);
    }
    if !is_empty(&inputs) {
        add_content(record, Side::Input, inputs);
    }
}

/// `{"generations": [[{"message": {...}}]]}` of LangChain, a response of the OpenAI API, or anything.
fn outputs(record: &mut CallRecord, fields: &mut Fields) {
    let Some(mut outputs) = fields.take("outputs").map(structured) else { return };
    if is_empty(&outputs) {
        return;
    }
    if outputs["choices"].is_array() {
        return response(Api::OpenAiChat, record, outputs);
    }
    let usage = take_at(&mut outputs, &["llm_output", "token_usage"]);
    let rest = openai_usage(record, Fields::new(usage));
    fields.put_rest("usage", rest);
    let mut message = take_at(&mut outputs, &["generations", "0", "0", "message"]);
    let about = take_at(&mut message, &["kwargs", "response_metadata"]);
    match messages_from_json(without_client_fields(message.clone())) {
        Some(mut messages) => {
            let reason = response_metadata(record, fields, about);
            if let Some(last) = messages.0.last_mut() {
                last.finish_reason = reason;
            }
            record.set_content(Side::Output, Some(Content::Messages(messages)));
            // The text again, and fields of the client.
            take_at(&mut outputs, &["generations", "0", "0", "text"]);
            take_at(&mut outputs, &["llm_output"]);
            fields.put("outputs", outputs);
        }
        None => {
            if let Some(slot) = outputs.pointer_mut("/generations/0/0/message") {
                *slot = message;
            }
            add_content(record, Side::Output, outputs);
        }
    }
}

/// A message of LangChain without what its client adds to the answer.
fn without_client_fields(mut message: Value) -> Value {
    for key in ["usage_metadata", "id", "additional_kwargs", "invalid_tool_calls"] {
        let value = take_at(&mut message, &["kwargs", key]);
        let says_something =
            value.as_object().is_some_and(|fields| fields.values().any(|value| !is_empty(value)));
        if key == "additional_kwargs"
            && says_something
            && let Some(slot) = message.pointer_mut("/kwargs/additional_kwargs")
        {
            *slot = value;
        }
    }
    message
}

/// What the provider said beside the message. Returns why the model stopped.
fn response_metadata(record: &mut CallRecord, fields: &mut Fields, about: Value) -> Option<String> {
    let mut about = Fields::new(about);
    let (model, id) = (about.text("model_name"), about.text("id"));
    record.model = model.or(record.model.take());
    record.set(metadata::RESPONSE_ID, id);
    let usage = about.fields("token_usage");
    let rest = openai_usage(record, usage);
    about.put_rest("token_usage", rest);
    let reason = about.text("finish_reason").or_else(|| about.text("stop_reason"));
    if let Some(reason) = &reason {
        record.set(metadata::FINISH_REASONS, Some(vec![reason.as_str()]));
    }
    fields.put_rest("response_metadata", about);
    reason
}

fn extra(record: &mut CallRecord, fields: &mut Fields) {
    let mut extra = fields.embedded_fields("extra");
    let mut about = extra.fields("metadata");
    record.provider = about.text("ls_provider");
    let model = about.text("ls_model_name");
    let mut invocation = extra.fields("invocation_params");
    let answered = record.model.take();
    parameters(record, &mut invocation);
    let asked = record.model.take().or(model);
    record.set_model(asked, answered);
    record.set_number(metadata::TEMPERATURE, &mut about, "ls_temperature");
    record.set_integer(metadata::MAX_TOKENS, &mut about, "ls_max_tokens");
    for key in ["session_id", "thread_id", "conversation_id"] {
        if let Some(id) = about.label(key) {
            record.conversation_id = Some(id);
        }
    }
    record.set_text(metadata::USER, &mut about, "user_id");
    let mut usage = about.fields("usage_metadata");
    let rest = openai_usage(record, std::mem::take(&mut usage));
    about.put_rest("usage_metadata", rest);
    extra.put_rest("metadata", about);
    extra.put_rest("invocation_params", invocation);
    fields.put_rest("extra", extra);
}
