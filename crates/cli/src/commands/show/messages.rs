//! Content as chat messages: `messages/v1`, and the forms that programs store as they are (OpenAI,
//! Anthropic). Whatever is not recognised is shown as it is.

use attestry::messages::{self, PartKind};
use attestry_genai::messages_from_json;
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
    match value.and_then(messages_from_json) {
        Some(messages) => messages.0.into_iter().map(message).collect(),
        None => {
            vec![Message { role: label.to_owned(), parts: vec![Part::Text(content.to_owned())] }]
        }
    }
}

fn message(message: messages::Message) -> Message {
    let mut parts: Vec<_> = message.parts.into_iter().map(part).collect();
    parts.extend(message.extra.iter().map(|(key, value)| labelled(key, &plain(value))));
    let name = message.name.map(|name| format!(" ({name})")).unwrap_or_default();
    Message { role: message.role + &name, parts }
}

fn part(part: messages::Part) -> Part {
    match part.kind {
        PartKind::Text { content } => Part::Text(content),
        PartKind::Reasoning { content } => labelled("reasoning", &content),
        PartKind::ToolCall { id, name, arguments } => {
            let id = id.map(|id| format!(" [{id}]")).unwrap_or_default();
            let arguments = arguments.as_ref().map(plain).unwrap_or_default();
            labelled("tool call", &format!("{name}({arguments}){id}"))
        }
        PartKind::ToolCallResponse { id, response } => {
            labelled("tool result", &format!("{} {}", id.unwrap_or_default(), plain(&response)))
        }
        // Kind, size and source, never the bytes.
        PartKind::Blob { modality, mime_type, content } => {
            media(&modality, mime_type, size(&content))
        }
        PartKind::File { modality, mime_type, file_id } => media(&modality, mime_type, file_id),
        PartKind::Uri { modality, mime_type, uri } => media(&modality, mime_type, uri),
        PartKind::Other { value } => other(&value),
        _ => other(&part.to_value()),
    }
}

fn media(modality: &str, mime_type: Option<String>, source: String) -> Part {
    let facts: Vec<_> = mime_type.into_iter().chain([source]).collect();
    labelled(modality, &facts.join(", "))
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
                "user: What?<image: image/png, about 6 bytes>\n\
                 assistant: <tool call: f({\"x\":1}) [c2]>\n\
                 tool: <tool result: c2 done>",
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
