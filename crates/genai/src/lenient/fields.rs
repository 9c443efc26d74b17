//! Decodes an interaction field by field, tolerating what exports of other programs contain.

use std::fmt;

use attestry_core::{EntryId, ParseTimestampError, Timestamp, json_text, metadata};
use attestry_logger::Interaction;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::content;
use crate::time::timestamp_from_number;

/// A JSON number that parses as infinity: what `NaN` and infinities are replaced by, for JSON has none.
const NOT_FINITE: &[u8] = b"1e999";

/// The fields of a JSON object, unparsed.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// Decodes `line`, which failed to parse as an interaction because of `error`.
pub(super) fn decode(
    line: &[u8],
    error: &impl fmt::Display,
) -> Result<Interaction<'static>, String> {
    if let Err(error) = std::str::from_utf8(line) {
        return Err(format!(
            "the line is not UTF-8: invalid byte at column {}",
            error.valid_up_to() + 1
        ));
    }
    if !line.starts_with(b"{") {
        return Err("expected a JSON object".to_owned());
    }
    let rewritten;
    let mut json = line;
    if serde_json::from_slice::<Fields<'_>>(json).is_err()
        && let Some(without) = json_text::without_special_numbers(json, NOT_FINITE)
    {
        rewritten = without;
        json = &rewritten;
    }
    let rewritten;
    if serde_json::from_slice::<Fields<'_>>(json).is_err()
        && let Some(without) = json_text::without_lone_surrogates(json)
    {
        // A key with half of a surrogate pair: reported as unknown below.
        rewritten = without;
        json = &rewritten;
    }
    let Ok(Fields(fields)) = serde_json::from_slice(json) else { return Err(error.to_string()) };
    let mut decoded = Decoded::default();
    for (index, (name, raw)) in fields.iter().enumerate() {
        if fields[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("{name}: the field occurs twice"));
        }
        decoded.add(name, raw.get()).map_err(|reason| {
            if reason.starts_with("metadata") { reason } else { format!("{name}: {reason}") }
        })?;
    }
    decoded.finish()
}

/// The text of an input or output, and what it is if it is not plain text.
struct Content {
    text: String,
    kind: Option<&'static str>,
}

#[derive(Default)]
struct Decoded {
    input: Option<Content>,
    output: Option<Content>,
    provider: Option<String>,
    model: Option<String>,
    conversation_id: Option<String>,
    safety_failed: bool,
    detectors: Vec<String>,
    block_reason: Option<String>,
    alerts: Vec<String>,
    latency_ms: f64,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    metadata: Map<String, Value>,
    timestamp: Option<Timestamp>,
    id: Option<EntryId>,
    /// Fields whose value could not be kept.
    lossy: Vec<String>,
}

