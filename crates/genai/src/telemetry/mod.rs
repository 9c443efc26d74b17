//! Telemetry: spans and log records in the dialects of several instrumentations.

mod common;
mod events;
mod flat;
mod model;
mod openinference;
mod otel;
mod otlp_json;
mod otlp_plain;
#[cfg(feature = "otlp")]
mod otlp_protobuf;
mod traceloop;
mod vercel;

use attestry_core::{Timestamp, metadata};
use serde_json::Value;

use self::model::{Span, Telemetry};
use crate::decoded::{Decoded, UnknownSpans};
use crate::error::RecordError;
use crate::format::Format;
use crate::json::Fields;
use crate::record::{CallRecord, SpanId};

/// The calls in OTLP/JSON.
pub(crate) fn decode_json(value: Value, unknown: UnknownSpans) -> Result<Decoded, RecordError> {
    let telemetry = otlp_json::telemetry(value).ok_or_else(|| {
        RecordError::format(Format::Otlp, "neither `resourceSpans` nor `resourceLogs` is there")
    })?;
    Ok(calls(telemetry, unknown))
}

/// The calls in OTLP/JSON that is written as the collector writes it; `None` if it is not.
pub(crate) fn decode_plain_json(json: &[u8], unknown: UnknownSpans) -> Option<Decoded> {
    let telemetry = otlp_plain::telemetry(str::from_utf8(json).ok()?)?;
    Some(calls(telemetry, unknown))
}

/// The calls in an `ExportTraceServiceRequest`, the protobuf message that a receiver of OTLP gets at `/v1/traces`.
///
/// ```
/// // A request without spans.
/// let decoded = attestry_genai::decode_traces(b"")?;
/// assert!(decoded.records.is_empty());
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
///
/// # Errors
///
/// [`RecordError::Protobuf`] if it is no such message.
#[cfg(feature = "otlp")]
pub fn decode_traces(message: &[u8]) -> Result<Decoded, RecordError> {
    otlp_protobuf::traces(message).map(|telemetry| calls(telemetry, UnknownSpans::Count))
}

/// The calls in an `ExportLogsServiceRequest`, the protobuf message that a receiver of OTLP gets at `/v1/logs`.
///
/// ```
/// let error = attestry_genai::decode_logs(b"no message").unwrap_err();
/// assert!(error.to_string().starts_with("invalid protobuf message"));
/// ```
///
/// # Errors
///
/// [`RecordError::Protobuf`] if it is no such message.
#[cfg(feature = "otlp")]
pub fn decode_logs(message: &[u8]) -> Result<Decoded, RecordError> {
    otlp_protobuf::logs(message).map(|telemetry| calls(telemetry, UnknownSpans::Count))
}

fn calls(telemetry: Telemetry, unknown: UnknownSpans) -> Decoded {
    let mut decoded = Decoded::default();
    for span in telemetry.spans {
        match (dialect(&span.attributes), unknown) {
            (None, UnknownSpans::Count) => decoded.ignored += 1,
            (dialect, _) => decoded.records.push(span_record(span, dialect)),
        }
    }
    for mut log in telemetry.logs {
        let event = events::name(&mut log);
        match (event, unknown) {
            (Some(name), _) if name.starts_with("gen_ai.") => {
                decoded.records.push(events::log_call(name, log));
            }
            (_, UnknownSpans::Count) => decoded.ignored += 1,
            (name, UnknownSpans::Keep) => decoded.records.push(events::log_entry(name, log)),
        }
    }
    decoded
}

/// The dialect of a span: by the attributes that only one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenInference,
    Vercel,
    Traceloop,
    Otel,
}

fn dialect(attributes: &Fields) -> Option<Dialect> {
    if attributes.has("openinference.span.kind") {
        return Some(Dialect::OpenInference);
    }
    if attributes.has("ai.operationId") {
        return Some(Dialect::Vercel);
    }
    let mut keys = attributes.keys();
    if keys.any(|key| key.starts_with("gen_ai.") || key == "llm.request.type") {
        return Some(Dialect::Otel);
    }
    attributes.has("traceloop.span.kind").then_some(Dialect::Traceloop)
}

/// What a span says. Without a dialect it is of something else than generative AI.
fn span_record(span: Span, dialect: Option<Dialect>) -> CallRecord {
    let mut record = CallRecord::new(Format::Otlp.name());
    let Span { mut attributes, events, .. } = span;
    if span.trace.is_empty() || span.span.is_empty() {
        // Invalid, and must not be taken for one call with all others that are.
        let times = (span.start_nanos, span.end_nanos);
        record.own_id = Some(format!("span/{times:?}/{}", span.name));
    } else {
        record.spans.insert(SpanId {
            start_nanos: span.start_nanos,
            trace: span.trace,
            span: span.span,
            parent: span.parent,
        });
    }
    record.started = timestamp(span.start_nanos);
    if span.end_nanos >= span.start_nanos && span.start_nanos > 0 && span.end_nanos > 0 {
        record.latency_ms = Some((span.end_nanos - span.start_nanos) as f64 / 1e6);
    }
    match dialect {
        Some(Dialect::OpenInference) => openinference::attributes(&mut record, &mut attributes),
        Some(Dialect::Vercel) => vercel::attributes(&mut record, &mut attributes),
        Some(Dialect::Traceloop) => traceloop::attributes(&mut record, &mut attributes),
        Some(Dialect::Otel) => otel::attributes(&mut record, &mut attributes),
        None => record.set(metadata::OPERATION, Some("span")),
    }
    for event in events {
        events::span_event(&mut record, event);
    }
    common::attributes(&mut record, &mut attributes);
    if span.is_error {
        common::failed(&mut record);
        record.keep("status", span.status_message);
    }
    if span.dropped_attributes > 0 {
        record.truncated.insert("attributes");
        record.keep("dropped_attributes", span.dropped_attributes);
    }
    record.keep("span.name", span.name);
    record.keep("duplicate_attributes", span.duplicates);
    common::origin(&mut record, span.origin);
    common::keep_attributes(&mut record, attributes);
    record
}

/// Truncated to microseconds; `None` for 0, which means unknown.
fn timestamp(nanos: u64) -> Option<Timestamp> {
    let micros = i64::try_from(nanos / 1000).ok().filter(|micros| *micros > 0)?;
    Timestamp::from_unix_micros(micros).ok()
}

#[cfg(test)]
mod tests;
