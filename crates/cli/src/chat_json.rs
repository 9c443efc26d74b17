//! Chat messages as programs write them: of the OpenAI and Anthropic APIs, or in the schema of
//! OpenTelemetry's conventions already.
//!
//! What has no place in the schema becomes a part of the type `attestry.other`, and other fields of a
//! message or part are kept, so that nothing is dropped.

use attestry::messages::{Message, Messages, Part, PartKind, canonical_json};
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// The messages in `value`: a list of messages, or one message. `None` if it is neither.
pub(crate) fn convert(value: &Value) -> Option<Messages> {
    match value {
        Value::Array(messages) if !messages.is_empty() => messages.iter().map(message).collect(),
        Value::Object(_) => Some(Messages(vec![message(value)?])),
        _ => None,
    }
}

fn message(value: &Value) -> Option<Message> {
    let mut fields = without_nulls(value)?;
    let role = take_text(&mut fields, "role")?;
    if ["content", "parts", "tool_calls"].iter().all(|key| value.get(key).is_none()) {
        return None;
    }
    // In this order whatever the order of the fields is: the hash must not depend on it.
    let mut parts = Vec::new();
    if let Some(text) = take_text(&mut fields, "reasoning_content") {
        parts.push(Part::reasoning(text));
    }
    match fields.shift_remove("content") {
        Some(response) if role == "tool" => {
            let id = take_text(&mut fields, "tool_call_id");
            parts.push(PartKind::ToolCallResponse { id, response }.into());
        }
        Some(Value::String(text)) => parts.push(Part::text(text)),
        Some(Value::Array(blocks)) => parts.extend(blocks.into_iter().map(block)),
        Some(content) => parts.push(Part::other(json!({"content": content}))),
        None => {}
    }
    let in_schema = |value: Value| Part::from_value(value.clone()).unwrap_or(Part::other(value));
    parts.extend(take_list(&mut fields, "parts").into_iter().map(in_schema));
    parts.extend(take_list(&mut fields, "tool_calls").iter().map(tool_call));

    let mut message = Message::new(role, parts);
    message.name = take_text(&mut fields, "name");
    message.finish_reason = take_text(&mut fields, "finish_reason");
    message.extra = fields;
    Some(message)
}

