//! Spans and log records, whatever the encoding they came in.

use serde_json::{Map, Value};

use crate::json::Fields;

#[derive(Default)]
pub(super) struct Telemetry {
    pub(super) spans: Vec<Span>,
    pub(super) logs: Vec<LogRecord>,
}

/// Where spans and log records come from.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) resource: Fields,
    pub(super) scope_name: String,
    pub(super) scope_version: String,
    pub(super) schema_url: String,
}

#[derive(Default)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) span: String,
    pub(super) parent: Option<String>,
    pub(super) name: String,
    pub(super) start_nanos: u64,
    pub(super) end_nanos: u64,
    pub(super) is_error: bool,
    pub(super) status_message: String,
    pub(super) attributes: Fields,
    /// Attributes whose key occurred before.
    pub(super) duplicates: Vec<Value>,
    pub(super) dropped_attributes: u64,
    pub(super) events: Vec<Event>,
    pub(super) origin: Origin,
}

/// An event of a span.
pub(super) struct Event {
    pub(super) name: String,
    pub(super) time_nanos: u64,
    pub(super) attributes: Fields,
}

#[derive(Default)]
pub(super) struct LogRecord {
    pub(super) trace: String,
    pub(super) span: String,
    pub(super) time_nanos: u64,
    /// Position in its batch: orders records of one time.
    pub(super) position: u64,
    pub(super) event_name: String,
    pub(super) body: Value,
    pub(super) attributes: Fields,
    pub(super) duplicates: Vec<Value>,
    pub(super) dropped_attributes: u64,
    pub(super) origin: Origin,
}

/// Attributes, of which each key is kept once.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) fields: Fields,
    pub(super) duplicates: Vec<Value>,
}

impl Attributes {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { fields: Fields::with_capacity(count), duplicates: Vec::new() }
    }

    pub(super) fn add(&mut self, key: String, value: Value) {
        match self.fields.find(&key) {
            Some(known) if *known == value => {}
            Some(_) => self.duplicates.push(Value::Object(Map::from_iter([(key, value)]))),
            None => self.fields.add(key, value),
        }
    }
}
