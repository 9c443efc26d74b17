//! What the secondary index is made of: the keys whose values are indexed, and hashes of the values.

use std::fmt;
use std::sync::Arc;

use attestry_core::{AuditEntry, MetadataTest, Query, metadata};
use serde_json::Value;
use twox_hash::XxHash3_64;

/// The metadata keys that are indexed unless others are set.
pub(crate) const DEFAULT_METADATA_KEYS: [&str; 5] =
    [metadata::USER, metadata::TENANT, metadata::TRACE_ID, metadata::RESPONSE_ID, metadata::CALL];

/// A field, or a key of the metadata, whose texts are indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexKey {
    ConversationId,
    Metadata(String),
}

/// The keys of an index, in order: the conversation id, then keys of the metadata.
#[derive(Debug, Clone)]
pub(crate) struct IndexKeys(Arc<[IndexKey]>);

/// The text that an entry has under a key, as its hash. Equal hashes do not prove equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// The number of the key among the keys of the index.
    pub(crate) key: u32,
    pub(crate) hash: u64,
}

/// A condition that an index with its key can answer: the key has the text with this hash.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) key: IndexKey,
    pub(crate) hash: u64,
}

/// Part of the format of index files.
fn hash_text(text: &str) -> u64 {
    XxHash3_64::oneshot(text.as_bytes())
}

impl IndexKey {
    const CONVERSATION_ID: &str = "conversation_id";
    const METADATA: &str = "metadata.";

    /// The key with this name in an index file.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix(Self::METADATA) {
            Some(key) => Some(Self::Metadata(key.to_owned())),
            None => (name == Self::CONVERSATION_ID).then_some(Self::ConversationId),
        }
    }

    /// Whether [`parse`](Self::parse) accepts `name`.
    pub(super) fn is_name(name: &str) -> bool {
        name == Self::CONVERSATION_ID || name.starts_with(Self::METADATA)
    }

    /// Whether this is its name in an index file.
    pub(super) fn is_named(&self, name: &str) -> bool {
        match self {
            Self::ConversationId => name == Self::CONVERSATION_ID,
            Self::Metadata(key) => name.strip_prefix(Self::METADATA) == Some(key),
        }
    }
}

impl fmt::Display for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConversationId => f.write_str(Self::CONVERSATION_ID),
            Self::Metadata(key) => write!(f, "{}{key}", Self::METADATA),
        }
    }
}

impl Default for IndexKeys {
    fn default() -> Self {
        Self::new(DEFAULT_METADATA_KEYS.map(str::to_owned))
    }
}

impl IndexKeys {
    /// The conversation id and these keys of the metadata; repeated ones count once.
    pub(crate) fn new(metadata: impl IntoIterator<Item = String>) -> Self {
        let mut keys = vec![IndexKey::ConversationId];
        for key in metadata.into_iter().map(IndexKey::Metadata) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Self(keys.into())
    }

    pub(super) fn of_file(keys: impl IntoIterator<Item = IndexKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &IndexKey> {
        self.0.iter()
    }

    /// The number of `key`, unless it is not indexed.
    pub(super) fn position(&self, key: &IndexKey) -> Option<usize> {
        self.0.iter().position(|indexed| indexed == key)
    }

    /// Adds the terms of `entry` to `terms`.
    pub(crate) fn push_terms(&self, entry: &AuditEntry, terms: &mut Vec<Term>) {
        for (number, key) in (0..).zip(self.iter()) {
            let text = match key {
                IndexKey::ConversationId => entry.conversation_id.as_deref(),
                // Other types are answered by reading, as numbers are equal in several spellings.
                IndexKey::Metadata(key) => entry.metadata.get(key).and_then(Value::as_str),
            };
            terms.extend(text.map(|text| Term { key: number, hash: hash_text(text) }));
        }
    }
}

impl Condition {
    /// Those conditions of `query` that an index may answer.
    pub(crate) fn of(query: &Query) -> Vec<Self> {
        let conversation = query.conversation_id.as_deref();
        let conversation = conversation.map(|text| (IndexKey::ConversationId, text));
        let metadata = query.metadata.iter().filter_map(|condition| match &condition.test {
            MetadataTest::Equals(Value::String(text)) => {
                Some((IndexKey::Metadata(condition.key.clone()), text.as_str()))
            }
            _ => None,
        });
        let conditions = conversation.into_iter().chain(metadata);
        conditions.map(|(key, text)| Self { key, hash: hash_text(text) }).collect()
    }
}
