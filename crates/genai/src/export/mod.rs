//! Records of exports and logs.

mod azure;
mod bedrock;
mod langfuse;
mod langsmith;
mod litellm;
mod openai_batch;

use serde_json::Value;

use crate::decoded::{Decoded, UnknownSpans};
use crate::error::RecordError;
use crate::format::Format;
use crate::json::{self, Fields};
use crate::messages::messages_or_value;
use crate::provider::{Api, request};
use crate::record::{CallRecord, Content, Side};
use crate::telemetry;

/// The calls that one record of `format` describes, or parts of them. None, if it is of something else than a call: a span
/// of a database, a batch without spans.
///
/// `json` is one JSON value: a line, an element of an array, a row of CSV as an object.
///
/// ```
/// use attestry_genai::{Format, decode};
///
/// let row = br#"{"request_id": "r", "call_type": "acompletion", "model": "gpt-4",
///     "startTime": "2026-01-28 09:15:00", "endTime": "2026-01-28 09:15:01.500",
///     "messages": [{"role": "user", "content": "2+2?"}], "prompt_tokens": 5}"#;
/// let decoded = decode(Format::LiteLlm, row)?;
/// assert_eq!(decoded.records[0].tokens(), (Some(5), None));
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
///
/// # Errors
///
/// [`RecordError`] if it is not JSON, or not of the format.
pub fn decode(format: Format, json: &[u8]) -> Result<Decoded, RecordError> {
    decode_with(format, json, UnknownSpans::Count)
}

/// As [`decode`], and says what becomes of spans and log records that are of something else than generative AI.
///
/// ```
/// use attestry_genai::{Format, UnknownSpans, decode_with};
///
/// let line = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
///     "spanId": "00f067aa0ba902b7", "name": "SELECT", "startTimeUnixNano": "1769591700000000000"}]}]}]}"#;
/// let decoded = decode_with(Format::Otlp, line, UnknownSpans::Keep)?;
/// assert_eq!((decoded.records.len(), decoded.ignored), (1, 0));
/// # Ok::<(), attestry_genai::RecordError>(())
/// ```
///
/// # Errors
///
/// As [`decode`].
pub fn decode_with(
    format: Format,
    json: &[u8],
    unknown: UnknownSpans,
) -> Result<Decoded, RecordError> {
    if format == Format::Otlp
        && let Some(decoded) = telemetry::decode_plain_json(json, unknown)
    {
        return Ok(decoded);
    }
    let parsed = json::parse(json)?;
    let is_lossy = parsed.lossy;
    if !parsed.value.is_object() {
        return Err(RecordError::format(format, "expected an object"));
    }
    let mut decoded = match format {
        Format::Attestry => {
            return Err(RecordError::format(format, "no record of another program"));
        }
        Format::LiteLlm => litellm::decode(Fields::new(parsed.value)).map(Decoded::from),
        Format::Langfuse => langfuse::decode(Fields::new(parsed.value)).map(Decoded::from),
        Format::OpenAiBatch => openai_batch::decode(Fields::new(parsed.value)).map(Decoded::from),
        Format::Bedrock => bedrock::decode(Fields::new(parsed.value)).map(Decoded::from),
        Format::LangSmith => langsmith::decode(Fields::new(parsed.value)),
        Format::AzureApim => azure::decode(Fields::new(parsed.value)).map(Decoded::from),
        Format::Otlp => telemetry::decode_json(parsed.value, unknown),
    }?;
    if is_lossy {
        for record in &mut decoded.records {
            record.lossy.extend(["input", "output", "metadata"]);
        }
    }
    Ok(decoded)
}

/// Adds a content of which only the value is known: messages, a body of a request, JSON or text.
fn add_content(record: &mut CallRecord, side: Side, value: Value) {
    let value = json::structured(value);
    if side == Side::Input && value["messages"].is_array() {
        return request(Api::OpenAiChat, record, value);
    }
    let content = match messages_or_value(value) {
        Ok(messages) => Some(Content::Messages(messages)),
        Err(value) => Content::any(value),
    };
    record.set_content(side, content);
}

/// Milliseconds between two times.
fn latency(from: attestry_core::Timestamp, to: attestry_core::Timestamp) -> f64 {
    (to.unix_micros() - from.unix_micros()) as f64 / 1e3
}

#[cfg(test)]
mod tests;
