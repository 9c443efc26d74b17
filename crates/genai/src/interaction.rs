//! From a [`CallRecord`] to the [`Interaction`] that is logged.

use attestry_core::{EntryId, MAX_METADATA_DEPTH, Timestamp, hash_content, metadata};
use attestry_logger::Interaction;
use attestry_logger::messages::canonical_json;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::json::{self, keep_integers};
use crate::record::{CallRecord, Content, SpanId};

/// What becomes of texts that have no field: they may be content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums)] // Two ways.
pub enum UnmappedTexts {
    /// A text that is no label is recorded as its length and SHA-256. For loggers that do not store content in plain
    /// text.
    #[default]
    Hash,
    /// Kept as it is.
    Keep,
}

impl CallRecord {
    /// The interaction, with the [id](Self::id) of its entry.
    ///
    /// Input and output are messages, JSON or text, as `attestry.content` says. What is missing, truncated or
    /// without a field is in the metadata `attestry.missing`, `attestry.truncated` and `attestry.other`.
    #[must_use]
    pub fn into_interaction(mut self, unmapped: UnmappedTexts) -> Interaction<'static> {
        self.assemble();
        let id = self.id();
        let mut missing = Vec::new();
        let mut text = |name: &'static str,
                        content: Option<Content>,
                        lossy: &mut Vec<&'static str>| match content {
            None => {
                missing.push(name);
                (String::new(), None)
            }
            Some(content) => written(name, content, lossy),
        };
        let mut lossy: Vec<_> = self.lossy.iter().copied().collect();
        let (input, input_kind) = text("input", self.input.take(), &mut lossy);
        let has_output = self.output.is_some();
        // A failed call has no output, and says so by its outcome.
        let is_expected = has_output || !self.metadata.contains_key(metadata::OUTCOME);
        let output = is_expected.then(|| text("output", self.output.take(), &mut lossy));
        let (output, output_kind) = output.unwrap_or_else(|| (String::new(), input_kind));
        let output_kind = if has_output { output_kind } else { input_kind };

        let mut fields = std::mem::take(&mut self.metadata);
        let mut other = std::mem::take(&mut self.other);
        self.add_spans(&mut fields, &mut other);
        bound(&mut other, unmapped);
        let mut set = |key: &str, value: Value| {
            fields.entry(key.to_owned()).or_insert(value);
        };
        content_kinds(input_kind, output_kind, &mut set);
        if self.safety_passed.is_none() {
            set(metadata::SAFETY, metadata::SAFETY_NOT_CHECKED.into());
        }
        for (key, names) in [
            (metadata::MISSING, missing),
            (metadata::TRUNCATED, self.truncated.iter().copied().collect()),
            (metadata::LOSSY, lossy),
        ] {
            if !names.is_empty() {
                set(key, names.into());
            }
        }
        set(metadata::SOURCE, joined(&self.sources).into());
        if !self.hashes.is_empty() {
            set(metadata::SOURCE_SHA256, joined(&self.hashes).into());
        }
        other.sort_keys();
        if !other.is_empty() {
            set(metadata::OTHER, other.into());
        }
        // The order in which records were joined says nothing.
        fields.sort_keys();
        Interaction::new(input, output)
            .id(id)
            .provider(self.provider)
            .model(self.model)
            .conversation_id(self.conversation_id)
            .safety_passed(self.safety_passed.unwrap_or(true))
            .detectors_triggered(self.detectors)
            .block_reason(self.block_reason)
            .alerts(self.alerts)
            .latency_ms(self.latency_ms.filter(|latency| latency.is_finite()).unwrap_or(0.0))
            .input_tokens(self.input_tokens)
            .output_tokens(self.output_tokens)
            .timestamp(self.started)
            .metadata_map(fields)
    }

    /// The id of the entry: a UUID of version 5 that depends only on what identifies the call, so that importing
    /// its records again, or other records of it, gives the same id.
    ///
    /// It is computed from the id that the source itself gives the call, if that is unique; else from the provider, its id
    /// of the response and the day, since some providers use such ids again; else from trace and span; else from the
    /// SHA-256 of the original records. `None` if none of them is known.
    #[must_use]
    pub fn id(&self) -> Option<EntryId> {
        let name = if let Some(id) = &self.own_id {
            json_text(&("record", joined(&self.sources), id))
        } else if let (Some(id), Some(started)) = (self.response_id(), self.started) {
            let provider = self.provider.as_deref().unwrap_or_default();
            json_text(&("response", provider, id, day(started)))
        } else if let Some(SpanId { trace, span, .. }) = self.spans.first() {
            json_text(&("span", trace, span))
        } else if self.hashes.len() == 1 {
            // As that of a record of our own format.
            return Some(EntryId::for_record(self.hashes.first()?, 0));
        } else if !self.hashes.is_empty() {
            json_text(&("records", joined(&self.hashes)))
        } else {
            return None;
        };
        Some(EntryId::for_record(&hash_content(&name), 0))
    }

    fn add_spans(&self, fields: &mut Map<String, Value>, other: &mut Map<String, Value>) {
        let mut spans = self.spans.iter();
        if let Some(SpanId { trace, span, parent, .. }) = spans.next() {
            for (key, value) in [
                (metadata::TRACE_ID, Some(trace)),
                (metadata::SPAN_ID, Some(span)),
                (metadata::PARENT_SPAN_ID, parent.as_ref()),
            ] {
                if let Some(value) = value {
                    fields.insert(key.to_owned(), value.as_str().into());
                }
            }
        }
        let more: Vec<Value> = spans
            .map(|span| json!({"trace_id": span.trace, "span_id": span.span, "parent_span_id": span.parent}))
            .collect();
        if !more.is_empty() {
            other.insert("spans".to_owned(), more.into());
        }
    }
}

