//! From records of other programs to lines, with 2 KB a call.
#![allow(missing_docs)] // criterion's macros generate undocumented functions

use std::hint::black_box;

use attestry_core::line;
use attestry_genai::{Decoded, Format, UnmappedTexts, decode, decode_traces};
use attestry_logger::AuditLogger;
use attestry_memory::MemoryStorage;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::{Value, json};

/// Calls in a request.
const CALLS: usize = 100;
const START: u64 = 1_769_591_700_000_000_000;

fn messages(role: &str) -> Value {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(17);
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}])
}

fn attributes(number: usize) -> Vec<(&'static str, String)> {
    vec![
        ("gen_ai.operation.name", "chat".to_owned()),
        ("gen_ai.provider.name", "openai".to_owned()),
        ("gen_ai.request.model", "gpt-4".to_owned()),
        ("gen_ai.response.model", "gpt-4-0613".to_owned()),
        ("gen_ai.response.id", format!("chatcmpl-{number:016}")),
        ("gen_ai.conversation.id", "conversation-1".to_owned()),
        ("server.address", "api.openai.com".to_owned()),
        ("gen_ai.input.messages", messages("user").to_string()),
        ("gen_ai.output.messages", messages("assistant").to_string()),
    ]
}

fn otlp_protobuf() -> Vec<u8> {
    let text = |text| AnyValue { value: Some(any_value::Value::StringValue(text)) };
    let span = |number: usize| Span {
        trace_id: (number as u128 + 1).to_be_bytes().to_vec(),
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: "chat gpt-4".to_owned(),
        start_time_unix_nano: START,
        end_time_unix_nano: START + 800_000_000,
        attributes: attributes(number)
            .into_iter()
            .map(|(key, value)| KeyValue {
                key: key.to_owned(),
                value: Some(text(value)),
                ..KeyValue::default()
            })
            .collect(),
        ..Span::default()
    };
    let scope = ScopeSpans { spans: (0..CALLS).map(span).collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

fn otlp_json() -> Vec<u8> {
    let span = |number: usize| {
        let attributes: Vec<Value> = attributes(number)
            .into_iter()
            .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
            .collect();
        json!({"traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
            "name": "chat gpt-4", "startTimeUnixNano": START.to_string(),
            "endTimeUnixNano": (START + 800_000_000).to_string(), "attributes": attributes})
    };
    let spans: Vec<Value> = (0..CALLS).map(span).collect();
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    request.to_string().into_bytes()
}

fn litellm() -> Vec<u8> {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(17);
    json!({"id": "chatcmpl-1", "call_type": "acompletion", "custom_llm_provider": "openai", "model": "gpt-4",
        "startTime": 1_769_591_700.5, "endTime": 1_769_591_701.3, "prompt_tokens": 170, "completion_tokens": 171,
        "total_tokens": 341, "end_user": "user-1", "status": "success", "model_parameters": {"temperature": 0.5},
        "messages": [{"role": "user", "content": text}],
        "response": {"id": "chatcmpl-1", "model": "gpt-4-0613", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text}}]}})
    .to_string()
    .into_bytes()
}

fn benches(c: &mut Criterion) {
    let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    let (protobuf, json, litellm) = (otlp_protobuf(), otlp_json(), litellm());
    let formats = [
        ("OTLP, 100 spans", protobuf, None),
        ("OTLP/JSON, 100 spans", json, Some(Format::Otlp)),
        ("LiteLLM", litellm, Some(Format::LiteLlm)),
    ];
    for (name, body, format) in formats {
        let decode = |body: &[u8]| -> Decoded {
            let decoded = match format {
                None => decode_traces(body),
                Some(format) => decode(format, body),
            };
            decoded.expect("a record")
        };
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("decode", |b| b.iter(|| decode(black_box(&body))));
        let mut buffer = Vec::new();
        group.bench_function("decode, hash and line", |b| {
            b.iter(|| {
                for record in decode(black_box(&body)).records {
                    let interaction = record.into_interaction(UnmappedTexts::Keep);
                    let entry = logger.prepare(interaction).expect("an entry");
                    buffer.clear();
                    line::encode_into(&entry, &mut buffer).expect("a line");
                    black_box(&mut buffer);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(decode_benches, benches);
criterion_main!(decode_benches);
