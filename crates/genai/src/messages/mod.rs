//! Messages of many APIs in one schema, that of the OpenTelemetry conventions for generative AI.
//!
//! Every function keeps what it does not know: fields of a part as fields of that part, parts as
//! `attestry.other`.

mod block;
mod items;
mod media;
mod plain;

use attestry_logger::messages::{Message, Messages, Part, PartKind};
use serde_json::{Map, Value, json};

pub(crate) use self::block::{block, tool_call_part};
pub(crate) use self::items::items;
pub(crate) use self::plain::plain_messages;

use crate::json::{Fields, is_empty, structured};

/// A list of messages, or one message, in the form of the OpenAI, Anthropic, Ollama or LangChain API or of the
/// schema itself. `None` if `value` is neither: it is no conversation.
///
/// ```
/// use attestry_genai::messages_from_json;
/// use serde_json::json;
///
/// let messages = messages_from_json(json!([{"role": "user", "content": "2+2?"}])).expect("messages");
/// assert_eq!(messages.canonical(), r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#);
/// assert!(messages_from_json(json!({"prompt": "2+2?"})).is_none());
/// ```
#[must_use]
pub fn messages_from_json(value: Value) -> Option<Messages> {
    match value {
        Value::Array(messages) if !messages.is_empty() => {
            if !messages.iter().all(is_message) {
                return None;
            }
            messages.into_iter().map(|message| message_of(Fields::new(message))).collect()
        }
        Value::Object(_) if is_message(&value) => {
            Some(Messages(vec![message_of(Fields::new(value))?]))
        }
        _ => None,
    }
}

/// As [`messages_from_json`]; returns `value` if it is no conversation.
pub(crate) fn messages_or_value(value: Value) -> Result<Messages, Value> {
    let list = match &value {
        Value::Array(messages) => messages.as_slice(),
        value => std::slice::from_ref(value),
    };
    if !list.iter().all(is_message) {
        return Err(value);
    }
    // Conversion fails only for want of a role, after it has taken the value apart.
    let has_role = |message: &Value| {
        message["lc"].is_null() && message["role"].as_str().is_some_and(|role| !role.is_empty())
    };
    let original = (!list.iter().all(has_role)).then(|| value.clone());
    messages_from_json(value).ok_or_else(|| original.unwrap_or(Value::Array(Vec::new())))
}

/// Whether `value` has a role and content.
fn is_message(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    if value["lc"].is_number() && value["kwargs"].is_object() {
        return true;
    }
    let has_role = value["role"].is_string()
        || (value["type"].as_str().is_some_and(is_lang_chain_type) && has("content"));
    has_role && ["content", "parts", "tool_calls", "function_call", "images"].into_iter().any(has)
}

fn is_lang_chain_type(name: &str) -> bool {
    matches!(name, "human" | "ai" | "system" | "tool" | "function" | "AIMessageChunk")
}

/// One message. `None` if it has no role.
pub(crate) fn message_of(mut fields: Fields) -> Option<Message> {
    if fields.has("lc") {
        fields = from_lang_chain(fields);
    }
    let role = match fields.text("role") {
        Some(role) => role,
        None => role_of_type(&fields.text("type")?).to_owned(),
    };
    let mut message = Message::new(role.as_str(), []);
    message.name = fields.text("name");
    message.finish_reason = fields.text("finish_reason");
    let is_tool = role == "tool" || role == "function";
    let parts = &mut message.parts;
    // Before the answer, as the model produced it.
    for key in ["reasoning_content", "reasoning", "thinking"] {
        if let Some(text) = fields.text(key) {
            parts.push(Part::reasoning(text));
        }
    }
    // Blocks that are results have the id themselves.
    let has_id = fields.has("tool_call_id") || !fields.get("content").is_array();
    if is_tool && has_id && fields.has("content") {
        let id = fields.text("tool_call_id");
        let response = fields.take("content").unwrap_or_default();
        parts.push(PartKind::ToolCallResponse { id, response }.into());
    } else {
        parts.extend(content_parts(fields.take("content").unwrap_or_default()));
    }
    parts.extend(fields.list("parts").unwrap_or_default().into_iter().map(schema_part));
    parts.extend(fields.list("images").unwrap_or_default().into_iter().map(media::image));
    parts.extend(fields.list("tool_calls").unwrap_or_default().into_iter().map(tool_call));
    if let Some(call) = fields.take("function_call") {
        parts.push(tool_call(json!({ "function": call })));
    }
    message.extra = fields.rest();
    Some(message)
}

