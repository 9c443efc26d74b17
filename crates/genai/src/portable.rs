//! [`CallRecord`] as JSON, for programs that keep records until the others of their call are there.

use std::collections::{BTreeMap, BTreeSet};

use attestry_core::{DecodeError, MAX_METADATA_DEPTH, Timestamp};
use attestry_logger::messages::Messages;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::RecordError;
use crate::json;
use crate::record::{CallRecord, Content, Piece, Side, SpanId};

/// Raised if a reader of an earlier version would misread the form.
const VERSION: u32 = 1;

/// The names in the sets of a record that are static texts.
const NAMES: &[&str] = &["input", "output", "attributes", "metadata"];

/// Contents are JSON as text: they may be nested as deeply as a parser allows.
#[derive(Serialize, Deserialize)]
struct Portable {
    version: u32,
    sources: BTreeSet<String>,
    hashes: BTreeSet<String>,
    input: Option<(Kind, String)>,
    output: Option<(Kind, String)>,
    pieces: Vec<(bool, u64, u64, Kind, String)>,
    provider: Option<String>,
    model: Option<String>,
    conversation_id: Option<String>,
    safety_passed: Option<bool>,
    detectors: BTreeSet<String>,
    block_reason: Option<String>,
    alerts: BTreeSet<String>,
    started: Option<Timestamp>,
    latency_ms: Option<f64>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    metadata: Map<String, Value>,
    other: Map<String, Value>,
    truncated: Vec<String>,
    lossy: Vec<String>,
    spans: Vec<(u64, String, String, Option<String>)>,
    own_id: Option<String>,
    position: Option<u64>,
    join_key: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Messages,
    Json,
    Message,
    Fragment,
}

impl CallRecord {
    /// The record as JSON, which [`from_json`](Self::from_json) reads. It has all content. Later versions of this crate read
    /// it; its fields are not meant for others.
    ///
    /// ```
    /// use attestry_genai::{CallRecord, Format, decode};
    ///
    /// let row = br#"{"request_id": "r", "call_type": "acompletion", "startTime": "2026-01-28 09:15:00", "model": "gpt-4"}"#;
    /// for record in decode(Format::LiteLlm, row)?.records {
    ///     assert!(CallRecord::from_json(&record.to_json())? == record);
    /// }
    /// # Ok::<(), attestry_genai::RecordError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let names = |set: &BTreeSet<&str>| set.iter().map(|name| (*name).to_owned()).collect();
        let portable = Portable {
            version: VERSION,
            sources: self.sources.clone(),
            hashes: self.hashes.clone(),
            input: self.input.as_ref().map(content_text),
            output: self.output.as_ref().map(content_text),
            pieces: self.pieces.iter().map(|(key, piece)| piece_text(*key, piece)).collect(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            conversation_id: self.conversation_id.clone(),
            safety_passed: self.safety_passed,
            detectors: self.detectors.clone(),
            block_reason: self.block_reason.clone(),
            alerts: self.alerts.clone(),
            started: self.started,
            latency_ms: self.latency_ms.filter(|latency| latency.is_finite()),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            metadata: shallow(&self.metadata),
            other: shallow(&self.other),
            truncated: names(&self.truncated),
            lossy: names(&self.lossy),
            spans: self
                .spans
                .iter()
                .cloned()
                .map(|span| (span.start_nanos, span.trace, span.span, span.parent))
                .collect(),
            own_id: self.own_id.clone(),
            position: self.position,
            join_key: self.join_key.clone(),
        };
        // Serialising fails only for keys that are not text, and every key here is text.
        serde_json::to_string(&portable).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`RecordError::Json`] if it is something else, or of a later version.
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        let portable: Portable =
            serde_json::from_str(json).map_err(|error| DecodeError::from_json(&error))?;
        if portable.version != VERSION {
            return Err(RecordError::Version { version: portable.version });
        }
        let names = |names: Vec<String>| {
            NAMES.iter().copied().filter(|name| names.iter().any(|known| known == name)).collect()
        };
        Ok(Self {
            sources: portable.sources,
            hashes: portable.hashes,
            input: portable.input.map(content),
            output: portable.output.map(content),
            pieces: portable.pieces.into_iter().map(piece).collect::<BTreeMap<_, _>>(),
            provider: portable.provider,
            model: portable.model,
            conversation_id: portable.conversation_id,
            safety_passed: portable.safety_passed,
            detectors: portable.detectors,
            block_reason: portable.block_reason,
            alerts: portable.alerts,
            started: portable.started,
            latency_ms: portable.latency_ms,
            input_tokens: portable.input_tokens,
            output_tokens: portable.output_tokens,
            metadata: portable.metadata,
            other: portable.other,
            truncated: names(portable.truncated),
            lossy: names(portable.lossy),
            spans: portable
                .spans
                .into_iter()
                .map(|(start_nanos, trace, span, parent)| SpanId {
                    start_nanos,
                    trace,
                    span,
                    parent,
                })
                .collect(),
            own_id: portable.own_id,
            position: portable.position,
            join_key: portable.join_key,
        })
    }
}

