//! Calls of about 2 KB as files of our own format and as other programs export them.

use std::io::Write;

use attestry::Timestamp;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::Result;
use crate::workload::Workload;

/// Spans in a line, as the collector batches them.
const SPANS: u64 = 100;
/// The start of the first call, in seconds since 1970.
const START: u64 = 1_769_591_700;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Export {
    /// Interactions, one a line
    Own,
    /// LiteLLM's `StandardLoggingPayload`, one a line
    #[value(name = "litellm")]
    LiteLlm,
    /// OTLP/JSON of the collector's file exporter, 100 spans a line
    Otlp,
}

impl Export {
    /// Of the other programs.
    pub(crate) const OTHERS: [Self; 2] = [Self::LiteLlm, Self::Otlp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Own => "our own format",
            Self::LiteLlm => "LiteLLM",
            Self::Otlp => "OTLP/JSON",
        }
    }

    /// Writes `calls` different calls.
    pub(crate) fn write(self, workload: &Workload, calls: u64, out: &mut impl Write) -> Result<()> {
        let mut line = |value: &Value| -> Result<()> {
            serde_json::to_writer(&mut *out, value)?;
            Ok(out.write_all(b"\n")?)
        };
        match self {
            Self::Own => (0..calls).try_for_each(|number| line(&own(workload, number)?)),
            Self::LiteLlm => (0..calls).try_for_each(|number| line(&litellm(workload, number)?)),
            Self::Otlp => (0..calls).step_by(SPANS as usize).try_for_each(|first| {
                let numbers = first..calls.min(first + SPANS);
                let spans =
                    numbers.map(|number| span(workload, number)).collect::<Result<Vec<_>>>()?;
                line(&json!({"resourceSpans": [{
                    "resource": {"attributes": [attribute("service.name", "assistant")]},
                    "scopeSpans": [{
                        "scope": {"name": "opentelemetry.instrumentation.openai_v2", "version": "2.1b0"},
                        "spans": spans
                    }]
                }]}))
            }),
        }
    }
}

fn own(workload: &Workload, number: u64) -> Result<Value> {
    let mut interaction = workload.item(usize::try_from(number)?).interaction();
    interaction["timestamp"] = json!(START + number / 100);
    interaction["metadata"] = json!({"gen_ai.response.id": response_id(number)});
    Ok(interaction)
}

fn litellm(workload: &Workload, number: u64) -> Result<Value> {
    let item = workload.item(usize::try_from(number)?);
    let entry = workload.stored(number, Timestamp::UNIX_EPOCH)?;
    let (input, output) = (entry.input_tokens.unwrap_or(0), entry.output_tokens.unwrap_or(0));
    let start = (START + number / 100) as f64;
    Ok(json!({
        "id": response_id(number), "trace_id": format!("{number:032x}"), "call_type": "acompletion",
        "stream": false, "response_cost": 0.0125, "status": "success", "custom_llm_provider": entry.provider,
        "total_tokens": input + output, "prompt_tokens": input, "completion_tokens": output,
        "startTime": start, "endTime": start + 0.8, "completionStartTime": start + 0.8,
        "model": entry.model, "api_base": "https://api.openai.com/v1/", "end_user": "user-1",
        "metadata": {"user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
            "user_api_key_team_id": "team-1", "user_api_key_user_id": "user-2"},
        "messages": [{"role": "user", "content": item.input}],
        "response": {"id": response_id(number), "created": START, "model": entry.model,
            "object": "chat.completion", "choices": [{"finish_reason": "stop", "index": 0,
                "message": {"content": item.output, "role": "assistant"}}],
            "usage": {"completion_tokens": output, "prompt_tokens": input, "total_tokens": input + output}},
        "model_parameters": {"temperature": 0.5, "max_tokens": 500}
    }))
}

fn span(workload: &Workload, number: u64) -> Result<Value> {
    let item = workload.item(usize::try_from(number)?);
    let entry = workload.stored(number, Timestamp::UNIX_EPOCH)?;
    let messages = |role: &str, text: &str| {
        json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
    };
    let integer =
        |key: &str, value: i64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let start = (START + number / 100) * 1_000_000_000;
    let model = entry.model.unwrap_or_default();
    Ok(json!({
        "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1), "parentSpanId": "",
        "flags": 256, "name": format!("chat {model}"), "kind": 3, "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": (start + 800_000_000).to_string(),
        "attributes": [
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.provider.name", &entry.provider.unwrap_or_default()),
            attribute("gen_ai.request.model", &model),
            attribute("gen_ai.response.model", &model),
            attribute("gen_ai.response.id", &response_id(number)),
            attribute("gen_ai.conversation.id", &entry.conversation_id.unwrap_or_default()),
            integer("gen_ai.usage.input_tokens", entry.input_tokens.unwrap_or(0)),
            integer("gen_ai.usage.output_tokens", entry.output_tokens.unwrap_or(0)),
            attribute("server.address", "api.openai.com"),
            attribute("gen_ai.input.messages", &messages("user", &item.input)),
            attribute("gen_ai.output.messages", &messages("assistant", &item.output))
        ],
        "status": {}
    }))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn response_id(number: u64) -> String {
    format!("chatcmpl-{number:024}")
}
