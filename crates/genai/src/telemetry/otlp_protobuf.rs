//! OTLP in protobuf, by the types of `opentelemetry-proto`, which stay in this file.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::Message as _;
use serde_json::{Map, Value};

use super::model::{Attributes, Event, LogRecord, Origin, Span, Telemetry};
use crate::error::RecordError;

/// The spans in an `ExportTraceServiceRequest`.
pub(super) fn traces(message: &[u8]) -> Result<Telemetry, RecordError> {
    let request = ExportTraceServiceRequest::decode(message).map_err(|error| invalid(&error))?;
    let mut telemetry = Telemetry::default();
    for resource in request.resource_spans {
        let attributes = resource_attributes(resource.resource);
        for scope in resource.scope_spans {
            let urls = [scope.schema_url, resource.schema_url.clone()];
            let origin = origin(&attributes, scope.scope, urls);
            telemetry.spans.extend(scope.spans.into_iter().map(|span| decode_span(span, &origin)));
        }
    }
    Ok(telemetry)
}

/// The log records in an `ExportLogsServiceRequest`.
pub(super) fn logs(message: &[u8]) -> Result<Telemetry, RecordError> {
    let request = ExportLogsServiceRequest::decode(message).map_err(|error| invalid(&error))?;
    let mut telemetry = Telemetry::default();
    for resource in request.resource_logs {
        let attributes = resource_attributes(resource.resource);
        for scope in resource.scope_logs {
            let urls = [scope.schema_url, resource.schema_url.clone()];
            let origin = origin(&attributes, scope.scope, urls);
            for log in scope.log_records {
                let position = telemetry.logs.len() as u64;
                telemetry.logs.push(decode_log(log, position, &origin));
            }
        }
    }
    Ok(telemetry)
}

fn invalid(error: &prost::DecodeError) -> RecordError {
    RecordError::Protobuf { reason: error.to_string() }
}

fn resource_attributes(resource: Option<Resource>) -> Attributes {
    attributes(resource.unwrap_or_default().attributes)
}

fn origin(resource: &Attributes, scope: Option<InstrumentationScope>, urls: [String; 2]) -> Origin {
    let scope = scope.unwrap_or_default();
    Origin {
        resource: resource.fields.clone(),
        scope_name: scope.name,
        scope_version: scope.version,
        schema_url: urls.into_iter().find(|url| !url.is_empty()).unwrap_or_default(),
    }
}

fn decode_span(span: trace::Span, origin: &Origin) -> Span {
    let Attributes { fields, duplicates } = attributes(span.attributes);
    let status = span.status.unwrap_or_default();
    Span {
        trace: id(&span.trace_id),
        span: id(&span.span_id),
        parent: Some(id(&span.parent_span_id)).filter(|id| !id.is_empty()),
        name: span.name,
        start_nanos: span.start_time_unix_nano,
        end_nanos: span.end_time_unix_nano,
        is_error: status.code == trace::status::StatusCode::Error as i32,
        status_message: status.message,
        attributes: fields,
        duplicates,
        dropped_attributes: span.dropped_attributes_count.into(),
        events: span.events.into_iter().map(event).collect(),
        origin: origin.clone(),
    }
}

fn event(event: trace::span::Event) -> Event {
    Event {
        name: event.name,
        time_nanos: event.time_unix_nano,
        attributes: attributes(event.attributes).fields,
    }
}

fn decode_log(log: logs::LogRecord, position: u64, origin: &Origin) -> LogRecord {
    let Attributes { fields, duplicates } = attributes(log.attributes);
    let times = [log.time_unix_nano, log.observed_time_unix_nano];
    LogRecord {
        trace: id(&log.trace_id),
        span: id(&log.span_id),
        time_nanos: times.into_iter().find(|time| *time > 0).unwrap_or(0),
        position,
        event_name: log.event_name,
        body: log.body.map(value).unwrap_or_default(),
        attributes: fields,
        duplicates,
        dropped_attributes: log.dropped_attributes_count.into(),
        origin: origin.clone(),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let mut attributes = Attributes::with_capacity(pairs.len());
    for pair in pairs {
        attributes.add(pair.key, pair.value.map(value).unwrap_or_default());
    }
    attributes
}

fn key_values(pairs: Vec<KeyValue>) -> Value {
    let mut fields = Map::with_capacity(pairs.len());
    for pair in pairs {
        fields.entry(pair.key).or_insert_with(|| pair.value.map(value).unwrap_or_default());
    }
    fields.into()
}

/// The decoder bounds the depth.
fn value(any: AnyValue) -> Value {
    match any.value {
        None => Value::Null,
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(value)) => value.into(),
        Some(any_value::Value::IntValue(value)) => value.into(),
        Some(any_value::Value::DoubleValue(value)) => value.into(),
        Some(any_value::Value::ArrayValue(list)) => list.values.into_iter().map(value).collect(),
        Some(any_value::Value::KvlistValue(list)) => key_values(list.values),
        Some(any_value::Value::BytesValue(bytes)) => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
        #[allow(unreachable_patterns)] // of later versions of the protocol
        Some(_) => Value::Null,
    }
}

/// An id in hexadecimal digits; empty if there is none, or only zeros.
fn id(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) { String::new() } else { attestry_core::to_hex(bytes) }
}
