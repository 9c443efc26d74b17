//! The output of an open call, in bounded memory.

use attestry_core::metadata;
use serde_json::Value;

use crate::Interaction;
use crate::hashing::Hasher;
use crate::policy::Policy;

/// Collects an output that arrives in pieces.
pub(super) struct Output {
    /// The whole output.
    hasher: Hasher,
    bytes: u64,
    /// The start of the output; empty if only hashes are stored.
    kept: String,
    /// The maximum length of `kept`.
    limit: usize,
}

impl Output {
    pub(super) fn new(policy: &Policy) -> Self {
        let limit = if policy.store_content { policy.max_content_bytes } else { 0 };
        Self { hasher: policy.content_hash.hasher(), bytes: 0, kept: String::new(), limit }
    }

    pub(super) fn push(&mut self, text: &str) {
        // Once a piece did not fit, nothing is kept: `kept` must be a prefix of the output.
        if self.kept.len() as u64 == self.bytes {
            let room = self.limit - self.kept.len();
            self.kept.push_str(&text[..text.floor_char_boundary(room)]);
        }
        self.hasher.update(text);
        self.bytes += text.len() as u64;
    }

    /// The length of the whole output.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Stored form and hash of the output as an entry has them. If only a prefix was kept, the hash is
    /// that of the prefix, so that hash and content of the entry agree; hash and length of the whole
    /// output are in the metadata.
    pub(super) fn finish(
        self,
        policy: &Policy,
        fields: Interaction<'static>,
    ) -> ((Option<String>, String), Interaction<'static>) {
        if !policy.store_content {
            return ((None, self.hasher.finish()), fields);
        }
        let whole = self.kept.len() as u64 == self.bytes;
        let stored = policy.prepare(&self.kept);
        if whole {
            return (stored, fields);
        }
        let fields = fields
            .metadata(metadata::TRUNCATED, Value::from(vec!["output"]))
            .metadata(metadata::OUTPUT_BYTES, self.bytes)
            .metadata(metadata::OUTPUT_HASH, self.hasher.finish());
        (stored, fields)
    }
}
