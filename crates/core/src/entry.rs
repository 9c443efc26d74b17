//! The audit entry: one recorded interaction.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{DecodeError, EntryId, Timestamp};

/// One recorded interaction with an AI system.
///
/// The 17 fields, their names and their order are those of the specification, and the stored line
/// has exactly these. The format gains no field, so this struct is deliberately exhaustive. Create
/// one with [`AuditEntry::new`] and set the other fields by assignment or struct update.
///
/// Two entries are equal if all fields are, regardless of the order of keys in the metadata.
///
/// ```
/// use attestry_core::{AuditEntry, create_entry_id, hash_content, Timestamp};
///
/// let entry = AuditEntry {
///     provider: Some("openai".into()),
///     latency_ms: 250.5,
///     ..AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("2+2?"), hash_content("4"))
/// };
/// assert!(entry.safety_passed);
/// assert_eq!(AuditEntry::from_value(entry.to_value())?, entry);
/// # Ok::<(), attestry_core::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Unique identifier of this entry.
    pub id: EntryId,
    /// When the interaction occurred, UTC.
    pub timestamp: Timestamp,
    /// SHA-256 of the input as lower-case hexadecimal, or a keyed hash (see the logger).
    pub input_hash: String,
    /// SHA-256 of the output, in the same form.
    pub output_hash: String,
    /// The input itself, plain or encrypted; `None` if content is not stored.
    #[serde(default)]
    pub input_content: Option<String>,
    /// The output itself, plain or encrypted; `None` if content is not stored.
    #[serde(default)]
    pub output_content: Option<String>,
    /// The AI provider, such as `openai`.
    #[serde(default)]
    pub provider: Option<String>,
    /// The model, such as `gpt-4`.
    #[serde(default)]
    pub model: Option<String>,
    /// Links the interactions of one conversation.
    #[serde(default)]
    pub conversation_id: Option<String>,
    /// Whether the interaction passed all safety checks. Default: true.
    #[serde(default = "passed")]
    pub safety_passed: bool,
    /// Names of the safety detectors that triggered.
    #[serde(default)]
    pub detectors_triggered: Vec<String>,
    /// Why the request was blocked, if it was.
    #[serde(default)]
    pub block_reason: Option<String>,
    /// Alert messages generated.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// Time taken to process the request, in milliseconds. Finite if Attestry wrote it; a NaN, an
    /// infinity or a `null` that another program wrote reads as NaN.
    #[serde(default, deserialize_with = "number_or_nan")]
    pub latency_ms: f64,
    /// Tokens of the input.
    #[serde(default)]
    pub input_tokens: Option<i64>,
    /// Tokens of the output.
    #[serde(default)]
    pub output_tokens: Option<i64>,
    /// Further data, in the caller's order of keys.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

const fn passed() -> bool {
    true
}

fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl AuditEntry {
    /// The names of the fields, in the order of the specification and of the stored line.
    ///
    /// ```
    /// use attestry_core::AuditEntry;
    ///
    /// assert_eq!(AuditEntry::FIELDS[..2], ["id", "timestamp"]);
    /// ```
    pub const FIELDS: [&'static str; 17] = [
        "id",
        "timestamp",
        "input_hash",
        "output_hash",
        "input_content",
        "output_content",
        "provider",
        "model",
        "conversation_id",
        "safety_passed",
        "detectors_triggered",
        "block_reason",
        "alerts",
        "latency_ms",
        "input_tokens",
        "output_tokens",
        "metadata",
    ];

    /// An entry with the four required fields and the specification's defaults for the others.
    #[must_use]
    pub fn new(id: EntryId, timestamp: Timestamp, input_hash: String, output_hash: String) -> Self {
        Self {
            id,
            timestamp,
            input_hash,
            output_hash,
            input_content: None,
            output_content: None,
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
        }
    }

    /// Whether it records the same interaction as `other`. Stored content is not compared, since it is
    /// encrypted differently each time; its hashes are. With `any_time` the timestamps are not compared
    /// either, for an interaction without a time of its own that is sent again.
    ///
    /// ```
    /// use attestry_core::{AuditEntry, Timestamp};
    ///
    /// let entry = AuditEntry::new("a".parse()?, Timestamp::UNIX_EPOCH, "in".into(), "out".into());
    /// let later = AuditEntry { timestamp: Timestamp::now(), ..entry.clone() };
    /// assert!(entry.is_same_interaction(&later, true) && !entry.is_same_interaction(&later, false));
    /// # Ok::<(), attestry_core::InvalidId>(())
    /// ```
    #[must_use]
    pub fn is_same_interaction(&self, other: &Self, any_time: bool) -> bool {
        let comparable = |entry: &Self| Self {
            input_content: None,
            output_content: None,
            timestamp: if any_time { self.timestamp } else { entry.timestamp },
            ..entry.clone()
        };
        comparable(self) == comparable(other)
    }

    /// The entry as a JSON object (the specification's `to_dict`). A latency that is not finite
    /// becomes `null`, since a [`Value`] cannot represent it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Serialising fails only for keys that are not text, and every key here is text.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// An entry from a JSON object (the specification's `from_dict`). The first four fields are
    /// required; the others have defaults.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if a required field is missing, a field is unknown, or a type is wrong.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        if value.is_array() {
            return Err(DecodeError::not_an_object());
        }
        serde_json::from_value(value).map_err(|e| DecodeError::from_json(&e))
    }
}

