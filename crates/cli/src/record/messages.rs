//! Chat messages in the schema of OpenTelemetry's conventions for generative AI: a list of objects with
//! `role` and `parts`.
//!
//! Reads messages of the OpenAI and Anthropic APIs, and those that are in the schema already. What has no
//! place in the schema becomes a part of the type `attestry.other`, so that nothing is dropped.

use serde_json::{Map, Value, json};

use super::exact;

/// The messages in `value`: a list of messages, or one message. `None` if it is neither.
pub(super) fn convert(value: &Value) -> Option<Value> {
    match value {
        Value::Array(messages) if !messages.is_empty() => {
            messages.iter().map(message).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Value::Object(_) => Some(vec![message(value)?].into()),
        _ => None,
    }
}

fn message(value: &Value) -> Option<Value> {
    let fields = value.as_object()?;
    let role = fields.get("role")?.as_str()?;
    let has = |key: &str| fields.contains_key(key);
    if !(has("content") || has("parts") || has("tool_calls")) {
        return None;
    }
    let mut parts = Vec::new();
    let mut message = Map::new();
    message.insert("role".to_owned(), role.into());
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("role", _) | (_, Value::Null) => {}
            ("name" | "finish_reason", Value::String(_)) => {
                message.insert(key.clone(), value.clone());
            }
            // In the schema already.
            ("parts", Value::Array(given)) => parts.extend(given.iter().cloned()),
            ("tool_call_id", _) if role == "tool" && has("content") => {}
            ("content", content) if role == "tool" => {
                let id = fields.get("tool_call_id").cloned().unwrap_or_default();
                parts.push(tool_response(&id, content));
            }
            ("content", Value::String(text)) => parts.push(text_part(text)),
            ("content", Value::Array(blocks)) => parts.extend(blocks.iter().map(block)),
            ("reasoning_content", Value::String(text)) => {
                parts.push(json!({"type": "reasoning", "content": text}));
            }
            ("tool_calls", Value::Array(calls)) => parts.extend(calls.iter().map(tool_call)),
            (_, value) => parts.push(other(&json!({ key.as_str(): value }))),
        }
    }
    message.insert("parts".to_owned(), parts.into());
    Some(message.into())
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "content": text})
}

fn other(value: &Value) -> Value {
    json!({"type": "attestry.other", "value": value})
}

fn tool_response(id: &Value, response: &Value) -> Value {
    let mut part = json!({"type": "tool_call_response", "response": response});
    if !id.is_null() {
        part["id"] = id.clone();
    }
    part
}

/// A call of the OpenAI API: `{"id", "type": "function", "function": {"name", "arguments"}}`.
fn tool_call(call: &Value) -> Value {
    let function = &call["function"];
    let (Some(name), Some(fields)) = (function["name"].as_str(), call.as_object()) else {
        return other(call);
    };
    let known = |object: &Value, keys: &[&str]| {
        object
            .as_object()
            .is_some_and(|object| object.keys().all(|key| keys.contains(&key.as_str())))
    };
    let is_function = fields.get("type").is_none_or(|kind| kind == "function");
    // Streamed calls have an index, which says nothing that their order does not.
    if !is_function
        || !known(call, &["id", "type", "index", "function"])
        || !known(function, &["name", "arguments"])
    {
        return other(call);
    }
    let id = fields.get("id").cloned().unwrap_or_default();
    tool_call_part(&id, name, &function["arguments"])
}

/// `arguments` may be JSON as text: it is parsed, so that both spellings give one hash.
fn tool_call_part(id: &Value, name: &str, arguments: &Value) -> Value {
    let parsed = arguments.as_str().and_then(|text| exact::parse(text).ok());
    let arguments = parsed.unwrap_or_else(|| arguments.clone());
    let mut part = json!({"type": "tool_call", "name": name});
    if !id.is_null() {
        part["id"] = id.clone();
    }
    if !arguments.is_null() {
        part["arguments"] = arguments;
    }
    part
}

/// A part of a message's `content`. One with fields that the schema has no place for is kept whole.
fn block(block: &Value) -> Value {
    converted(block).unwrap_or_else(|| match block {
        Value::String(text) => text_part(text),
        block => other(block),
    })
}

fn converted(block: &Value) -> Option<Value> {
    let fields = block.as_object()?;
    let only =
        |keys: &[&str]| fields.keys().all(|key| key == "type" || keys.contains(&key.as_str()));
    match fields.get("type")?.as_str()? {
        "text" | "input_text" | "output_text" if only(&["text"]) => {
            Some(text_part(fields.get("text")?.as_str()?))
        }
        "thinking" if only(&["thinking"]) => {
            Some(json!({"type": "reasoning", "content": fields.get("thinking")?.as_str()?}))
        }
        "image_url" if only(&["image_url"]) => {
            let image = fields.get("image_url")?.as_object().filter(|image| image.len() == 1)?;
            Some(image_at(image.get("url")?.as_str()?))
        }
        "image" if only(&["source"]) => {
            let source = fields.get("source")?;
            match source["type"].as_str()? {
                "url" => Some(image_at(source["url"].as_str()?)),
                "base64" => {
                    Some(blob("image", source["media_type"].as_str()?, source["data"].as_str()?))
                }
                _ => None,
            }
        }
        "input_audio" if only(&["input_audio"]) => {
            let audio = fields.get("input_audio")?;
            let format = audio["format"].as_str()?;
            Some(blob("audio", &format!("audio/{format}"), audio["data"].as_str()?))
        }
        "tool_use" if only(&["id", "name", "input"]) => {
            Some(tool_call_part(fields.get("id")?, fields.get("name")?.as_str()?, &block["input"]))
        }
        "tool_result" if only(&["tool_use_id", "content"]) => {
            Some(tool_response(fields.get("tool_use_id")?, &block["content"]))
        }
        _ => None,
    }
}

/// An image by reference, or the image itself if `url` is a data URL.
fn image_at(url: &str) -> Value {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((mime_type, content)) => blob("image", mime_type, content),
        None => json!({"type": "uri", "modality": "image", "uri": url}),
    }
}

fn blob(modality: &str, mime_type: &str, content: &str) -> Value {
    json!({"type": "blob", "modality": modality, "mime_type": mime_type, "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;

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
            {"role": "assistant", "parts": [
                {"type": "text", "content": "A cat."},
                {"type": "attestry.other", "value": {"annotations": [1]}}
            ]}
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
    fn unknown_blocks_are_kept_whole() {
        let block = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        let message = convert(&json!({"role": "user", "content": [block.clone(), "b"]})).unwrap();
        let parts = &message[0]["parts"];
        assert_eq!(parts[0], json!({"type": "attestry.other", "value": block}));
        assert_eq!(parts[1], json!({"type": "text", "content": "b"}));
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
