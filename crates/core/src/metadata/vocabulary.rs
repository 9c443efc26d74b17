//! The keys that have a meaning, and the type of each value.

use serde_json::{Map, Value};

use crate::InvalidEntry;

macro_rules! vocabulary {
    ($($(#[$about:meta])* $name:ident = $key:literal: $kind:ident,)*) => {
        $($(#[$about])* pub const $name: &str = $key;)*

        fn kind(key: &str) -> Option<Kind> {
            match key {
                $($key => Some(Kind::$kind),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const KEYS: &[&str] = &[$($key),*];
    };
}

vocabulary! {
    /// The user that the call was made for.
    USER = "user.id": Text,
    /// The tenant, in a service that several organisations share.
    TENANT = "attestry.tenant": Text,
    /// The service that made the call.
    SERVICE_NAME = "service.name": Text,
    /// Its version.
    SERVICE_VERSION = "service.version": Text,
    /// Where it runs, such as `production`.
    DEPLOYMENT_ENVIRONMENT = "deployment.environment.name": Text,
    /// What was asked for: `chat`, `text_completion`, `embeddings`, `execute_tool`, `invoke_agent`, ...
    OPERATION = "gen_ai.operation.name": Text,
    /// The id of the agent.
    AGENT_ID = "gen_ai.agent.id": Text,
    /// The name of the agent.
    AGENT_NAME = "gen_ai.agent.name": Text,
    /// The name of the tool that was executed.
    TOOL_NAME = "gen_ai.tool.name": Text,
    /// The id of the tool call, as the model chose it.
    TOOL_CALL_ID = "gen_ai.tool.call.id": Text,
    /// The model that was asked for, where it differs from the one that answered.
    REQUEST_MODEL = "gen_ai.request.model": Text,
    /// The provider's id of the response.
    RESPONSE_ID = "gen_ai.response.id": Text,
    /// Why the model stopped, one text for each choice, such as `["stop"]`.
    FINISH_REASONS = "gen_ai.response.finish_reasons": Texts,
    /// Input tokens read from the provider's cache.
    CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens": Integer,
    /// Input tokens written to the provider's cache.
    CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens": Integer,
    /// Output tokens that the model used for reasoning.
    REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens": Integer,
    /// The temperature of the request.
    TEMPERATURE = "gen_ai.request.temperature": Number,
    /// The nucleus sampling probability of the request.
    TOP_P = "gen_ai.request.top_p": Number,
    /// The maximum number of output tokens of the request.
    MAX_TOKENS = "gen_ai.request.max_tokens": Integer,
    /// The seed of the request.
    SEED = "gen_ai.request.seed": Integer,
    /// Whether a stream was asked for.
    STREAM = "gen_ai.request.stream": Boolean,
    /// The HTTP status of the response.
    STATUS_CODE = "http.response.status_code": Integer,
    /// A short, stable name of the error of a failed call, without content.
    ERROR_TYPE = "error.type": Text,
    /// The host that was called.
    SERVER_ADDRESS = "server.address": Text,
    /// The trace of the call, in hexadecimal digits.
    TRACE_ID = "trace_id": Text,
    /// The span of the call.
    SPAN_ID = "span_id": Text,
    /// The parent of the span.
    PARENT_SPAN_ID = "parent_span_id": Text,
    /// How the call ended: one of the `OUTCOME_…` values. Absent means completed.
    OUTCOME = "attestry.outcome": Text,
    /// [`PHASE_START`] or [`PHASE_END`] for the two entries of one call; absent for an entry that is
    /// the whole call.
    PHASE = "attestry.phase": Text,
    /// The id of the start entry, in the end entry of a call.
    CALL = "attestry.call": Text,
    /// [`SAFETY_NOT_CHECKED`] if no detector looked at the call: its `safety_passed` is true then, for
    /// compatibility.
    SAFETY = "attestry.safety": Text,
    /// Where an imported or received record came from.
    SOURCE = "attestry.source": Text,
    /// The SHA-256 of the original record.
    SOURCE_SHA256 = "attestry.source.sha256": Text,
    /// Milliseconds from the request to the first output.
    TIME_TO_FIRST_TOKEN = "attestry.time_to_first_token_ms": Number,
    /// What input and output are: one of the `CONTENT_…` values. Absent means text.
    CONTENT = "attestry.content": Text,
    /// What the input is, where [`CONTENT`] does not apply to both. Absent means text.
    CONTENT_INPUT = "attestry.content.input": Text,
    /// What the output is, where [`CONTENT`] does not apply to both. Absent means text.
    CONTENT_OUTPUT = "attestry.content.output": Text,
    /// The names of the fields whose value could not be recorded as it was, as a list: half of a
    /// surrogate pair became U+FFFD, or a number that is not finite was left out.
    LOSSY = "attestry.lossy": Texts,
    /// The contents that are not known, as a list: `["output"]`. The record that an entry was made of did not have
    /// them, for instance because telemetry without content was received. The entry's text is empty then.
    MISSING = "attestry.missing": Texts,
    /// The contents of which only a start is stored, or nothing but the hash because an entry cannot be as large, as a
    /// list: `["output"]`.
    TRUNCATED = "attestry.truncated": Texts,
    /// The length in bytes of the whole output, if it is truncated.
    OUTPUT_BYTES = "attestry.output.bytes": Integer,
    /// The hash of the whole output, if it is truncated.
    OUTPUT_HASH = "attestry.output.hash": Text,
    /// The id of the entry of the same call, in an entry of what was received after that one was written.
    ADDS_TO = "attestry.adds_to": Text,
}

/// What another program recorded and Attestry has neither a field nor a key for: an object. A text
/// in it that is no label may be content, and is replaced by its length and SHA-256 unless content is stored in plain
/// text.
pub const OTHER: &str = "attestry.other";

/// [`PHASE`]: stored before the model was called; the output is empty.
pub const PHASE_START: &str = "start";
/// [`PHASE`]: stored when the call ended; the whole interaction.
pub const PHASE_END: &str = "end";
/// [`OUTCOME`]: the model answered.
pub const OUTCOME_COMPLETED: &str = "completed";
/// [`OUTCOME`]: the call failed; there is no output, or an incomplete one.
pub const OUTCOME_FAILED: &str = "failed";
/// [`OUTCOME`]: the output ends before its end, because the stream broke or was closed.
pub const OUTCOME_CUT_OFF: &str = "cut_off";
/// [`OUTCOME`]: the program dropped the call, or ended first.
pub const OUTCOME_ABANDONED: &str = "abandoned";
/// [`OUTCOME`]: the call was blocked before the model answered.
pub const OUTCOME_BLOCKED: &str = "blocked";
/// [`SAFETY`]: no detector looked at the call.
pub const SAFETY_NOT_CHECKED: &str = "not_checked";

/// [`CONTENT`]: a list of messages in the schema of OpenTelemetry's conventions for generative AI, as
/// canonical JSON (RFC 8785).
pub const CONTENT_MESSAGES_V1: &str = "messages/v1";
/// [`CONTENT`]: any other JSON value, as canonical JSON (RFC 8785).
pub const CONTENT_JSON: &str = "json";

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Texts,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    /// `null` is accepted for any: Python callers pass `None` for what they do not know.
    fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) => true,
            (Self::Text, value) => value.is_string(),
            (Self::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
            (Self::Texts, _) => false,
            (Self::Integer, value) => value.is_u64() || value.is_i64(),
            (Self::Number, value) => value.is_number(),
            (Self::Boolean, value) => value.is_boolean(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }
}

/// Whether the metadata of an entry may have `value` under `key`: whether it has the type of the vocabulary, if the key
/// is one of its keys.
///
/// ```
/// use attestry_core::metadata;
///
/// assert!(metadata::is_valid(metadata::USER, &"u-17".into()));
/// assert!(!metadata::is_valid(metadata::USER, &17.into()));
/// assert!(metadata::is_valid("team", &17.into()));
/// ```
#[must_use]
pub fn is_valid(key: &str, value: &Value) -> bool {
    kind(key).is_none_or(|kind| kind.accepts(value))
}

/// Checks that each key of the vocabulary has a value of its type.
pub(crate) fn check(metadata: &Map<String, Value>) -> Result<(), InvalidEntry> {
    for (key, value) in metadata {
        if let Some(kind) = kind(key)
            && !kind.accepts(value)
        {
            return Err(InvalidEntry::MetadataType { key: key.clone(), expected: kind.name() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditEntry, EntryId, Timestamp};
    use serde_json::json;

    #[test]
    fn keys_are_unique() {
        let mut keys = KEYS.to_vec();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), KEYS.len());
    }

    #[test]
    fn keys_with_a_value_of_another_type_are_named() {
        let values = [
            json!("a"),
            json!(["a"]),
            json!([1]),
            json!(5),
            json!(-1),
            json!(0.5),
            json!(true),
            json!({}),
        ];
        for key in KEYS {
            let mut accepted = 0;
            for value in &values {
                let entry = AuditEntry {
                    metadata: [((*key).to_owned(), value.clone())].into_iter().collect(),
                    ..AuditEntry::new(
                        EntryId::new_unchecked("a"),
                        Timestamp::UNIX_EPOCH,
                        "i".into(),
                        "o".into(),
                    )
                };
                match entry.validate() {
                    Ok(()) => accepted += 1,
                    Err(error) => {
                        assert!(error.to_string().contains(&format!("metadata.{key} ")), "{error}")
                    }
                }
            }
            let expected = match kind(key).unwrap() {
                Kind::Text | Kind::Texts | Kind::Boolean => 1,
                Kind::Integer => 2,
                Kind::Number => 3,
            };
            assert_eq!(accepted, expected, "{key}");
        }
        assert_eq!(kind("team"), None);
        assert!(kind(USER).unwrap().accepts(&Value::Null));
    }
}