/// Omits the content, which may be confidential.
impl std::fmt::Debug for AuditEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = |content: &Option<String>| {
            content.as_ref().map(|text| format!("<{} bytes>", text.len()))
        };
        f.debug_struct("AuditEntry")
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .field("input_hash", &self.input_hash)
            .field("output_hash", &self.output_hash)
            .field("input_content", &hidden(&self.input_content))
            .field("output_content", &hidden(&self.output_content))
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("conversation_id", &self.conversation_id)
            .field("safety_passed", &self.safety_passed)
            .field("detectors_triggered", &self.detectors_triggered)
            .field("block_reason", &self.block_reason)
            .field("alerts", &self.alerts)
            .field("latency_ms", &self.latency_ms)
            .field("input_tokens", &self.input_tokens)
            .field("output_tokens", &self.output_tokens)
            .field("metadata", &self.metadata)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_match_the_specification() {
        let entry = AuditEntry::from_value(json!({
            "id": "a", "timestamp": "2026-01-28T09:15:00", "input_hash": "i", "output_hash": "o"
        }))
        .unwrap();
        assert_eq!(
            entry,
            AuditEntry::new(
                "a".parse().unwrap(),
                "2026-01-28T09:15:00".parse().unwrap(),
                "i".into(),
                "o".into()
            )
        );
        assert_eq!(
            entry.to_value(),
            json!({
                "id": "a", "timestamp": "2026-01-28T09:15:00", "input_hash": "i", "output_hash": "o",
                "input_content": null, "output_content": null, "provider": null, "model": null,
                "conversation_id": null, "safety_passed": true, "detectors_triggered": [],
                "block_reason": null, "alerts": [], "latency_ms": 0.0, "input_tokens": null,
                "output_tokens": null, "metadata": {}
            })
        );
    }

    #[test]
    fn fields_are_listed_in_the_order_of_the_stored_line() {
        let entry = AuditEntry::new("a".parse().unwrap(), Timestamp::now(), "i".into(), "o".into());
        let line = serde_json::to_string(&entry).unwrap();
        let places = AuditEntry::FIELDS.map(|name| line.find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted(), "{line}");
        assert_eq!(entry.to_value().as_object().unwrap().len(), AuditEntry::FIELDS.len());
    }

    #[test]
    fn rejects_what_python_rejects() {
        let required = json!({"id": "a", "timestamp": "2026-01-28T09:15:00", "input_hash": "i", "output_hash": "o"});
        for field in ["id", "timestamp", "input_hash", "output_hash"] {
            let mut value = required.clone();
            value.as_object_mut().unwrap().remove(field);
            let error = AuditEntry::from_value(value).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        assert!(AuditEntry::from_value(json!(["a", "2026-01-28T09:15:00", "i", "o"])).is_err());
        let mut value = required;
        value["colour"] = json!("red");
        assert!(AuditEntry::from_value(value).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn debug_hides_content() {
        let mut entry =
            AuditEntry::new("a".parse().unwrap(), Timestamp::UNIX_EPOCH, "i".into(), "o".into());
        entry.input_content = Some("my bank PIN is 1234".into());
        let text = format!("{entry:?}");
        assert!(!text.contains("PIN") && text.contains("<19 bytes>"), "{text}");
    }
}