/// The list of `parts` as JSON.
fn json_text(parts: &impl Serialize) -> String {
    serde_json::to_string(parts).unwrap_or_default() // texts, so it cannot fail
}

fn day(time: Timestamp) -> String {
    let (year, month, day) = time.date();
    format!("{year:04}-{month:02}-{day:02}")
}

fn joined<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// The text of a content, and what it is if it is not plain text.
fn written(
    name: &'static str,
    content: Content,
    lossy: &mut Vec<&'static str>,
) -> (String, Option<&'static str>) {
    match content {
        Content::Text(text) => (text, None),
        Content::Messages(messages) => (messages.canonical(), Some(metadata::CONTENT_MESSAGES_V1)),
        Content::Json(mut value) => {
            if keep_integers(&mut value) && !lossy.contains(&name) {
                lossy.push(name);
            }
            let text = canonical_json::to_string(&value).unwrap_or_else(|_| value.to_string());
            (text, Some(metadata::CONTENT_JSON))
        }
    }
}

fn content_kinds(
    input: Option<&'static str>,
    output: Option<&'static str>,
    set: &mut impl FnMut(&str, Value),
) {
    let kinds = if input == output {
        [(metadata::CONTENT, input), (metadata::CONTENT_OUTPUT, None)]
    } else {
        [(metadata::CONTENT_INPUT, input), (metadata::CONTENT_OUTPUT, output)]
    };
    for (key, kind) in kinds {
        if let Some(kind) = kind {
            set(key, kind.into());
        }
    }
}

/// Hides values that may be content, and writes as text what metadata cannot hold.
fn bound(other: &mut Map<String, Value>, unmapped: UnmappedTexts) {
    for value in other.values_mut() {
        // One level for `attestry.other` itself.
        if json::depth(value) + 2 > MAX_METADATA_DEPTH {
            *value = value.to_string().into();
        }
        if unmapped == UnmappedTexts::Hash {
            hash_texts(value);
        }
    }
}

fn hash_texts(value: &mut Value) {
    match value {
        Value::String(text) if !json::is_label(text) => {
            *value = json!({"bytes": text.len(), "sha256": hash_content(text)});
        }
        Value::Array(items) => items.iter_mut().for_each(hash_texts),
        Value::Object(fields) => fields.values_mut().for_each(hash_texts),
        _ => {}
    }
}