fn content_text(content: &Content) -> (Kind, String) {
    match content {
        Content::Text(text) => (Kind::Text, text.clone()),
        Content::Messages(messages) => (Kind::Messages, messages.canonical()),
        Content::Json(value) => (Kind::Json, value.to_string()),
    }
}

/// A text that cannot be parsed any more, which is too deep for that, is still the text of the content.
fn content((kind, text): (Kind, String)) -> Content {
    let parsed = match kind {
        Kind::Messages => Messages::parse(&text).ok().map(Content::Messages),
        Kind::Json => serde_json::from_str(&text).ok().map(Content::Json),
        Kind::Text | Kind::Message | Kind::Fragment => None,
    };
    parsed.unwrap_or(Content::Text(text))
}

fn piece_text(
    (side, order, tie): (Side, u64, u64),
    piece: &Piece,
) -> (bool, u64, u64, Kind, String) {
    let (kind, text) = match piece {
        Piece::Message(text) => (Kind::Message, text.clone()),
        Piece::Fragment(text) => (Kind::Fragment, text.clone()),
    };
    (side == Side::Input, order, tie, kind, text)
}

fn piece(
    (is_input, order, tie, kind, text): (bool, u64, u64, Kind, String),
) -> ((Side, u64, u64), Piece) {
    let side = if is_input { Side::Input } else { Side::Output };
    let piece = match kind {
        Kind::Fragment => Piece::Fragment(text),
        _ => Piece::Message(text),
    };
    ((side, order, tie), piece)
}

/// Values that an entry could not have at that depth, as the text that it would have.
fn shallow(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    for value in fields.values_mut() {
        if json::depth(value) + 2 > MAX_METADATA_DEPTH {
            *value = value.to_string().into();
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use attestry_logger::AuditLogger;
    use attestry_memory::MemoryStorage;
    use serde_json::json;

    use super::*;
    use crate::{Format, UnmappedTexts, decode};

    fn records() -> Vec<CallRecord> {
        let deep = (0..110).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
        let attribute =
            |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let span = |attributes: Value| {
            json!({"resourceSpans": [{"resource": {"attributes": [attribute("service.name", "shop")]},
                "scopeSpans": [{"spans": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "spanId": "00f067aa0ba902b7", "startTimeUnixNano": "1769591700000000000",
                "endTimeUnixNano": "1769591701000000007", "droppedAttributesCount": 1, "status": {"code": 2},
                "attributes": attributes, "events": [{"name": "gen_ai.choice",
                "attributes": [attribute("body", "{\"index\":0,\"message\":{\"content\":\"4\"}}")]}]}]}]}]})
        };
        let batches = [
            span(json!([
                attribute("gen_ai.provider.name", "openai"),
                attribute("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"2+2?"}]}]"#),
                attribute("gen_ai.tool.call.arguments", r#"{"big":12345678901234567890}"#),
                {"key": "ratio", "value": {"doubleValue": 0.1}},
            ])),
            span(json!([
                attribute("gen_ai.input.messages", &deep),
                attribute("gen_ai.response.id", "r")
            ])),
            span(json!([
                attribute("traceloop.span.kind", "tool"),
                attribute("traceloop.entity.input", "{\"a\":1.5}")
            ])),
        ];
        let batches = batches.iter();
        batches
            .flat_map(|batch| decode(Format::Otlp, batch.to_string().as_bytes()).unwrap().records)
            .collect()
    }

    #[test]
    fn record_survives() {
        let records = records();
        assert_eq!(records.len(), 3);
        for record in records {
            let read = CallRecord::from_json(&record.to_json()).unwrap();
            assert_eq!(read.id(), record.id());
            assert_eq!(read.join_keys(), record.join_keys());
            let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
            let entry = |record: CallRecord| {
                logger.prepare(record.into_interaction(UnmappedTexts::Keep)).unwrap()
            };
            assert_eq!(entry(read), entry(record));
        }
    }

    #[test]
    fn later_version_is_refused() {
        let json = records()[0].to_json().replacen("\"version\":1", "\"version\":2", 1);
        let error = CallRecord::from_json(&json).unwrap_err();
        assert_eq!(error, RecordError::Version { version: 2 });
        assert!(CallRecord::from_json("{}").is_err());
    }
}