/// The fields of an object. Programs write `null` for a field that they do not set.
fn without_nulls(value: &Value) -> Option<Fields> {
    let fields = value.as_object()?.iter().filter(|(_, value)| !value.is_null());
    Some(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Takes out the text `key`. A value of another type stays.
fn take_text(fields: &mut Fields, key: &str) -> Option<String> {
    let text = fields.get(key)?.as_str()?.to_owned();
    fields.shift_remove(key);
    Some(text)
}

/// Takes out the list `key`. A value of another type stays.
fn take_list(fields: &mut Fields, key: &str) -> Vec<Value> {
    match fields.get_mut(key) {
        Some(Value::Array(items)) => {
            let items = std::mem::take(items);
            fields.shift_remove(key);
            items
        }
        _ => Vec::new(),
    }
}

/// A call of the OpenAI API: `{"id", "type": "function", "function": {"name", "arguments"}}`.
fn tool_call(call: &Value) -> Part {
    let converted = || {
        let mut fields = without_nulls(call)?;
        let Some(Value::Object(mut function)) = fields.shift_remove("function") else {
            return None;
        };
        if fields.shift_remove("type").is_some_and(|kind| kind != "function") {
            return None;
        }
        // Streamed calls have an index, which says nothing that their order does not.
        fields.shift_remove("index");
        let name = take_text(&mut function, "name")?;
        let arguments = function.shift_remove("arguments");
        let id = take_text(&mut fields, "id");
        if !function.is_empty() {
            return None;
        }
        with_extra(tool_call_kind(id, name, arguments), fields)
    };
    converted().unwrap_or_else(|| Part::other(call.clone()))
}

/// `arguments` may be JSON as text: it is parsed, so that both spellings give one hash.
fn tool_call_kind(id: Option<String>, name: String, arguments: Option<Value>) -> PartKind {
    let parsed = arguments.as_ref().and_then(Value::as_str);
    let parsed = parsed.and_then(|text| canonical_json::parse(text).ok());
    let arguments = parsed.or(arguments).filter(|arguments| !arguments.is_null());
    PartKind::ToolCall { id, name, arguments }
}

/// A part of a message's `content`.
fn block(block: Value) -> Part {
    match block {
        Value::String(text) => Part::text(text),
        block => converted(&block).unwrap_or_else(|| Part::other(block)),
    }
}

fn converted(block: &Value) -> Option<Part> {
    let mut fields = without_nulls(block)?;
    let kind = match take_text(&mut fields, "type")?.as_str() {
        "text" | "input_text" | "output_text" => {
            PartKind::Text { content: take_text(&mut fields, "text")? }
        }
        "thinking" => PartKind::Reasoning { content: take_text(&mut fields, "thinking")? },
        "image_url" => {
            let image = fields.shift_remove("image_url")?;
            let image = image.as_object().filter(|image| image.len() == 1)?;
            image_at(image.get("url")?.as_str()?)
        }
        "image" => {
            let source = fields.shift_remove("source")?;
            match source["type"].as_str()? {
                "url" => image_at(source["url"].as_str()?),
                "base64" => blob("image", source["media_type"].as_str()?, source["data"].as_str()?),
                _ => return None,
            }
        }
        "input_audio" => {
            let audio = fields.shift_remove("input_audio")?;
            let format = audio["format"].as_str()?;
            blob("audio", &format!("audio/{format}"), audio["data"].as_str()?)
        }
        "tool_use" => {
            let (id, name) = (take_text(&mut fields, "id"), take_text(&mut fields, "name")?);
            tool_call_kind(id, name, fields.shift_remove("input"))
        }
        "tool_result" => {
            let id = take_text(&mut fields, "tool_use_id");
            let response = fields.shift_remove("content").unwrap_or_default();
            PartKind::ToolCallResponse { id, response }
        }
        _ => return None,
    };
    with_extra(kind, fields)
}

/// `kind` with other fields; `None` if one of them has the name of a field of the schema.
fn with_extra(kind: PartKind, extra: Fields) -> Option<Part> {
    let mut part = Part::from(kind);
    part.extra = extra;
    let is_kept =
        part.extra.is_empty() || Part::from_value(part.to_value()).as_ref() == Some(&part);
    is_kept.then_some(part)
}

/// An image by reference, or the image itself if `url` is a data URL.
fn image_at(url: &str) -> PartKind {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((mime_type, content)) => blob("image", mime_type, content),
        None => {
            PartKind::Uri { modality: "image".to_owned(), mime_type: None, uri: url.to_owned() }
        }
    }
}

fn blob(modality: &str, mime_type: &str, content: &str) -> PartKind {
    let [modality, content] = [modality, content].map(str::to_owned);
    PartKind::Blob { modality, mime_type: Some(mime_type.to_owned()), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: &Value) -> Option<Value> {
        super::convert(value).map(|messages| messages.to_value())
    }

    #[test]
    fn openai_messages_become_parts() {
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"x\": 1}"}}
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "assistant", "content": "A cat.", "refusal": null, "annotations": [1]}
        ]);
        let expected = json!([
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "name": "ann", "parts": [
                {"type": "text", "content": "What is this?"},
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
            ]},
            {"role": "assistant", "parts": [
                {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"x": 1}}
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]},
            {"role": "assistant", "annotations": [1], "parts": [{"type": "text", "content": "A cat."}]}
        ]);
        assert_eq!(convert(&messages), Some(expected.clone()));
        assert_eq!(convert(&expected), Some(expected), "the schema itself is kept");
    }

    #[test]
    fn anthropic_blocks_become_the_same_parts() {
        let openai = json!([{"role": "assistant", "tool_calls": [
            {"id": "c1", "function": {"name": "look", "arguments": "{\"x\":1}"}}]}]);
        let anthropic = json!([{"role": "assistant", "content": [
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"x": 1}}]}]);
        assert_eq!(convert(&anthropic), convert(&openai));
    }

    #[test]
    fn what_the_schema_has_no_place_for_is_kept() {
        let parts = |block: Value| {
            convert(&json!({"role": "user", "content": [block]})).unwrap()[0]["parts"][0].clone()
        };
        for (block, part) in [
            (json!("b"), json!({"type": "text", "content": "b"})),
            (
                json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
                json!({"type": "text", "content": "a", "cache_control": {"type": "ephemeral"}}),
            ),
            (
                json!({"type": "text", "text": "a", "cache_control": null}),
                json!({"type": "text", "content": "a"}),
            ),
            (
                json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
                json!({"type": "reasoning", "content": "hm", "signature": "s"}),
            ),
            (
                json!({"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": true}),
                json!({"type": "tool_call_response", "id": "t", "response": "no", "is_error": true}),
            ),
        ] {
            assert_eq!(parts(block), part);
        }
        for block in [
            json!({"type": "text", "text": "a", "content": "b"}),
            json!({"type": "text", "text": 5}),
            json!({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}),
            json!({"type": "document", "source": {}}),
            json!({"text": "a"}),
            json!(5),
        ] {
            assert_eq!(parts(block.clone()), json!({"type": "attestry.other", "value": block}));
        }
    }

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let fields = [
            ("role", json!("assistant")),
            ("content", json!("A cat.")),
            ("reasoning_content", json!("hm")),
            ("tool_calls", json!([{"id": "c", "function": {"name": "f", "arguments": "{}"}}])),
        ];
        let owned = |(key, value): (&str, Value)| (key.to_owned(), value);
        let forward = Value::from_iter(fields.clone().map(owned));
        let backward = Value::from_iter(fields.into_iter().rev().map(owned));
        let canonical = |value: &Value| super::convert(value).unwrap().canonical();
        assert_eq!(canonical(&forward), canonical(&backward));
    }

    #[test]
    fn other_values_are_no_messages() {
        for value in
            [json!([]), json!([1]), json!({"a": 1}), json!({"role": "user"}), json!([{"role": 1}])]
        {
            assert_eq!(convert(&value), None, "{value}");
        }
    }
}
