//! Messages in the schema that consist of text, which most do.

use std::borrow::Cow;

use attestry_logger::messages::{Message, Messages, Part};

use crate::object::Object;

/// A message without any other field.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainMessage<'a> {
    role: String,
    #[serde(borrow)]
    parts: Vec<Object<PlainPart<'a>>>,
    name: Option<String>,
    finish_reason: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPart<'a> {
    // Not an enum: serde reads `{"text": null}` as a variant, too.
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    content: String,
}

/// The messages that the JSON `text` is, without a [`Value`](serde_json::Value) between. `None` if they have anything but a
/// role and texts: then they may still be messages.
pub(crate) fn plain_messages(text: &str) -> Option<Messages> {
    let messages: Vec<Object<PlainMessage<'_>>> = serde_json::from_str(text).ok()?;
    if messages.is_empty() {
        return None;
    }
    messages.into_iter().map(|Object(plain)| message(plain)).collect()
}

fn message(plain: PlainMessage<'_>) -> Option<Message> {
    if plain.role.is_empty() {
        return None;
    }
    let part = |Object(part): Object<PlainPart<'_>>| match &*part.r#type {
        "text" => Some(Part::text(part.content)),
        "reasoning" => Some(Part::reasoning(part.content)),
        _ => None,
    };
    let parts: Vec<Part> = plain.parts.into_iter().map(part).collect::<Option<_>>()?;
    let mut message = Message::new(plain.role, parts);
    message.name = plain.name.filter(|name| !name.is_empty());
    message.finish_reason = plain.finish_reason.filter(|reason| !reason.is_empty());
    Some(message)
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
            // What serde reads as a struct or a variant, too.
            json!([["user", [{"type": "text", "content": "a"}], null, null]]),
            json!([{"role": "user", "parts": [["text", "a"]]}]),
            json!([{"role": "user", "parts": [{"type": {"text": null}, "content": "a"}]}]),
        ] {
            assert!(plain_messages(&other.to_string()).is_none(), "{other}");
        }
        assert!(plain_messages(r#"[{"role":"a","role":"b","parts":[]}]"#).is_none());
    }
}
