//! Messages in the schema that consist of text, which most do.

use attestry_logger::messages::{Message, Messages, Part};
use serde::Deserialize;

/// A message without any other field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainMessage {
    role: String,
    parts: Vec<PlainPart>,
    name: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPart {
    r#type: PlainType,
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlainType {
    Text,
    Reasoning,
}

/// The messages that the JSON `text` is, without a [`Value`](serde_json::Value) between. `None` if they have anything but a
/// role and texts: then they may still be messages.
pub(crate) fn plain_messages(text: &str) -> Option<Messages> {
    let messages: Vec<PlainMessage> = serde_json::from_str(text).ok()?;
    if messages.is_empty() || messages.iter().any(|message| message.role.is_empty()) {
        return None;
    }
    Some(messages.into_iter().map(message).collect())
}

fn message(plain: PlainMessage) -> Message {
    let parts = plain.parts.into_iter().map(|part| match part.r#type {
        PlainType::Text => Part::text(part.content),
        PlainType::Reasoning => Part::reasoning(part.content),
    });
    let mut message = Message::new(plain.role, parts);
    message.name = plain.name.filter(|name| !name.is_empty());
    message.finish_reason = plain.finish_reason.filter(|reason| !reason.is_empty());
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::messages_from_json;
    use super::*;

    #[test]
    fn plain_messages_are_those_of_any_messages() {
        for messages in [
            json!([{"role": "user", "parts": [{"type": "text", "content": "a \"b\" \u{e9}"}]}]),
            json!([{"role": "tool", "name": "n", "parts": [{"content": "", "type": "reasoning"}]},
                {"role": "assistant", "parts": [], "name": "", "finish_reason": null}]),
        ] {
            let plain = plain_messages(&messages.to_string());
            assert!(plain.is_some() && plain == messages_from_json(messages), "{plain:?}");
        }
        for other in [
            json!([]),
            json!([{"role": "", "parts": []}]),
            json!([{"role": "user", "parts": [], "content": "a"}]),
            json!([{"role": "user", "parts": [{"type": "text", "content": 1}]}]),
            json!([{"role": "user", "parts": [{"type": "tool_call", "content": ""}]}]),
        ] {
            assert!(plain_messages(&other.to_string()).is_none(), "{other}");
        }
        assert!(plain_messages(r#"[{"role":"a","role":"b","parts":[]}]"#).is_none());
    }
}
