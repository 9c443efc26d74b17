//! One interaction with an AI system, before it is recorded.

use std::borrow::Cow;
use std::time::Duration;

use attestry_core::{DecodeError, EntryId, OptionalText, Timestamp, metadata};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Input, output and metadata of one interaction: the parameters of the specification's `log()`, with
/// the same names.
///
/// Only input and output are required. They may be borrowed; hash-only logging never copies them.
/// Setters of optional fields take a value or an `Option` of one.
///
/// ```
/// use attestry_logger::Interaction;
///
/// let interaction = Interaction::new("Tell me a joke", "Why did the chicken...")
///     .provider("anthropic")
///     .model("claude-3-opus")
///     .latency_ms(250.5)
///     .input_tokens(5)
///     .output_tokens(20)
///     .metadata("session_id", "abc123");
/// ```
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction<'a> {
    pub(crate) input: Cow<'a, str>,
    pub(crate) output: Cow<'a, str>,
    #[serde(default)]
    pub(crate) provider: Option<String>,
    #[serde(default)]
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) conversation_id: Option<String>,
    #[serde(default = "passed", deserialize_with = "null_is_passed")]
    pub(crate) safety_passed: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) detectors_triggered: Vec<String>,
    #[serde(default)]
    pub(crate) block_reason: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) alerts: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) latency_ms: f64,
    #[serde(default)]
    pub(crate) input_tokens: Option<i64>,
    #[serde(default)]
    pub(crate) output_tokens: Option<i64>,
    #[serde(default, deserialize_with = "metadata::deserialize")]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default)]
    pub(crate) timestamp: Option<Timestamp>,
    #[serde(default)]
    pub(crate) id: Option<EntryId>,
}

const fn passed() -> bool {
    true
}

fn null_is_passed<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(true))
}

/// Accepts `null` for a list or a number, as Python callers pass `None` for an unknown one.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// The metadata in the JSON of an interaction.
fn metadata_of(json: &[u8]) -> &str {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    serde_json::from_slice(json).map_or("", |Only { metadata }| metadata.get())
}

impl<'a> Interaction<'a> {
    /// An interaction that passed all safety checks, without further data.
    #[must_use]
    pub fn new(input: impl Into<Cow<'a, str>>, output: impl Into<Cow<'a, str>>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            provider: None,
            model: None,
            conversation_id: None,
            safety_passed: true,
            detectors_triggered: Vec::new(),
            block_reason: None,
            alerts: Vec::new(),
            latency_ms: 0.0,
            input_tokens: None,
            output_tokens: None,
            metadata: Map::new(),
            timestamp: None,
            id: None,
        }
    }

    /// Parses an interaction from one JSON object with the parameters of `log()` and an optional
    /// `timestamp` and `id`.
    ///
    /// ```
    /// use attestry_logger::Interaction;
    /// let interaction = Interaction::from_json(br#"{"input": "2+2?", "output": "4", "provider": "openai"}"#)?;
    /// assert_eq!(interaction.input(), "2+2?");
    /// # Ok::<(), attestry_core::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is not JSON, input or output is missing, a key is unknown or repeated, a
    /// type is wrong, or an integer in the metadata has more than 64 bits. The message names the key and
    /// quotes no content.
    pub fn from_json(json: &[u8]) -> Result<Interaction<'static>, DecodeError> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            return Err(DecodeError::not_an_object());
        }
        let interaction: Interaction<'static> =
            serde_json::from_slice(json).map_err(|error| DecodeError::from_json(&error))?;
        metadata::check_integers(&interaction.metadata, || metadata_of(json))?;
        Ok(interaction)
    }

    /// The input.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The output.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The id of its entry, if one was set.
    #[must_use]
    pub fn given_id(&self) -> Option<&EntryId> {
        self.id.as_ref()
    }

    /// When it occurred, if that was set.
    #[must_use]
    pub fn given_timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The AI provider, such as `openai`.
    #[must_use]
    pub fn provider(mut self, provider: impl OptionalText) -> Self {
        self.provider = provider.into_optional_text();
        self
    }

    /// The model, such as `gpt-4`.
    #[must_use]
    pub fn model(mut self, model: impl OptionalText) -> Self {
        self.model = model.into_optional_text();
        self
    }

    /// Groups the interactions of one conversation.
    #[must_use]
    pub fn conversation_id(mut self, id: impl OptionalText) -> Self {
        self.conversation_id = id.into_optional_text();
        self
    }

    /// Whether the interaction passed all safety checks. Default: true.
    #[must_use]
    pub fn safety_passed(mut self, passed: bool) -> Self {
        self.safety_passed = passed;
        self
    }

    /// Names of the safety detectors that triggered.
    #[must_use]
    pub fn detectors_triggered<T: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = T>,
    ) -> Self {
        self.detectors_triggered = names.into_iter().map(Into::into).collect();
        self
    }

    /// Why the request was blocked.
    #[must_use]
    pub fn block_reason(mut self, reason: impl OptionalText) -> Self {
        self.block_reason = reason.into_optional_text();
        self
    }

    /// Alert messages generated.
    #[must_use]
    pub fn alerts<T: Into<String>>(mut self, messages: impl IntoIterator<Item = T>) -> Self {
        self.alerts = messages.into_iter().map(Into::into).collect();
        self
    }

    /// Time taken to process the request, in milliseconds; must be finite. Default: 0.
    #[must_use]
    pub fn latency_ms(mut self, milliseconds: f64) -> Self {
        self.latency_ms = milliseconds;
        self
    }

    /// [`latency_ms`](Self::latency_ms), from a measured duration.
    #[must_use]
    pub fn latency(self, duration: Duration) -> Self {
        self.latency_ms(duration.as_secs_f64() * 1e3)
    }

    /// Tokens of the input.
    #[must_use]
    pub fn input_tokens(mut self, tokens: impl Into<Option<i64>>) -> Self {
        self.input_tokens = tokens.into();
        self
    }

    /// Tokens of the output.
    #[must_use]
    pub fn output_tokens(mut self, tokens: impl Into<Option<i64>>) -> Self {
        self.output_tokens = tokens.into();
        self
    }

    /// Adds an item of metadata, or replaces the item with the same key.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Replaces all metadata.
    #[must_use]
    pub fn metadata_map(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// When it occurred. Default: when it is logged.
    #[must_use]
    pub fn timestamp(mut self, timestamp: impl Into<Option<Timestamp>>) -> Self {
        self.timestamp = timestamp.into();
        self
    }

    /// The id of its entry. Makes retries idempotent: logging the same interaction again with the same
    /// id and timestamp stores it once. Default: a new id.
    #[must_use]
    pub fn id(mut self, id: impl Into<Option<EntryId>>) -> Self {
        self.id = id.into();
        self
    }
}

/// Shows the sizes of input and output instead of their text, which may be confidential.
impl std::fmt::Debug for Interaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interaction")
            .field("input", &format_args!("<{} bytes>", self.input.len()))
            .field("output", &format_args!("<{} bytes>", self.output.len()))
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("conversation_id", &self.conversation_id)
            .finish_non_exhaustive()
    }
}
