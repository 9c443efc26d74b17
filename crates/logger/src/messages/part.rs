//! The parts that a message consists of.

use std::fmt;

use serde_json::{Map, Value};

use super::view::{Fields, View};

/// The type of a part that holds what has no place in the schema.
const OTHER: &str = "attestry.other";

/// A part of a message: a text, a tool call, an image.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Its type, with the fields of the schema.
    pub kind: PartKind,
    /// All other fields.
    pub extra: Map<String, Value>,
}

/// The type of a [`Part`], and the fields that the schema gives it. The name of the type in JSON is in
/// parentheses.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartKind {
    /// Text (`text`).
    Text {
        /// The text.
        content: String,
    },
    /// Text that the model produced before its answer (`reasoning`).
    Reasoning {
        /// The text.
        content: String,
    },
    /// The model asks for a call of a tool (`tool_call`).
    ToolCall {
        /// Identifies the call in the response.
        id: Option<String>,
        /// The tool.
        name: String,
        /// Its arguments, usually an object.
        arguments: Option<Value>,
    },
    /// What a tool returned (`tool_call_response`).
    ToolCallResponse {
        /// The id of the call.
        id: Option<String>,
        /// The result.
        response: Value,
    },
    /// Media in the message (`blob`).
    Blob {
        /// `image`, `audio`, `video`, or another.
        modality: String,
        /// The IANA media type, such as `image/png`.
        mime_type: Option<String>,
        /// The bytes in base64.
        content: String,
    },
    /// Media that was uploaded before (`file`).
    File {
        /// As of `Blob`.
        modality: String,
        /// As of `Blob`.
        mime_type: Option<String>,
        /// The provider's id of the file.
        file_id: String,
    },
    /// Media at an address (`uri`).
    Uri {
        /// As of `Blob`.
        modality: String,
        /// As of `Blob`.
        mime_type: Option<String>,
        /// The address.
        uri: String,
    },
    /// A value that has no place in the schema (`attestry.other`).
    Other {
        /// The value.
        value: Value,
    },
    /// Another type, or one of the above with fields of other types. Its fields are in
    /// [`Part::extra`].
    Unknown {
        /// The name of the type.
        name: String,
    },
}

impl From<PartKind> for Part {
    fn from(kind: PartKind) -> Self {
        Self { kind, extra: Map::new() }
    }
}

impl Part {
    /// A text.
    #[must_use]
    pub fn text(content: impl Into<String>) -> Self {
        PartKind::Text { content: content.into() }.into()
    }

    /// Text that the model produced before its answer.
    #[must_use]
    pub fn reasoning(content: impl Into<String>) -> Self {
        PartKind::Reasoning { content: content.into() }.into()
    }

    /// The model asks for a call of the tool `name`.
    #[must_use]
    pub fn tool_call(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        let (id, name) = (Some(id.into()), name.into());
        PartKind::ToolCall { id, name, arguments: Some(arguments) }.into()
    }

    /// What the tool call `id` returned.
    #[must_use]
    pub fn tool_call_response(id: impl Into<String>, response: impl Into<Value>) -> Self {
        PartKind::ToolCallResponse { id: Some(id.into()), response: response.into() }.into()
    }

    /// A value that has no place in the schema.
    #[must_use]
    pub fn other(value: impl Into<Value>) -> Self {
        PartKind::Other { value: value.into() }.into()
    }

    /// A part from a JSON value: an object with a text as its `type`. `None` if it is something else.
    #[must_use]
    pub fn from_value(value: Value) -> Option<Self> {
        let Value::Object(mut extra) = value else { return None };
        let name = take_text(&mut extra, "type")?;
        let kind = take_kind(&name, &mut extra).unwrap_or(PartKind::Unknown { name });
        Some(Self { kind, extra })
    }

