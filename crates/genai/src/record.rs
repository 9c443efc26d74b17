//! [`CallRecord`]: what a record of another program says about one call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use attestry_core::{Timestamp, metadata};
use attestry_logger::messages::{Messages, Part, PartKind};
use serde_json::{Map, Value};

use crate::json::{Fields, is_empty};

/// An input or output, as another program recorded it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// Messages in the schema of the OpenTelemetry conventions.
    Messages(Messages),
    /// Any other JSON.
    Json(Value),
}

impl Content {
    /// The text or JSON in `value`; `None` for `null`.
    pub(crate) fn any(value: Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(Self::Text(text)),
            value => Some(Self::Json(value)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Messages(messages) => messages.0.is_empty(),
            Self::Json(value) => is_empty(value),
        }
    }
}

/// Input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A part of a content that other records have the other parts of. Parts are ordered by the number, then by
/// the content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// A message, as JSON text.
    Message(String),
    /// A fragment of JSON or of a text.
    Fragment(String),
}

/// A span that a call was seen in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SpanId {
    /// First, so that the outermost span of a call is the smallest one.
    pub(crate) start_nanos: u64,
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: Option<String>,
}

/// What one record of another program says about one call of a model, or about another operation such as the
/// execution of a tool.
///
/// Several records may describe one call: a span and its events, a request and its response, the spans of two
/// instrumentations. [`merge`](Self::merge) joins them. A complete one becomes an
/// [`Interaction`](attestry_logger::Interaction) by [`into_interaction`](Self::into_interaction).
///
/// ```
/// use attestry_genai::{Format, decode};
///
/// let line = br#"{"schemaType": "ModelInvocationLog", "schemaVersion": "1.0",
///     "timestamp": "2026-01-28T09:15:00Z", "requestId": "r-1", "operation": "InvokeModel",
///     "modelId": "amazon.titan-text-express-v1",
///     "input": {"inputBodyJson": {"inputText": "2+2?"}, "inputTokenCount": 5},
///     "output": {"outputBodyJson": {"results": [{"outputText": "4"}]}, "outputTokenCount": 2}}"#;
/// let records = decode(Format::Bedrock, line)?.records;
/// assert_eq!(records.len(), 1);
/// assert_eq!(records[0].model(), Some("amazon.titan-text-express-v1"));
/// let interaction = records[0].clone().into_interaction(Default::default());
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct CallRecord {
    /// Where it came from: `litellm`, `otlp`, ...
    pub(crate) sources: BTreeSet<String>,
    /// The SHA-256 of the original records.
    pub(crate) hashes: BTreeSet<String>,
    pub(crate) input: Option<Content>,
    pub(crate) output: Option<Content>,
    /// Parts of input and output, until all of them are known.
    pub(crate) pieces: BTreeMap<(Side, u64, u64), Piece>,
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) conversation_id: Option<String>,
    /// `None` if no detector looked at the call.
    pub(crate) safety_passed: Option<bool>,
    pub(crate) detectors: BTreeSet<String>,
    pub(crate) block_reason: Option<String>,
    pub(crate) alerts: BTreeSet<String>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) input_tokens: Option<i64>,
    pub(crate) output_tokens: Option<i64>,
    /// Keys of the vocabulary, and the attributes of a span that have no field.
    pub(crate) metadata: Map<String, Value>,
    /// What has no field.
    pub(crate) other: Map<String, Value>,
    pub(crate) truncated: BTreeSet<&'static str>,
    pub(crate) lossy: BTreeSet<&'static str>,
    pub(crate) spans: BTreeSet<SpanId>,
    /// Its id in the source, if that is unique.
    pub(crate) own_id: Option<String>,
    /// Where the caller found it; of several records, the first.
    pub(crate) position: Option<u64>,
    /// What joins its records, within one source: a `custom_id`.
    pub(crate) join_key: Option<String>,
}

impl SpanId {
    /// In a record that does not know when the span started.
    pub(crate) const UNKNOWN_START: u64 = u64::MAX;
}

impl CallRecord {
    /// A record of the call as a whole, from `source`.
    pub(crate) fn new(source: &str) -> Self {
        Self { sources: [source.to_owned()].into(), ..Self::default() }
    }

