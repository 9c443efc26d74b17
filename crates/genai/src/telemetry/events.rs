//! Events, of spans and as log records: one with all of a call, or one for each message.

use attestry_core::{hash_content, metadata};
use serde_json::{Value, json};

use super::model::{Event, LogRecord};
use super::{common, otel, timestamp};
use crate::format::Format;
use crate::json::{Fields, is_empty, structured};
use crate::messages::messages_from_json;
use crate::record::{CallRecord, Content, Piece, Side, SpanId};

/// The event with all of a call, from 1.37 on.
const DETAILS: &str = "gen_ai.client.inference.operation.details";

/// What an event has beside its attributes.
struct Message {
    name: String,
    time_nanos: u64,
    position: u64,
    body: Value,
}

/// The name of the event that a log record is, taken from it.
pub(super) fn name(log: &mut LogRecord) -> Option<String> {
    match log.event_name.is_empty() {
        true => log.attributes.text("event.name"),
        false => Some(std::mem::take(&mut log.event_name)),
    }
}

/// The call that a log record is the event `name` of.
pub(super) fn log_call(name: String, log: LogRecord) -> CallRecord {
    let mut record = CallRecord::new(Format::Otlp.name());
    if log.trace.is_empty() || log.span.is_empty() {
        // Of no span: a call of its own, one of perhaps several in its batch.
        record.own_id = Some(own_id("event", &name, &log));
    } else {
        // Unknown start: the span itself has it.
        let (start_nanos, parent) = (SpanId::UNKNOWN_START, None);
        let (trace, span) = (log.trace.clone(), log.span.clone());
        record.spans.insert(SpanId { start_nanos, trace, span, parent });
    }
    add_log(record, log, |record, log| {
        let body = std::mem::take(&mut log.body);
        let message = Message { name, time_nanos: log.time_nanos, position: log.position, body };
        add(record, message, &mut log.attributes);
    })
}

/// A log record that is of no call.
pub(super) fn log_entry(name: Option<String>, log: LogRecord) -> CallRecord {
    let mut record = CallRecord::new(Format::Otlp.name());
    let name = name.unwrap_or_default();
    // One span may have many.
    record.own_id = Some(own_id("log", &name, &log));
    add_log(record, log, |record, log| {
        record.set(metadata::OPERATION, Some("log"));
        for (key, id) in [(metadata::TRACE_ID, &log.trace), (metadata::SPAN_ID, &log.span)] {
            record.set(key, (!id.is_empty()).then_some(id.as_str()));
        }
        record.keep("event.name", name);
        record.keep("body", log.body.take());
    })
}

fn own_id(kind: &str, name: &str, log: &LogRecord) -> String {
    let body = hash_content(&log.body.to_string());
    format!("{kind}/{}/{}/{name}/{body}", log.time_nanos, log.position)
}

/// Adds what every log record has, and by `content` what it is about.
fn add_log(
    mut record: CallRecord,
    mut log: LogRecord,
    content: impl FnOnce(&mut CallRecord, &mut LogRecord),
) -> CallRecord {
    record.started = timestamp(log.time_nanos);
    content(&mut record, &mut log);
    common::attributes(&mut record, &mut log.attributes);
    if log.dropped_attributes > 0 {
        record.truncated.insert("attributes");
    }
    record.keep("duplicate_attributes", log.duplicates);
    common::origin(&mut record, log.origin);
    common::keep_attributes(&mut record, log.attributes);
    record
}

/// Adds an event of the span itself.
pub(super) fn span_event(record: &mut CallRecord, event: Event) {
    let Event { name, time_nanos, mut attributes } = event;
    match name.as_str() {
        "exception" => {
            let kind = attributes.text("exception.type").unwrap_or_else(|| "exception".to_owned());
            record.failed(kind);
            record.keep("exception", attributes.rest());
        }
        // 1.27 and before.
        "gen_ai.content.prompt" | "gen_ai.content.completion" => {
            let (side, key) = match name.ends_with("prompt") {
                true => (Side::Input, "gen_ai.prompt"),
                false => (Side::Output, "gen_ai.completion"),
            };
            if let Some(value) = attributes.take(key) {
                common::messages(record, side, value);
            }
            record.keep(&name, attributes.rest());
        }
        _ if name.starts_with("gen_ai.") => {
            let body = attributes.take("body").unwrap_or_default();
            add(
                record,
                Message { name: name.clone(), time_nanos, position: 0, body },
                &mut attributes,
            );
            record.keep(&name, attributes.rest());
        }
        _ => {
            let rest = attributes.rest();
            if !rest.is_empty() {
                record.keep(&format!("event.{name}"), rest);
            }
        }
    }
}

