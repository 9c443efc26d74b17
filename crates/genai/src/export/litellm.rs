//! LiteLLM: `StandardLoggingPayload` (one object in S3 a call), and rows of `LiteLLM_SpendLogs`.

use attestry_core::metadata;
use serde_json::Value;

use super::{add_content, latency};
use crate::error::RecordError;
use crate::format::Format;
use crate::json::{Fields, is_empty, structured};
use crate::provider::{Api, response};
use crate::record::{CallRecord, Side};

pub(super) fn decode(mut fields: Fields) -> Result<CallRecord, RecordError> {
    let mut record = CallRecord::new(Format::LiteLlm.name());
    let Some(call_type) = fields.text("call_type") else {
        return Err(RecordError::format(Format::LiteLlm, "`call_type` is missing"));
    };
    let api = api_of(&call_type);
    fields.put("call_type", call_type.into());
    record.provider = fields.text("custom_llm_provider");
    let model = fields.text("model");
    record.model.clone_from(&model);
    for key in ["messages", "proxy_server_request"] {
        let value = fields.take(key).map(structured).filter(|value| !is_empty(value));
        // `{}` where storing prompts is off. The request as the proxy received it is a second copy.
        if let Some(value) = value {
            match record.input {
                None => add_content(&mut record, Side::Input, value),
                Some(_) => record.keep(key, value),
            }
        }
    }
    answer(&mut record, &mut fields, api);
    record.set(metadata::OPERATION, Some(api.operation()));
    // The deployment that was asked for has a name of its own.
    if let (Some(asked), Some(answered)) = (model, record.model.clone()) {
        record.set_model(Some(asked), Some(answered));
    }
    times(&mut record, &mut fields);
    attribution(&mut record, &mut fields);
    status(&mut record, &mut fields);
    let input = fields.integer("prompt_tokens").filter(|tokens| *tokens > 0);
    let output = fields.integer("completion_tokens").filter(|tokens| *tokens > 0);
    record.input_tokens = record.input_tokens.or(input);
    record.output_tokens = record.output_tokens.or(output);
    if fields
        .integer("total_tokens")
        .is_some_and(|total| total != input.unwrap_or(0).saturating_add(output.unwrap_or(0)))
    {
        record.keep("tokens", "differ from total_tokens");
    }
    let mut parameters = fields.embedded_fields("model_parameters");
    let answering_model = record.model.take();
    crate::provider::parameters(&mut record, &mut parameters);
    record.model = answering_model;
    fields.put_rest("model_parameters", parameters);
    // LiteLLM's ids repeat, so the call is identified by its own id and the time.
    let id = fields
        .label("litellm_call_id")
        .or_else(|| fields.label("request_id"))
        .or_else(|| fields.label("id"));
    if let (Some(id), Some(started)) = (id, record.started) {
        record.set(metadata::RESPONSE_ID, record.response_id().is_none().then_some(id.as_str()));
        record.own_id = Some(format!("{id}/{}", started.unix_micros()));
    }
    record.set_text("litellm.trace_id", &mut fields, "trace_id");
    record.keep_rest(fields);
    Ok(record)
}

fn api_of(call_type: &str) -> Api {
    match call_type.trim_start_matches('a') {
        "text_completion" | "text_completions" | "ext_completion" => Api::OpenAiCompletions,
        "embedding" | "embeddings" => Api::OpenAiEmbeddings,
        "responses" => Api::OpenAiResponses,
        "nthropic_messages" => Api::AnthropicMessages,
        _ => Api::OpenAiChat,
    }
}

fn answer(record: &mut CallRecord, fields: &mut Fields, api: Api) {
    let Some(value) = fields.take("response").map(structured).filter(|value| !is_empty(value))
    else {
        return;
    };
    let is_body =
        ["choices", "data", "output", "content", "error"].iter().any(|key| !value[*key].is_null());
    match value {
        Value::Object(_) if is_body => response(api, record, value),
        value => add_content(record, Side::Output, value),
    }
}

fn times(record: &mut CallRecord, fields: &mut Fields) {
    record.started = fields.time("startTime").or(record.started);
    if let (Some(start), Some(end)) = (record.started, fields.time("endTime")) {
        record.latency_ms = Some(latency(start, end));
        // Without a stream, the first token is the last.
        if let Some(first) = fields.time("completionStartTime").filter(|first| *first < end) {
            record.set(metadata::TIME_TO_FIRST_TOKEN, Some(latency(start, first)));
        }
    }
    // The time to the first token if streamed; else the latency again.
    fields.take("response_time");
}

fn attribution(record: &mut CallRecord, fields: &mut Fields) {
    record.set_text(metadata::USER, fields, "end_user");
    if let Some(url) = fields.text("api_base") {
        record.set(metadata::SERVER_ADDRESS, Some(host_of(&url)));
        fields.put("api_base", url.into());
    }
    if let Some(session) = fields.text("session_id") {
        record.conversation_id = Some(session);
    }
    let mut about = fields.embedded_fields("metadata");
    for (key, field) in [
        ("litellm.key.hash", "user_api_key_hash"),
        ("litellm.key.alias", "user_api_key_alias"),
        ("litellm.team.id", "user_api_key_team_id"),
        ("litellm.org.id", "user_api_key_org_id"),
    ] {
        record.set_text(key, &mut about, field);
    }
    let key_user = about.text("user_api_key_user_id");
    let has_user = record.metadata.contains_key(metadata::USER);
    record.set(if has_user { "litellm.key.user" } else { metadata::USER }, key_user);
    fields.put_rest("metadata", about);
    record.set_number("litellm.response_cost", fields, "response_cost");
    record.set_number("litellm.response_cost", fields, "spend");
}

/// The host in a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

fn status(record: &mut CallRecord, fields: &mut Fields) {
    let status = fields.text("status");
    let mut details = fields.fields("error_information");
    let name = details.text("error_class").or_else(|| details.label("error_code"));
    if status.as_deref() == Some("failure") || name.is_some() {
        record.failed(name.unwrap_or_else(|| "error".to_owned()));
    }
    fields.put_rest("error_information", details);
    // LiteLLM logs a guardrail only if one ran.
    let mut ran = fields.list("guardrail_information").unwrap_or_default();
    if let Some(single) = fields.take("guardrail_information") {
        ran.push(single);
    }
    let mut statuses = fields.fields("status_fields");
    let overall = statuses.text("guardrail_status");
    fields.put_rest("status_fields", statuses);
    let is_objection = |status: &str| matches!(status, "guardrail_intervened" | "blocked");
    for guardrail in &ran {
        let status = guardrail["guardrail_status"].as_str().unwrap_or_default();
        record.safety_passed = Some(record.safety_passed.unwrap_or(true) && !is_objection(status));
        if let (true, Some(name)) = (is_objection(status), guardrail["guardrail_name"].as_str()) {
            record.detectors.insert(name.to_owned());
        }
    }
    if overall.as_deref().is_some_and(is_objection) {
        record.safety_passed = Some(false);
        record.block_reason = Some("guardrail_intervened".to_owned());
        if record.output.is_none() {
            record.set(metadata::OUTCOME, Some(metadata::OUTCOME_BLOCKED));
        }
    }
    record.keep("guardrail_information", ran);
}