    /// Adds the SHA-256 of the original record, in hexadecimal, which becomes `attestry.source.sha256`.
    #[must_use]
    pub fn source_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.hashes.insert(sha256.into());
        self
    }

    /// Where the caller found the record, such as the number of its line: of joined records, the smallest number counts.
    #[must_use]
    pub fn at_position(mut self, position: u64) -> Self {
        self.position = Some(position);
        self
    }

    /// The [position](Self::at_position), if one was set.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// The provider, such as `openai`.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The model that answered, or else the one that was asked for.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// When the call started.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.started
    }

    /// Tokens of input and output.
    #[must_use]
    pub fn tokens(&self) -> (Option<i64>, Option<i64>) {
        (self.input_tokens, self.output_tokens)
    }

    /// The provider's id of the response.
    #[must_use]
    pub fn response_id(&self) -> Option<&str> {
        self.metadata_text(metadata::RESPONSE_ID)
    }

    /// Trace and span of the call; of several spans, the one that started first.
    #[must_use]
    pub fn span(&self) -> Option<(&str, &str)> {
        self.spans.first().map(|span| (span.trace.as_str(), span.span.as_str()))
    }

    /// Whether the call ended and everything that an entry has of it is here: its span with both times, and input and
    /// output, or its failure. Records of it may still come, which repeat this in the words of another instrumentation.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let has_span = self.spans.iter().any(|span| span.start_nanos != SpanId::UNKNOWN_START);
        let has_output = self.output.is_some() || self.metadata.contains_key(metadata::OUTCOME);
        has_span && self.latency_ms.is_some() && self.input.is_some() && has_output
    }

    /// About the bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        let content = |content: &Option<Content>| match content {
            None => 0,
            Some(Content::Text(text)) => text.len(),
            Some(Content::Json(value)) => json_size(value),
            Some(Content::Messages(messages)) => {
                let parts = messages.0.iter().flat_map(|message| &message.parts);
                parts.map(part_size).sum()
            }
        };
        let pieces = self.pieces.values().map(|piece| match piece {
            Piece::Message(text) | Piece::Fragment(text) => text.len() + 64,
        });
        let maps = self.metadata.values().chain(self.other.values()).map(json_size);
        1024 + content(&self.input) + content(&self.output) + pieces.chain(maps).sum::<usize>()
    }

    pub(crate) fn metadata_text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_str)
    }

    pub(crate) fn set(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.metadata.insert(key.to_owned(), value.into());
        }
    }

    /// Sets a key of the metadata to the text `field`, as the following do for other types.
    pub(crate) fn set_text(&mut self, key: &str, fields: &mut Fields, field: &str) {
        let value = fields.label(field);
        self.set(key, value);
    }

    pub(crate) fn set_integer(&mut self, key: &str, fields: &mut Fields, field: &str) {
        let value = fields.integer(field);
        self.set(key, value);
    }

    pub(crate) fn set_number(&mut self, key: &str, fields: &mut Fields, field: &str) {
        let value = fields.number(field);
        self.set(key, value);
    }

    pub(crate) fn set_boolean(&mut self, key: &str, fields: &mut Fields, field: &str) {
        let value = fields.boolean(field);
        self.set(key, value);
    }

    pub(crate) fn set_model(&mut self, requested: Option<String>, answered: Option<String>) {
        if let (Some(requested), Some(answered)) = (&requested, &answered)
            && requested != answered
        {
            self.set(metadata::REQUEST_MODEL, Some(requested.as_str()));
        }
        if let Some(model) = answered.or(requested) {
            self.model = Some(model);
        }
    }

    pub(crate) fn failed(&mut self, error_type: impl Into<String>) {
        self.set(metadata::OUTCOME, Some(metadata::OUTCOME_FAILED));
        self.set(metadata::ERROR_TYPE, Some(error_type.into()));
    }

    pub(crate) fn set_content(&mut self, side: Side, content: Option<Content>) {
        let slot = match side {
            Side::Input => &mut self.input,
            Side::Output => &mut self.output,
        };
        if let Some(content) = content {
            *slot = Some(content);
        }
    }

    /// Keeps what has no field under `name`.
    pub(crate) fn keep(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_empty(&value) {
            self.other.insert(name.to_owned(), value);
        }
    }

    /// Keeps what is left of a record.
    pub(crate) fn keep_rest(&mut self, rest: Fields) {
        self.other.extend(rest.rest());
    }
}

/// About the bytes that `part` takes.
fn part_size(part: &Part) -> usize {
    let kind = match &part.kind {
        PartKind::Text { content } | PartKind::Reasoning { content } => content.len(),
        PartKind::ToolCall { name, arguments, .. } => {
            name.len() + arguments.as_ref().map_or(0, json_size)
        }
        PartKind::ToolCallResponse { response: value, .. } | PartKind::Other { value } => {
            json_size(value)
        }
        PartKind::Blob { content: data, .. }
        | PartKind::File { file_id: data, .. }
        | PartKind::Uri { uri: data, .. } => data.len(),
        PartKind::Unknown { name } => name.len(),
        _ => 0,
    };
    256 + kind + part.extra.iter().map(|(key, value)| key.len() + json_size(value)).sum::<usize>()
}

/// About the bytes that `value` takes.
fn json_size(value: &Value) -> usize {
    32 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_size).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + json_size(value)).sum()
        }
        _ => 0,
    }
}

/// Shows what is not confidential.
impl fmt::Debug for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRecord")
            .field("sources", &self.sources)
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("started", &self.started)
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}