fn add(record: &mut CallRecord, message: Message, attributes: &mut Fields) {
    match message.name.as_str() {
        DETAILS => {
            let mut body = Fields::new(structured(message.body));
            otel::attributes(record, &mut body);
            otel::attributes(record, attributes);
            record.keep("body", body.rest());
        }
        "gen_ai.evaluation.result" => evaluation(record, attributes),
        "gen_ai.choice" => {
            common::provider_and_model(record, attributes);
            choice(record, message, attributes);
        }
        _ => {
            common::provider_and_model(record, attributes);
            input_message(record, message, attributes);
        }
    }
}

/// `gen_ai.user.message` and its like: the body is the message, or its attributes are.
fn input_message(record: &mut CallRecord, message: Message, attributes: &mut Fields) {
    let role = message.name.trim_start_matches("gen_ai.").trim_end_matches(".message").to_owned();
    if !matches!(role.as_str(), "system" | "user" | "assistant" | "tool") {
        return record.keep(&message.name, message.body);
    }
    let mut body = body(message.body, attributes);
    if role == "tool"
        && let Some(id) = body.take("id")
    {
        body.put("tool_call_id", id);
    }
    if !body.has("role") {
        body.put("role", role.into());
    }
    add_message(record, Side::Input, (message.time_nanos, message.position), body);
}

/// `gen_ai.choice`: `{"index", "finish_reason", "message": {"role", "content", "tool_calls"}}`.
fn choice(record: &mut CallRecord, message: Message, attributes: &mut Fields) {
    let mut choice = body(message.body, attributes);
    let index = choice.integer("index").and_then(|index| u64::try_from(index).ok()).unwrap_or(0);
    let reason = choice.text("finish_reason");
    let mut answer = choice.fields("message");
    if is_empty(&Value::Object(choice_without_message(&mut choice, &mut answer))) {
        answer.put("content", Value::Null);
    }
    if !answer.has("role") {
        answer.put("role", "assistant".into());
    }
    if let Some(reason) = reason {
        answer.put("finish_reason", reason.as_str().into());
        record.set(metadata::FINISH_REASONS, Some(vec![reason]));
    }
    record.keep("choice", choice.rest());
    add_message(record, Side::Output, (index, message.position), answer);
}

/// Moves content that is beside the message into it. Returns what the message has then.
fn choice_without_message(
    choice: &mut Fields,
    answer: &mut Fields,
) -> serde_json::Map<String, Value> {
    for key in ["content", "tool_calls", "role"] {
        if let Some(value) = choice.take(key) {
            answer.put(key, value);
        }
    }
    let keys = ["content", "tool_calls", "parts"];
    keys.iter().filter(|key| answer.has(key)).map(|key| ((*key).to_owned(), true.into())).collect()
}

fn body(body: Value, attributes: &mut Fields) -> Fields {
    match structured(body) {
        Value::Null => {
            let mut fields = Fields::default();
            for key in ["content", "role", "tool_calls", "id", "index", "finish_reason", "message"]
            {
                if let Some(value) = attributes.take(key) {
                    fields.put(key, structured(value));
                }
            }
            fields
        }
        Value::String(text) => Fields::new(json!({ "content": text })),
        value => Fields::new(value),
    }
}

fn add_message(record: &mut CallRecord, side: Side, (order, tie): (u64, u64), message: Fields) {
    let mut message = message.rest();
    // Without content, where it is not captured.
    message.entry("content").or_insert(Value::Null);
    let Some(messages) = messages_from_json(Value::Object(message)) else { return };
    if messages.0.iter().all(|message| message.parts.is_empty()) {
        return;
    }
    record.add_piece(side, order, tie, Piece::Message(messages.canonical()));
}

fn evaluation(record: &mut CallRecord, attributes: &mut Fields) {
    let name = attributes.text("gen_ai.evaluation.name");
    let label = attributes.text("gen_ai.evaluation.score.label");
    let is_failure = label.as_deref().is_some_and(|label| matches!(label, "fail" | "failed"));
    record.safety_passed = Some(!is_failure);
    if is_failure {
        record.detectors.extend(name.clone());
        record.block_reason = attributes.text("gen_ai.evaluation.explanation");
    }
    record.keep("gen_ai.evaluation", json!([{"name": name, "label": label, "score": attributes.take("gen_ai.evaluation.score.value")}]));
    if record.spans.is_empty() {
        record.set_content(Side::Output, label.map(Content::Text));
    }
}
