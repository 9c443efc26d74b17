//! OTLP/JSON of spans as the collector writes it, without a [`Value`] between. What is written in any other way that OTLP/JSON
//! allows, or programs write, is left to [`otlp_json`](super::otlp_json).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::model::{Attributes, Event, Origin, Span, Telemetry};
use super::otlp_json::{nanos_of, normalized_id};
use crate::object::Object;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_spans: Vec<Object<ResourceSpans<'a>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Option<Object<Resource>>,
    #[serde(borrow, default)]
    scope_spans: Vec<Object<ScopeSpans<'a>>>,
    #[serde(default)]
    schema_url: String,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Resource {
    attributes: Vec<Object<Attribute>>,
    #[serde(rename = "droppedAttributesCount")]
    _dropped: u32,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScopeSpans<'a> {
    scope: Option<Object<Scope>>,
    #[serde(borrow, default)]
    spans: Vec<Object<SpanJson<'a>>>,
    #[serde(default)]
    schema_url: String,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Scope {
    name: String,
    version: String,
    #[serde(rename = "attributes")]
    _attributes: Vec<Object<Attribute>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct SpanJson<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    #[serde(borrow)]
    parent_span_id: Cow<'a, str>,
    name: String,
    #[serde(borrow)]
    start_time_unix_nano: Cow<'a, str>,
    #[serde(borrow)]
    end_time_unix_nano: Cow<'a, str>,
    attributes: Vec<Object<Attribute>>,
    dropped_attributes_count: u32,
    #[serde(borrow)]
    events: Vec<Object<EventJson<'a>>>,
    status: Object<Status>,
    #[serde(borrow, rename = "traceState")]
    _trace_state: Cow<'a, str>,
    #[serde(rename = "flags")]
    _flags: u32,
    #[serde(rename = "kind")]
    _kind: u32,
    #[serde(rename = "droppedEventsCount")]
    _dropped_events: u32,
    #[serde(rename = "droppedLinksCount")]
    _dropped_links: u32,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct EventJson<'a> {
    #[serde(borrow)]
    time_unix_nano: Cow<'a, str>,
    name: String,
    attributes: Vec<Object<Attribute>>,
    #[serde(rename = "droppedAttributesCount")]
    _dropped: u32,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Status {
    code: u32,
    message: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    key: String,
    value: Option<AnyValue>,
}

/// The value that an `AnyValue` means.
struct AnyValue(Value);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct List<T> {
    values: Vec<T>,
}

/// The name of the only field of an `AnyValue`.
#[derive(serde::Deserialize)]
enum Kind {
    #[serde(rename = "stringValue")]
    Text,
    #[serde(rename = "boolValue")]
    Bool,
    #[serde(rename = "intValue")]
    Integer,
    #[serde(rename = "doubleValue")]
    Double,
    #[serde(rename = "arrayValue")]
    List,
    #[serde(rename = "kvlistValue")]
    Fields,
    #[serde(rename = "bytesValue")]
    Bytes,
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = AnyValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
                let value = match map.next_key()? {
                    None => Value::Null,
                    Some(Kind::Text | Kind::Bytes) => Value::String(map.next_value()?),
                    Some(Kind::Bool) => Value::Bool(map.next_value()?),
                    Some(Kind::Integer) => {
                        let text: Cow<'de, str> = map.next_value()?;
                        text.parse::<i64>().map_or_else(|_| Value::from(&*text), Value::from)
                    }
                    Some(Kind::Double) => double(map.next_value()?)
                        .ok_or_else(|| A::Error::custom("not a number of 64 bits"))?,
                    Some(Kind::List) => {
                        let Object(list): Object<List<AnyValue>> = map.next_value()?;
                        list.values.into_iter().map(|value| value.0).collect()
                    }
                    Some(Kind::Fields) => {
                        let Object(list): Object<List<Object<Attribute>>> = map.next_value()?;
                        let pairs = list.values.into_iter();
                        let pairs = pairs.map(|Object(pair)| (pair.key, value_of(pair.value)));
                        pairs.collect::<Map<_, _>>().into()
                    }
                };
                match map.next_key::<Kind>()? {
                    None => Ok(AnyValue(value)),
                    Some(_) => Err(A::Error::custom("several values")),
                }
            }
        }
        deserializer.deserialize_map(One)
    }
}

/// A larger number may have been an integer, which was rounded.
fn double(number: serde_json::Number) -> Option<Value> {
    number.as_f64().filter(|number| number.abs() < 1e15).map(|_| Value::Number(number))
}

fn value_of(value: Option<AnyValue>) -> Value {
    value.map_or(Value::Null, |value| value.0)
}

/// The spans in `json`. `None` if it is something else, or is written in another way.
pub(super) fn telemetry(json: &str) -> Option<Telemetry> {
    let Object(request): Object<Request<'_>> = serde_json::from_str(json).ok()?;
    let mut telemetry = Telemetry::default();
    for Object(resource) in request.resource_spans {
        let mut origin = Origin {
            resource: attributes(resource.resource.unwrap_or_default().0.attributes).fields,
            schema_url: resource.schema_url,
            ..Origin::default()
        };
        for Object(scope) in resource.scope_spans {
            let about = scope.scope.unwrap_or_default().0;
            (origin.scope_name, origin.scope_version) = (about.name, about.version);
            if !scope.schema_url.is_empty() {
                origin.schema_url = scope.schema_url;
            }
            let spans = scope.spans.into_iter();
            telemetry.spans.extend(spans.map(|Object(span)| decode_span(span, &origin)));
        }
    }
    Some(telemetry)
}

fn decode_span(span: SpanJson<'_>, origin: &Origin) -> Span {
    let Attributes { fields, duplicates } = attributes(span.attributes);
    Span {
        trace: normalized_id(&span.trace_id, 32),
        span: normalized_id(&span.span_id, 16),
        parent: Some(normalized_id(&span.parent_span_id, 16)).filter(|id| !id.is_empty()),
        name: span.name,
        start_nanos: nanos_of(&span.start_time_unix_nano),
        end_nanos: nanos_of(&span.end_time_unix_nano),
        is_error: span.status.0.code == 2,
        status_message: span.status.0.message,
        attributes: fields,
        duplicates,
        dropped_attributes: span.dropped_attributes_count.into(),
        events: span.events.into_iter().map(|Object(json)| event(json)).collect(),
        origin: origin.clone(),
    }
}

fn event(event: EventJson<'_>) -> Event {
    Event {
        name: event.name,
        time_nanos: nanos_of(&event.time_unix_nano),
        attributes: attributes(event.attributes).fields,
    }
}

fn attributes(list: Vec<Object<Attribute>>) -> Attributes {
    let mut attributes = Attributes::with_capacity(list.len());
    for Object(attribute) in list.into_iter().filter(|attribute| !attribute.0.key.is_empty()) {
        attributes.add(attribute.key, value_of(attribute.value));
    }
    attributes
}