/// A message as LangChain serialises it: `{"lc": 1, "type": "constructor", "id": [...], "kwargs": {...}}`.
fn from_lang_chain(mut fields: Fields) -> Fields {
    let class =
        fields.get("id").as_array().and_then(|path| path.last()?.as_str().map(str::to_owned));
    let mut message = fields.fields("kwargs");
    let kind = match class.as_deref().map(|class| class.trim_end_matches("Chunk")) {
        Some("HumanMessage") => "user",
        Some("AIMessage") => "assistant",
        Some("SystemMessage") => "system",
        Some("ToolMessage" | "FunctionMessage") => "tool",
        _ => "user",
    };
    if !message.has("role") {
        message.put("role", kind.into());
        message.take("type");
    }
    message
}

fn role_of_type(kind: &str) -> &str {
    match kind {
        "human" => "user",
        "ai" | "AIMessageChunk" => "assistant",
        kind => kind,
    }
}

/// The parts of a `content`: a text, or a list of blocks.
pub(crate) fn content_parts(content: Value) -> Vec<Part> {
    match content {
        Value::Null => Vec::new(),
        Value::String(text) => vec![Part::text(text)],
        Value::Array(blocks) => {
            blocks.into_iter().filter(|block| !block.is_null()).map(block_part).collect()
        }
        value => vec![block_part(value)],
    }
}

fn block_part(value: Value) -> Part {
    match value {
        Value::String(text) => Part::text(text),
        value => block(value),
    }
}

/// A part that is in the schema already, or a block of an API.
pub(crate) fn schema_part(value: Value) -> Part {
    let value = match value {
        Value::Object(mut fields) => {
            if fields.get("type").is_some_and(|kind| kind == "tool_call_response")
                && !fields.contains_key("response")
                && let Some(result) = fields.shift_remove("result")
            {
                // The name of earlier versions of the conventions.
                fields.insert("response".to_owned(), result);
            }
            Value::Object(fields)
        }
        Value::String(text) => return Part::text(text),
        value => return Part::other(value),
    };
    if !value["type"].is_string() {
        return block(value);
    }
    match Part::from_value(value) {
        Some(mut part) => {
            match &mut part.kind {
                PartKind::ToolCall { arguments, .. } => {
                    *arguments = arguments.take().map(structured).filter(|value| !value.is_null());
                }
                PartKind::Unknown { .. } => return block(part.to_value()),
                _ => {}
            }
            part
        }
        None => Part::other(Value::Null),
    }
}

/// A call of the OpenAI API: `{"id", "type": "function", "function": {"name", "arguments"}}`; of LangChain:
/// `{"id", "name", "args"}`.
fn tool_call(call: Value) -> Part {
    let mut fields = Fields::new(call);
    let kind = fields.text("type");
    if kind.as_deref().is_some_and(|kind| kind != "function" && kind != "tool_call") {
        fields.put("type", kind.into());
        return other(fields.rest());
    }
    // Streamed calls have an index, which says nothing that their order does not.
    fields.take("index");
    let id = fields.text("id");
    let mut function = fields.fields("function");
    let name = function.text("name").or_else(|| fields.text("name"));
    let arguments = function.take("arguments").or_else(|| fields.take("args"));
    let arguments = arguments.or_else(|| fields.take("arguments"));
    fields.put_rest("function", function);
    tool_call_part(id, name.unwrap_or_default(), arguments, fields.rest())
}

/// A system prompt: a text, or a list of blocks.
pub(crate) fn system(content: Value) -> Option<Message> {
    let parts = match content {
        Value::String(text) => vec![Part::text(text)],
        Value::Array(parts) => parts.into_iter().map(schema_part).collect(),
        value if is_empty(&value) => Vec::new(),
        value => vec![block(value)],
    };
    (!parts.is_empty()).then(|| Message::new("system", parts))
}

/// What the schema has no place for.
pub(crate) fn other(fields: Map<String, Value>) -> Part {
    Part::other(Value::Object(fields))
}

#[cfg(test)]
mod tests;
