//! Structured content: chat messages in the schema of OpenTelemetry's conventions for generative AI.
//!
//! The same conversation arrives as JSON of several APIs, in any key order and spacing. [`Messages`] is one
//! form for all of them, and [`canonical`](Messages::canonical) is its text, which is what an entry
//! stores and hashes.

pub mod canonical_json;
mod part;
mod record;
mod view;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use self::canonical_json::InvalidContent;
pub use self::part::{Part, PartKind};
use self::view::{Fields, View};

/// The messages of an input or output, oldest first.
///
/// Nothing is lost between text and value: unknown fields and parts are kept.
///
/// ```
/// use attestry_logger::messages::{Message, Messages, Part};
/// use serde_json::json;
///
/// let messages = Messages(vec![
///     Message::new("user", [Part::text("What is the weather in Berlin?")]),
///     Message::new("assistant", [Part::tool_call("c1", "weather", json!({"city": "Berlin"}))]),
/// ]);
/// let text = messages.canonical();
/// assert!(text.starts_with(r#"[{"parts":[{"content":"What is"#));
/// assert_eq!(Messages::parse(&text)?, messages);
/// # Ok::<(), attestry_logger::messages::InvalidContent>(())
/// ```
///
/// Its JSON form is the list of messages. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // A list of messages and nothing else.
pub struct Messages(pub Vec<Message>);

/// One message: a role, and what it consists of.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or another.
    pub role: String,
    /// The name of the participant.
    pub name: Option<String>,
    /// Why the model stopped, in a message of an output.
    pub finish_reason: Option<String>,
    /// The content.
    pub parts: Vec<Part>,
    /// All other fields.
    pub extra: Map<String, Value>,
}

impl Messages {
    /// Parses messages, in any key order and spacing.
    ///
    /// # Errors
    ///
    /// [`InvalidContent::NotMessages`] if it is JSON of another schema; [`InvalidContent::Json`] if it is
    /// not JSON or a key occurs twice; [`InvalidContent::InexactInteger`] if an integer has more than 53
    /// bits.
    pub fn parse(json: &str) -> Result<Self, InvalidContent> {
        Self::from_value(canonical_json::parse(json)?)
    }

    /// Messages from a JSON value: a list of objects with `role` and `parts`.
    ///
    /// # Errors
    ///
    /// [`InvalidContent::NotMessages`] if it is something else.
    pub fn from_value(value: Value) -> Result<Self, InvalidContent> {
        let Value::Array(messages) = value else {
            return Err(InvalidContent::NotMessages { index: None });
        };
        let message = |(index, value)| {
            Message::from_value(value).ok_or(InvalidContent::NotMessages { index: Some(index) })
        };
        messages.into_iter().enumerate().map(message).collect::<Result<_, _>>().map(Self)
    }

    /// The text that an entry stores and hashes: JSON without spaces, keys sorted, as RFC 8785 (JSON
    /// Canonicalization Scheme) defines it.
    ///
    /// Numbers of RFC 8785 are doubles. A part or field with an integer of more than 53 bits becomes a
    /// part of the type `attestry.other` with its JSON as text in the field `json`, so that no digit is
    /// lost.
    #[must_use]
    pub fn canonical(&self) -> String {
        let view = self.view();
        canonical_json::write_sized(&view, view.size())
    }

    /// The messages as a JSON value; integers as in [`canonical`](Self::canonical).
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.view().into_value()
    }

    fn view(&self) -> View<'_> {
        View::List(self.0.iter().map(Message::view).collect())
    }
}

impl Message {
    /// A message of `role` with these parts.
    #[must_use]
    pub fn new(role: impl Into<String>, parts: impl IntoIterator<Item = Part>) -> Self {
        Self {
            role: role.into(),
            name: None,
            finish_reason: None,
            parts: parts.into_iter().collect(),
            extra: Map::new(),
        }
    }

    /// Sets the name of the participant.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets why the model stopped, such as `stop`.
    #[must_use]
    pub fn finish_reason(mut self, reason: impl Into<String>) -> Self {
        self.finish_reason = Some(reason.into());
        self
    }

    fn from_value(value: Value) -> Option<Self> {
        let Value::Object(mut extra) = value else { return None };
        let has_schema = extra.get("role").is_some_and(Value::is_string)
            && extra.get("parts").is_some_and(Value::is_array);
        if !has_schema {
            return None;
        }
        let Some(Value::Array(parts)) = extra.shift_remove("parts") else { return None };
        let parts = parts.into_iter().map(Part::from_value).collect::<Option<_>>()?;
        let role = part::take_text(&mut extra, "role")?;
        let name = part::take_text(&mut extra, "name");
        let finish_reason = part::take_text(&mut extra, "finish_reason");
        Some(Self { role, name, finish_reason, parts, extra })
    }

    pub(crate) fn to_value(&self) -> Value {
        self.view().into_value()
    }

    fn view(&self) -> View<'_> {
        let mut parts: Vec<View<'_>> = self.parts.iter().map(Part::view).collect();
        let mut fields = Fields::default();
        for (key, value) in &self.extra {
            if canonical_json::is_exact(value) {
                fields.add(key, View::Value(value));
            } else {
                let field = Map::from_iter([(key.clone(), value.clone())]);
                parts.push(View::Owned(part::other_json(field.into())));
            }
        }
        for (key, value) in [("name", &self.name), ("finish_reason", &self.finish_reason)] {
            if let Some(value) = value {
                fields.set(key, View::Text(value));
            }
        }
        fields.set("role", View::Text(&self.role));
        fields.set("parts", View::List(parts));
        View::Fields(fields)
    }
}

impl FromIterator<Message> for Messages {
    fn from_iter<I: IntoIterator<Item = Message>>(messages: I) -> Self {
        Self(messages.into_iter().collect())
    }
}

impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Roles and types, no content.
impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
