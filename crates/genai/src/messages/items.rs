//! Items of the Responses API: messages, reasoning, calls of tools and their results in one flat list.

use attestry_logger::messages::{Message, Messages, Part, PartKind};
use serde_json::Value;

use super::block::is_blank;
use super::{content_parts, message_of, other, tool_call_part};
use crate::json::Fields;

/// The messages of a list of items. Items of the assistant that follow one another are one message, as in the
/// other APIs.
pub(crate) fn items(list: Vec<Value>) -> Messages {
    let mut messages: Vec<Message> = Vec::new();
    for item in list {
        let (role, parts) = item_parts(item);
        match messages.last_mut() {
            Some(last) if last.role == role && role == "assistant" => last.parts.extend(parts),
            _ => messages.push(Message::new(role, parts)),
        }
    }
    Messages(messages)
}

fn item_parts(item: Value) -> (String, Vec<Part>) {
    let assistant = |parts| ("assistant".to_owned(), parts);
    let Value::Object(original) = item else {
        return ("user".to_owned(), content_parts(item));
    };
    let mut fields = Fields::new(Value::Object(original.clone()));
    let kind = fields.text("type").unwrap_or_default();
    // Says nothing about the content.
    let status = fields.text("status").filter(|status| status != "completed");
    match kind.as_str() {
        "message" | "" if fields.has("role") => {
            // Of the item, not of the message.
            fields.take("id");
            let Some(message) = message_of(fields) else { return assistant(vec![other(original)]) };
            (message.role, message.parts)
        }
        "function_call" | "custom_tool_call" | "mcp_call" => {
            let id = fields.text("call_id").or_else(|| fields.text("id"));
            let name = fields.text("name").unwrap_or_default();
            let arguments = fields.take("arguments").or_else(|| fields.take("input"));
            fields.take("id");
            if let Some(status) = status {
                fields.put("status", status.into());
            }
            assistant(vec![tool_call_part(id, name, arguments, fields.rest())])
        }
        "function_call_output" | "custom_tool_call_output" => {
            let id = fields.text("call_id");
            let response = fields.take("output").unwrap_or_default();
            let part = PartKind::ToolCallResponse { id, response };
            ("tool".to_owned(), vec![part.into()])
        }
        "reasoning" => assistant(reasoning(fields)),
        _ => assistant(vec![other(original)]),
    }
}

fn reasoning(mut fields: Fields) -> Vec<Part> {
    let mut parts = Vec::new();
    for key in ["content", "summary"] {
        for part in content_parts(fields.take(key).unwrap_or_default()) {
            match part.kind {
                PartKind::Text { content } => parts.push(Part::reasoning(content)),
                _ => parts.push(part),
            }
        }
    }
    fields.take("id");
    let rest = fields.rest();
    if !rest.is_empty() {
        parts.push(other(rest));
    }
    parts.retain(|part| !is_blank(part));
    parts
}
