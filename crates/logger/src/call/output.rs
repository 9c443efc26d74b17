//! The output of an open call, in bounded memory: one text.

use attestry_core::metadata;
use serde_json::{Map, Value};

use crate::Interaction;
use crate::hashing::Hasher;
use crate::policy::Policy;

/// So much is kept also of an output of which less is stored. If a part follows, the text becomes a part of another
/// text, which then need not be hashed besides it from the start.
const KEPT_FOR_PARTS: usize = if cfg!(feature = "messages") { 4096 } else { 0 };

/// Collects an output that arrives in pieces.
pub(super) struct Output {
    /// The whole output.
    hasher: Hasher,
    bytes: u64,
    /// The start of the output: at most [`KEPT_FOR_PARTS`] or `limit` bytes.
    kept: String,
    /// How many bytes may be stored.
    limit: usize,
}

impl Output {
    /// The output of an interaction, of which `text` is known already. What it is makes no difference to a
    /// text.
    pub(super) fn new(policy: &Policy, _: &Map<String, Value>, text: &str) -> Self {
        let mut output = Self {
            hasher: policy.content_hash.hasher(),
            bytes: 0,
            kept: String::new(),
            limit: limit(policy),
        };
        output.push(text);
        output
    }

    pub(super) fn push(&mut self, text: &str) {
        // Once a piece did not fit, nothing is kept: `kept` must be a prefix of the output.
        if self.is_whole() {
            let room = self.limit.max(KEPT_FOR_PARTS) - self.kept.len();
            self.kept.push_str(&text[..text.floor_char_boundary(room)]);
        }
        self.hasher.update(text);
        self.bytes += text.len() as u64;
    }

    /// The whole output so far, unless `more` cannot be kept.
    #[cfg(feature = "messages")]
    pub(super) fn whole_before(&self, more: &str) -> Option<&str> {
        let room = self.limit.max(KEPT_FOR_PARTS) - self.kept.len();
        (self.is_whole() && more.len() <= room).then_some(&self.kept)
    }

    /// What may be stored of the output so far, and whether it is the whole output.
    pub(super) fn stored(&self) -> (&str, bool) {
        let stored = &self.kept[..self.kept.floor_char_boundary(self.limit)];
        (stored, stored.len() as u64 == self.bytes)
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
        let (stored, is_whole) = self.stored();
        let stored = policy.prepare(stored);
        let fields = if is_whole { fields } else { cut(fields, self.bytes, self.hasher.finish()) };
        (stored, fields)
    }

    fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.bytes
    }
}

/// The bytes of an output that are kept.
pub(super) fn limit(policy: &Policy) -> usize {
    if policy.store_content { policy.max_content_bytes } else { 0 }
}

/// The metadata of an output that is stored in part.
pub(super) fn cut(fields: Interaction<'static>, bytes: u64, hash: String) -> Interaction<'static> {
    fields
        .metadata(metadata::TRUNCATED, Value::from(vec!["output"]))
        .metadata(metadata::OUTPUT_BYTES, bytes)
        .metadata(metadata::OUTPUT_HASH, hash)
}