    /// The part as a JSON value; integers as in [`Messages::canonical`](super::Messages::canonical).
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.view().into_value()
    }

    pub(crate) fn view(&self) -> View<'_> {
        let mut fields = Fields::of(&self.extra);
        let mut set = |key, value| fields.set(key, value);
        set("type", View::Text(self.kind.name()));
        let mut optional = None;
        match &self.kind {
            PartKind::Text { content } | PartKind::Reasoning { content } => {
                set("content", View::Text(content));
            }
            PartKind::ToolCall { id, name, arguments } => {
                set("name", View::Text(name));
                arguments.iter().for_each(|arguments| set("arguments", View::Value(arguments)));
                optional = id.as_ref().map(|id| ("id", id));
            }
            PartKind::ToolCallResponse { id, response } => {
                set("response", View::Value(response));
                optional = id.as_ref().map(|id| ("id", id));
            }
            PartKind::Blob { modality, mime_type, content: data }
            | PartKind::File { modality, mime_type, file_id: data }
            | PartKind::Uri { modality, mime_type, uri: data } => {
                set("modality", View::Text(modality));
                set(self.kind.data_key(), View::Text(data));
                optional = mime_type.as_ref().map(|mime_type| ("mime_type", mime_type));
            }
            PartKind::Other { value } => set("value", View::Value(value)),
            PartKind::Unknown { .. } => {}
        }
        if let Some((key, text)) = optional {
            set(key, View::Text(text));
        }
        let value = View::Fields(fields);
        if value.is_exact() { value } else { View::Owned(other_json(value.into_value())) }
    }
}

impl PartKind {
    /// The name of the type in JSON.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Text { .. } => "text",
            Self::Reasoning { .. } => "reasoning",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolCallResponse { .. } => "tool_call_response",
            Self::Blob { .. } => "blob",
            Self::File { .. } => "file",
            Self::Uri { .. } => "uri",
            Self::Other { .. } => OTHER,
            Self::Unknown { name } => name,
        }
    }

    /// The key of the media itself.
    fn data_key(&self) -> &'static str {
        match self {
            Self::File { .. } => "file_id",
            Self::Uri { .. } => "uri",
            _ => "content",
        }
    }
}

/// Takes the fields of the type `name` out of `fields`; `None` if one is missing or of another type.
fn take_kind(name: &str, fields: &mut Map<String, Value>) -> Option<PartKind> {
    let required: &[&str] = match name {
        "text" | "reasoning" => &["content"],
        "tool_call" => &["name"],
        "blob" => &["modality", "content"],
        "file" => &["modality", "file_id"],
        "uri" => &["modality", "uri"],
        _ => &[],
    };
    // Before anything is taken out.
    if !required.iter().all(|key| fields.get(*key).is_some_and(Value::is_string)) {
        return None;
    }
    let mut optional = |key| take_text(fields, key);
    let mut text = |key| optional(key).unwrap_or_default();
    Some(match name {
        "text" => PartKind::Text { content: text("content") },
        "reasoning" => PartKind::Reasoning { content: text("content") },
        "tool_call" => {
            let (name, id) = (text("name"), optional("id"));
            PartKind::ToolCall { id, name, arguments: fields.shift_remove("arguments") }
        }
        "tool_call_response" => {
            let response = fields.shift_remove("response")?;
            PartKind::ToolCallResponse { id: take_text(fields, "id"), response }
        }
        "blob" => {
            let (modality, content) = (text("modality"), text("content"));
            PartKind::Blob { modality, mime_type: optional("mime_type"), content }
        }
        "file" => {
            let (modality, file_id) = (text("modality"), text("file_id"));
            PartKind::File { modality, mime_type: optional("mime_type"), file_id }
        }
        "uri" => {
            let (modality, uri) = (text("modality"), text("uri"));
            PartKind::Uri { modality, mime_type: optional("mime_type"), uri }
        }
        OTHER => PartKind::Other { value: fields.shift_remove("value")? },
        _ => return None,
    })
}

/// Takes out the text `key`. A value of another type stays.
pub(super) fn take_text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key)?.as_str()?;
    match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A part that holds `value` as text, because a number of it would be rounded.
pub(super) fn other_json(mut value: Value) -> Value {
    // The text must not depend on the order of the keys.
    value.sort_all_objects();
    Map::from_iter([
        ("type".to_owned(), OTHER.into()),
        ("json".to_owned(), value.to_string().into()),
    ])
    .into()
}

/// The type, no content.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Debug for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
