//! OTLP in protobuf gives the same calls as in JSON.

#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used)]

use attestry_genai::{Format, decode, decode_logs, decode_traces};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

fn any(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    any(any_value::Value::StringValue(text.to_owned()))
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

const TRACE: [u8; 16] = *b"\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36";
const SPAN: [u8; 8] = *b"\x00\xf0\x67\xaa\x0b\xa9\x02\xb7";

fn message() -> AnyValue {
    let parts = any_value::Value::ArrayValue(ArrayValue {
        values: vec![any(any_value::Value::KvlistValue(KeyValueList {
            values: vec![pair("type", text("text")), pair("content", text("2+2?"))],
        }))],
    });
    let fields = vec![pair("role", text("user")), pair("parts", any(parts))];
    let list = vec![any(any_value::Value::KvlistValue(KeyValueList { values: fields }))];
    any(any_value::Value::ArrayValue(ArrayValue { values: list }))
}

fn attributes() -> Vec<KeyValue> {
    vec![
        pair("gen_ai.operation.name", text("chat")),
        pair("gen_ai.provider.name", text("openai")),
        pair("gen_ai.usage.input_tokens", any(any_value::Value::IntValue(5))),
        pair("gen_ai.request.temperature", any(any_value::Value::DoubleValue(0.5))),
        pair("gen_ai.input.messages", message()),
    ]
}

fn json_attributes() -> &'static str {
    r#"[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
        {"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},
        {"key":"gen_ai.usage.input_tokens","value":{"intValue":"5"}},
        {"key":"gen_ai.request.temperature","value":{"doubleValue":0.5}},
        {"key":"gen_ai.input.messages","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[
            {"key":"role","value":{"stringValue":"user"}},
            {"key":"parts","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[
                {"key":"type","value":{"stringValue":"text"}},{"key":"content","value":{"stringValue":"2+2?"}}]}}]}}}]}}]}}}]"#
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![pair("service.name", text("shop"))], ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "scope".to_owned(), ..InstrumentationScope::default() })
}

#[test]
fn spans_in_protobuf_are_those_in_json() {
    let span = Span {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        name: "chat".to_owned(),
        start_time_unix_nano: 1_769_591_700_000_000_000,
        end_time_unix_nano: 1_769_591_701_000_000_000,
        attributes: attributes(),
        status: Some(Status { code: 2, message: "late".to_owned() }),
        ..Span::default()
    };
    let scopes = vec![ScopeSpans { scope: scope(), spans: vec![span], ..ScopeSpans::default() }];
    let resources =
        ResourceSpans { resource: resource(), scope_spans: scopes, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resources] };
    let json = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeSpans":[{{"scope":{{"name":"scope"}},"spans":[{{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",
        "name":"chat","startTimeUnixNano":"1769591700000000000","endTimeUnixNano":"1769591701000000000",
        "attributes":{},"status":{{"code":2,"message":"late"}}}}]}}]}}]}}"#,
        json_attributes()
    );
    let expected = decode(Format::Otlp, json.as_bytes()).unwrap();
    assert_eq!(expected.records.len(), 1);
    assert!(decode_traces(&request.encode_to_vec()).unwrap() == expected);
    let cut = request.encode_to_vec();
    assert!(decode_traces(&cut[..cut.len() - 3]).is_err());
}

#[test]
fn log_records_in_protobuf_are_those_in_json() {
    let log = LogRecord {
        trace_id: TRACE.to_vec(),
        span_id: SPAN.to_vec(),
        time_unix_nano: 1_769_591_700_000_000_000,
        event_name: "gen_ai.client.inference.operation.details".to_owned(),
        attributes: attributes(),
        ..LogRecord::default()
    };
    let scopes = vec![ScopeLogs { scope: scope(), log_records: vec![log], ..ScopeLogs::default() }];
    let resources =
        ResourceLogs { resource: resource(), scope_logs: scopes, ..ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![resources] };
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeLogs":[{{"scope":{{"name":"scope"}},"logRecords":[{{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",
        "timeUnixNano":"1769591700000000000","eventName":"gen_ai.client.inference.operation.details","attributes":{}}}]}}]}}]}}"#,
        json_attributes()
    );
    let expected = decode(Format::Otlp, json.as_bytes()).unwrap();
    assert_eq!(expected.records.len(), 1);
    assert!(decode_logs(&request.encode_to_vec()).unwrap() == expected);
}