impl Decoded {
    /// Adds the field `name` with the JSON value `raw`. The error does not name the field.
    fn add(&mut self, name: &str, raw: &str) -> Result<(), String> {
        match name {
            "input" => self.input = self.content(name, raw)?,
            "output" => self.output = self.content(name, raw)?,
            "provider" => self.provider = self.text(name, raw)?,
            "model" => self.model = self.text(name, raw)?,
            "conversation_id" => self.conversation_id = self.text(name, raw)?,
            "block_reason" => self.block_reason = self.text(name, raw)?,
            "detectors_triggered" => self.detectors = self.texts(name, raw)?,
            "alerts" => self.alerts = self.texts(name, raw)?,
            "safety_passed" => {
                let passed: Option<bool> = parse(raw, "true, false or null")?;
                self.safety_failed = passed == Some(false);
            }
            "latency_ms" => self.latency_ms = self.number(name, raw)?.unwrap_or(0.0),
            "input_tokens" => self.input_tokens = self.tokens(name, raw)?,
            "output_tokens" => self.output_tokens = self.tokens(name, raw)?,
            "metadata" => self.metadata = self.metadata(raw)?,
            "timestamp" => self.timestamp = timestamp(raw)?,
            "id" => {
                let id = self.text(name, raw)?;
                self.id = id.map(EntryId::new).transpose().map_err(|error| error.to_string())?;
            }
            _ => return Err("unknown field; put it into `metadata`".to_owned()),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Interaction<'static>, String> {
        let input = self.input.ok_or("input: missing; expected text, messages or other JSON")?;
        let input_kind = input.kind;
        // An output that does not exist is of no kind.
        let output_kind = self.output.as_ref().map_or(input_kind, |output| output.kind);
        let mut insert = |key: &str, value: Value| {
            self.metadata.entry(key).or_insert(value);
        };
        let kinds = if input_kind == output_kind {
            [(metadata::CONTENT, input_kind), (metadata::CONTENT_OUTPUT, None)]
        } else {
            [(metadata::CONTENT_INPUT, input_kind), (metadata::CONTENT_OUTPUT, output_kind)]
        };
        for (key, kind) in kinds {
            if let Some(kind) = kind {
                insert(key, kind.into());
            }
        }
        if self.output.is_none() {
            let blocked = self.block_reason.is_some();
            let outcome =
                if blocked { metadata::OUTCOME_BLOCKED } else { metadata::OUTCOME_FAILED };
            insert(metadata::OUTCOME, outcome.into());
        }
        if !self.lossy.is_empty() {
            insert(metadata::LOSSY, self.lossy.into());
        }
        let output = self.output.map(|output| output.text).unwrap_or_default();
        Ok(Interaction::new(input.text, output)
            .provider(self.provider)
            .model(self.model)
            .conversation_id(self.conversation_id)
            .safety_passed(!self.safety_failed)
            .detectors_triggered(self.detectors)
            .block_reason(self.block_reason)
            .alerts(self.alerts)
            .latency_ms(self.latency_ms)
            .input_tokens(self.input_tokens)
            .output_tokens(self.output_tokens)
            .metadata_map(self.metadata)
            .timestamp(self.timestamp)
            .id(self.id))
    }

    /// `None` for `null`.
    fn content(&mut self, name: &str, raw: &str) -> Result<Option<Content>, String> {
        match raw.as_bytes() {
            [b'[' | b'{', ..] => {
                let json = self.without_surrogates(name, raw);
                let (text, kind) =
                    content::canonical_content(&json).map_err(|error| error.to_string())?;
                Ok(Some(Content { text, kind: Some(kind) }))
            }
            [b'"' | b'n', ..] => {
                let text = self.text(name, raw)?;
                Ok(text.map(|text| Content { text, kind: None }))
            }
            _ => Err(format!("expected text, messages or other JSON, not {}", kind_of(raw))),
        }
    }

    /// A text, or `None` for `null`.
    fn text(&mut self, name: &str, raw: &str) -> Result<Option<String>, String> {
        if matches!(raw.as_bytes(), [b'0'..=b'9' | b'-', ..]) {
            return Err("expected text, not a number; write it in quotes".to_owned());
        }
        let raw = self.without_surrogates(name, raw);
        parse(&raw, "text or null")
    }

    /// A list of texts; empty for `null`.
    fn texts(&mut self, name: &str, raw: &str) -> Result<Vec<String>, String> {
        let raw = self.without_surrogates(name, raw);
        parse::<Option<_>>(&raw, "a list of texts or null").map(Option::unwrap_or_default)
    }

    /// A finite number. `None` for `null`, and for a number that is not finite, which is noted.
    fn number(&mut self, name: &str, raw: &str) -> Result<Option<f64>, String> {
        if raw == "null" {
            return Ok(None);
        }
        let is_number = matches!(raw.as_bytes(), [b'0'..=b'9' | b'-', ..]);
        let number = raw.parse::<f64>().ok().filter(|_| is_number);
        let number =
            number.ok_or_else(|| format!("expected a number or null, not {}", kind_of(raw)))?;
        if number.is_finite() {
            return Ok(Some(number));
        }
        self.lossy.push(name.to_owned());
        Ok(None)
    }

    /// An integer, also written like `5.0`.
    fn tokens(&mut self, name: &str, raw: &str) -> Result<Option<i64>, String> {
        if let Ok(tokens) = raw.parse() {
            return Ok(Some(tokens));
        }
        let Some(number) = self.number(name, raw)? else { return Ok(None) };
        let exact = (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64);
        exact
            .map(Some)
            .ok_or_else(|| "expected a whole number of at most 64 bits, or null".to_owned())
    }

    fn metadata(&mut self, raw: &str) -> Result<Map<String, Value>, String> {
        if raw == "null" {
            return Ok(Map::new());
        }
        if !raw.starts_with('{') {
            return Err(format!("expected an object or null, not {}", kind_of(raw)));
        }
        let mut json = self.without_surrogates("metadata", raw);
        // `1e999`, which serde_json refuses.
        let not_finite = |number: &str| number.parse::<f64>().is_ok_and(f64::is_infinite);
        if let Some(without) = json_text::replace_numbers(&json, not_finite, "null") {
            json = without;
            self.lossy.push("metadata".to_owned());
        }
        metadata::from_json(&json).map_err(|error| error.to_string())
    }

    /// `raw` with U+FFFD for halves of surrogate pairs, which are noted.
    fn without_surrogates(&mut self, name: &str, raw: &str) -> String {
        let replaced = json_text::without_lone_surrogates(raw.as_bytes());
        match replaced.and_then(|replaced| String::from_utf8(replaced).ok()) {
            Some(replaced) => {
                self.lossy.push(name.to_owned());
                replaced
            }
            None => raw.to_owned(),
        }
    }
}

fn timestamp(raw: &str) -> Result<Option<Timestamp>, String> {
    if raw == "null" {
        return Ok(None);
    }
    let time = match raw.as_bytes() {
        [b'"', ..] => {
            serde_json::from_str::<String>(raw).ok().map(|text| text.parse::<Timestamp>())
        }
        [b'0'..=b'9' | b'-', ..] => timestamp_from_number(raw).map(Ok),
        _ => None,
    };
    match time {
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(ParseTimestampError::OutOfRange)) => {
            Err("the time is outside the years 1 to 9999".to_owned())
        }
        // The text may be content in the wrong field, and errors go to logs.
        _ => Err("expected a time such as \"2026-01-28T09:15:00Z\", or seconds, milliseconds or \
                  nanoseconds since 1970"
            .to_owned()),
    }
}

fn parse<T: DeserializeOwned>(raw: &str, expected: &str) -> Result<T, String> {
    serde_json::from_str(raw).map_err(|_| format!("expected {expected}, not {}", kind_of(raw)))
}

/// What the JSON value `raw` is. Never quotes it.
fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes() {
        [b'"', ..] => "text",
        [b'[', ..] => "a list with other items",
        [b'{', ..] => "an object",
        [b't' | b'f', ..] => "true or false",
        [b'n', ..] => "null",
        _ => "a number",
    }
}
