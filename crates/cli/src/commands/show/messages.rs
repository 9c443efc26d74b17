//! Content as chat messages: `messages/v1`, and the forms that programs store as they are (OpenAI,
//! Anthropic). Whatever is not recognised is shown as it is.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// Named rather than shown: a tool call, an image.
    Labelled {
        label: String,
        text: String,
    },
}

/// The messages in `content`; a text that is none is one message of the role `label`.
pub(super) fn parse(label: &str, content: &str) -> Vec<Message> {
    let is_json = content.trim_start().starts_with(['[', '{']);
    let value = is_json.then(|| serde_json::from_str::<Value>(content).ok()).flatten();
    let messages = match &value {
        Some(Value::Array(messages)) => messages.iter().map(message).collect(),
        Some(value) => message(value).map(|message| vec![message]),
        None => None,
    };
    let text = || Message { role: label.to_owned(), parts: vec![Part::Text(content.to_owned())] };
    messages.filter(|messages: &Vec<_>| !messages.is_empty()).unwrap_or_else(|| vec![text()])
}

fn message(value: &Value) -> Option<Message> {
    let role = value["role"].as_str()?.to_owned();
    let mut parts = Vec::new();
    for field in ["parts", "content"] {
        match &value[field] {
            Value::String(text) => parts.push(Part::Text(text.clone())),
            Value::Array(values) => parts.extend(values.iter().map(part)),
            _ => {}
        }
    }
    if let Some(id) = value["tool_call_id"].as_str() {
        parts.insert(0, labelled("tool result", id));
    }
    if let Value::Array(calls) = &value["tool_calls"] {
        parts.extend(calls.iter().map(tool_call));
    }
    Some(Message { role, parts })
}

fn part(value: &Value) -> Part {
    let text = |names: &[&str]| names.iter().find_map(|name| value[name].as_str());
    if let Value::String(text) = value {
        return Part::Text(text.clone());
    }
    match value["type"].as_str().unwrap_or_default() {
        "text" | "input_text" | "output_text" => text(&["text", "content"])
            .map_or_else(|| other(value), |text| Part::Text(text.to_owned())),
        "reasoning" | "thinking" => {
            labelled("reasoning", text(&["content", "thinking", "text"]).unwrap_or_default())
        }
        "tool_call" | "tool_use" | "function_call" => tool_call(value),
        "tool_call_response" | "tool_result" => {
            let id = text(&["id", "tool_use_id", "tool_call_id"]).unwrap_or_default();
            let names = ["response", "result", "content", "output"];
            let result = names.iter().map(|name| &value[name]).find(|result| !result.is_null());
            labelled("tool result", &format!("{id} {}", plain(result.unwrap_or(&Value::Null))))
        }
        "blob" | "image" | "audio" | "video" | "image_url" | "input_image" | "input_audio"
        | "uri" | "file" | "document" => media(value),
        _ => other(value),
    }
}

fn tool_call(value: &Value) -> Part {
    let call = if value["function"].is_object() { &value["function"] } else { value };
    let name = call["name"].as_str().unwrap_or("?");
    let arguments = ["arguments", "input"].iter().map(|name| &call[name]).find(|v| !v.is_null());
    let id = ["id", "call_id"].iter().find_map(|name| value[name].as_str());
    let id = id.map(|id| format!(" [{id}]")).unwrap_or_default();
    labelled("tool call", &format!("{name}({}){id}", arguments.map(plain).unwrap_or_default()))
}

/// Kind, size and source, never the bytes.
fn media(value: &Value) -> Part {
    let source = if value["source"].is_object() { &value["source"] } else { value };
    let find = |names: &[&str]| {
        let own = names.iter().find_map(|name| value[name].as_str());
        own.or_else(|| names.iter().find_map(|name| source[name].as_str()))
    };
    let kind = find(&["modality"]).or(value["type"].as_str()).unwrap_or("media");
    let kind = match kind {
        "image_url" | "input_image" => "image",
        "input_audio" => "audio",
        kind => kind,
    };
    let url = find(&["uri", "url", "file_id"]).or(value["image_url"]["url"].as_str());
    let url = url.or(value["image_url"].as_str());
    let mut facts: Vec<String> =
        find(&["mime_type", "media_type"]).iter().map(ToString::to_string).collect();
    if let Some(url) = url {
        match url.strip_prefix("data:").and_then(|data| data.split_once(',')) {
            Some((mime, data)) => facts.extend([mime.to_owned(), size(data)]),
            None => facts.push(url.to_owned()),
        }
    }
    facts.extend(find(&["data", "content"]).map(size));
    labelled(kind, &facts.join(", "))
}

/// Of base64.
fn size(data: &str) -> String {
    format!("about {} bytes", data.len() / 4 * 3)
}

fn other(value: &Value) -> Part {
    labelled(value["type"].as_str().unwrap_or("part"), &value.to_string())
}

fn labelled(label: &str, text: &str) -> Part {
    Part::Labelled { label: label.to_owned(), text: text.trim().to_owned() }
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) if parts.iter().all(|part| part["text"].is_string()) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Labelled { label, text } => format!("<{label}: {text}>"),
        };
        let message = |message: &Message| {
            format!("{}: {}", message.role, message.parts.iter().map(part).collect::<String>())
        };
        parse("input", content).iter().map(message).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn messages_of_all_forms_are_recognised() {
        for (content, expected) in [
            ("plain [text]", "input: plain [text]"),
            ("[1, 2]", "input: [1, 2]"),
            ("[]", "input: []"),
            (r#"{"answer": 4}"#, "input: {\"answer\": 4}"),
            (
                r#"[{"role":"user","parts":[{"type":"text","content":"Hi"},{"type":"uri","modality":"image","mime_type":"image/png","uri":"s3://b/k.png"}]},
                    {"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"weather","arguments":{"city":"Berlin"}}]},
                    {"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"12 C"}]}]"#,
                "user: Hi<image: image/png, s3://b/k.png>\n\
                 assistant: <tool call: weather({\"city\":\"Berlin\"}) [c1]>\n\
                 tool: <tool result: c1 12 C>",
            ),
            (
                r#"[{"role":"user","content":[{"type":"text","text":"What?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAABBBB"}}]},
                    {"role":"assistant","content":null,"tool_calls":[{"id":"c2","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
                    {"role":"tool","tool_call_id":"c2","content":"done"}]"#,
                "user: What?<image: image/png;base64, about 6 bytes>\n\
                 assistant: <tool call: f({\"x\":1}) [c2]>\n\
                 tool: <tool result: c2>done",
            ),
            (
                r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"tool_use","id":"t","name":"g","input":{}},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}},{"type":"odd"}]}"#,
                "assistant: <reasoning: hm><tool call: g({}) [t]><image: image/jpeg, about 3 bytes><odd: {\"type\":\"odd\"}>",
            ),
        ] {
            assert_eq!(shown(content), expected, "{content}");
        }
    }
}
