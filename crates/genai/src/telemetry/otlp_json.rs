//! OTLP/JSON: ids in hexadecimal of any case, or in base64 as protobuf's own JSON has them; 64-bit integers as text or
//! as numbers; names in camel case or as in the protocol.

use serde_json::{Map, Value};

use super::model::{Attributes, Event, LogRecord, Origin, Span, Telemetry};
use crate::json::{self, Fields};

/// `None` if `value` is neither traces nor logs.
pub(super) fn telemetry(value: Value) -> Option<Telemetry> {
    let mut fields = Fields::new(value);
    let spans = list(&mut fields, "resourceSpans", "resource_spans");
    let logs = list(&mut fields, "resourceLogs", "resource_logs");
    if spans.is_none() && logs.is_none() {
        return None;
    }
    let mut telemetry = Telemetry::default();
    for resource in spans.unwrap_or_default() {
        each_scope(resource, "scopeSpans", "scope_spans", |scope, origin| {
            let spans = list(scope, "spans", "spans").unwrap_or_default();
            telemetry
                .spans
                .extend(spans.into_iter().map(|span| decode_span(Fields::new(span), origin)));
        });
    }
    for resource in logs.unwrap_or_default() {
        each_scope(resource, "scopeLogs", "scope_logs", |scope, origin| {
            for log in list(scope, "logRecords", "log_records").unwrap_or_default() {
                let position = telemetry.logs.len() as u64;
                telemetry.logs.push(decode_log(Fields::new(log), position, origin));
            }
        });
    }
    Some(telemetry)
}

fn each_scope(
    resource: Value,
    camel: &str,
    snake: &str,
    mut found: impl FnMut(&mut Fields, &Origin),
) {
    let mut fields = Fields::new(resource);
    let mut resource = fields.fields("resource");
    let mut origin = Origin {
        resource: attributes(&mut resource).fields,
        schema_url: text(&mut fields, "schemaUrl", "schema_url"),
        ..Origin::default()
    };
    for scope in list(&mut fields, camel, snake).unwrap_or_default() {
        let mut scope = Fields::new(scope);
        let mut about = scope.fields("scope");
        origin.scope_name = about.text("name").unwrap_or_default();
        origin.scope_version = about.text("version").unwrap_or_default();
        let schema_url = text(&mut scope, "schemaUrl", "schema_url");
        if !schema_url.is_empty() {
            origin.schema_url = schema_url;
        }
        found(&mut scope, &origin);
    }
}

fn decode_span(mut fields: Fields, origin: &Origin) -> Span {
    let Attributes { fields: attributes, duplicates } = attributes(&mut fields);
    let mut status = fields.fields("status");
    let is_error = match status.take("code") {
        Some(Value::String(code)) => code.ends_with("ERROR"),
        Some(code) => json::integer(&code) == Some(2),
        None => false,
    };
    Span {
        trace: id(&mut fields, "traceId", "trace_id", 32),
        span: id(&mut fields, "spanId", "span_id", 16),
        parent: Some(id(&mut fields, "parentSpanId", "parent_span_id", 16))
            .filter(|id| !id.is_empty()),
        name: fields.text("name").unwrap_or_default(),
        start_nanos: nanos(&mut fields, "startTimeUnixNano", "start_time_unix_nano"),
        end_nanos: nanos(&mut fields, "endTimeUnixNano", "end_time_unix_nano"),
        is_error,
        status_message: status.text("message").unwrap_or_default(),
        attributes,
        duplicates,
        dropped_attributes: nanos(
            &mut fields,
            "droppedAttributesCount",
            "dropped_attributes_count",
        ),
        events: fields.list("events").unwrap_or_default().into_iter().map(event).collect(),
        origin: origin.clone(),
    }
}

fn event(value: Value) -> Event {
    let mut fields = Fields::new(value);
    Event {
        name: fields.text("name").unwrap_or_default(),
        time_nanos: nanos(&mut fields, "timeUnixNano", "time_unix_nano"),
        attributes: attributes(&mut fields).fields,
    }
}

fn decode_log(mut fields: Fields, position: u64, origin: &Origin) -> LogRecord {
    let Attributes { fields: attributes, duplicates } = attributes(&mut fields);
    let time = nanos(&mut fields, "timeUnixNano", "time_unix_nano");
    let observed = nanos(&mut fields, "observedTimeUnixNano", "observed_time_unix_nano");
    LogRecord {
        trace: id(&mut fields, "traceId", "trace_id", 32),
        span: id(&mut fields, "spanId", "span_id", 16),
        time_nanos: if time > 0 { time } else { observed },
        position,
        event_name: text(&mut fields, "eventName", "event_name"),
        body: fields.take("body").map(any_value).unwrap_or_default(),
        attributes,
        duplicates,
        dropped_attributes: nanos(
            &mut fields,
            "droppedAttributesCount",
            "dropped_attributes_count",
        ),
        origin: origin.clone(),
    }
}

fn attributes(fields: &mut Fields) -> Attributes {
    let list = fields.list("attributes").unwrap_or_default();
    let mut attributes = Attributes::with_capacity(list.len());
    for attribute in list {
        let mut attribute = Fields::new(attribute);
        if let Some(key) = attribute.text("key") {
            attributes.add(key, attribute.take("value").map(any_value).unwrap_or_default());
        }
    }
    attributes
}

/// The JSON value that an `AnyValue` means: `{"stringValue": "a"}` is `"a"`.
fn any_value(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let Some((kind, value)) = fields.into_iter().find(|(_, value)| !value.is_null()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" | "int_value" => json::integer(&value).map_or(value, Value::from),
        "arrayValue" | "array_value" => {
            let values = Fields::new(value).list("values").unwrap_or_default();
            values.into_iter().map(any_value).collect()
        }
        "kvlistValue" | "kvlist_value" => {
            let mut fields = Map::new();
            for pair in Fields::new(value).list("values").unwrap_or_default() {
                let mut pair = Fields::new(pair);
                let key = pair.text("key").unwrap_or_default();
                fields.insert(key, pair.take("value").map(any_value).unwrap_or_default());
            }
            fields.into()
        }
        // Text, numbers, booleans, and bytes as base64.
        _ => value,
    }
}

fn id(fields: &mut Fields, camel: &str, snake: &str, digits: usize) -> String {
    normalized_id(&text(fields, camel, snake), digits)
}

/// An id in lower-case hexadecimal digits; empty if there is none, or only zeros.
pub(super) fn normalized_id(text: &str, digits: usize) -> String {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = match is_hex {
        true => text.to_ascii_lowercase(),
        false => from_base64(text, digits).unwrap_or_else(|| text.to_owned()),
    };
    if id.bytes().all(|byte| byte == b'0') { String::new() } else { id }
}

fn from_base64(text: &str, digits: usize) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    (bytes.len() * 2 == digits).then(|| attestry_core::to_hex(&bytes))
}

fn list(fields: &mut Fields, camel: &str, snake: &str) -> Option<Vec<Value>> {
    fields.list(camel).or_else(|| fields.list(snake))
}

fn text(fields: &mut Fields, camel: &str, snake: &str) -> String {
    fields.text(camel).or_else(|| fields.text(snake)).unwrap_or_default()
}

fn nanos(fields: &mut Fields, camel: &str, snake: &str) -> u64 {
    let number = fields.integer(camel).or_else(|| fields.integer(snake));
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// A time as text; 0 if it is none.
pub(super) fn nanos_of(text: &str) -> u64 {
    text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}
