//! Fields by which entries are grouped.

use std::fmt;
use std::str::FromStr;

use attestry_core::{AuditEntry, Timestamp, metadata};
use serde_json::Value;
use thiserror::Error;

/// A field by which entries are grouped. As text `provider`, `model`, `conversation`, `safety`, `year`, `month`,
/// `day`, `user`, `tenant` or `metadata:KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupKey {
    /// The provider.
    Provider,
    /// The model.
    Model,
    /// The conversation.
    Conversation,
    /// Whether the entry passed the safety checks: `passed` or `failed`.
    Safety,
    /// The year, such as `2026`.
    Year,
    /// The month, such as `2026-01`.
    Month,
    /// The day, such as `2026-01-28`.
    Day,
    /// The value of this key of the metadata.
    Metadata(String),
}

/// The text names no field by which entries can be grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected provider, model, conversation, safety, year, month, day, user, tenant or metadata:KEY"
)]
#[non_exhaustive]
pub struct InvalidGroupKey;

impl GroupKey {
    const NAMED: [(&'static str, Self); 7] = [
        ("provider", Self::Provider),
        ("model", Self::Model),
        ("conversation", Self::Conversation),
        ("safety", Self::Safety),
        ("year", Self::Year),
        ("month", Self::Month),
        ("day", Self::Day),
    ];

    /// The value of `entry`; `None` where it has none. `day` gives the day of a time.
    pub(super) fn value(
        &self,
        entry: &AuditEntry,
        day: &impl Fn(Timestamp) -> String,
    ) -> Option<String> {
        let start_of_day = |length: usize| {
            let mut day = day(entry.timestamp);
            day.truncate(length);
            Some(day)
        };
        match self {
            Self::Provider => entry.provider.clone(),
            Self::Model => entry.model.clone(),
            Self::Conversation => entry.conversation_id.clone(),
            Self::Safety => Some(if entry.safety_passed { "passed" } else { "failed" }.to_owned()),
            Self::Year => start_of_day(4),
            Self::Month => start_of_day(7),
            Self::Day => start_of_day(10),
            Self::Metadata(key) => match entry.metadata.get(key)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
        }
    }
}

impl FromStr for GroupKey {
    type Err = InvalidGroupKey;

    fn from_str(text: &str) -> Result<Self, InvalidGroupKey> {
        let metadata = match text {
            "user" => Some(metadata::USER),
            "tenant" => Some(metadata::TENANT),
            _ => text.strip_prefix("metadata:").filter(|key| !key.is_empty()),
        };
        let named = Self::NAMED.into_iter().find(|(name, _)| *name == text);
        let key = named.map(|(_, key)| key).or(metadata.map(|key| Self::Metadata(key.to_owned())));
        key.ok_or(InvalidGroupKey)
    }
}

/// The name of the group in results: that of the field, or the key of the metadata.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(key) => f.write_str(key),
            key => {
                let named = Self::NAMED.iter().find(|(_, named)| named == key);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}
