//! The output of an open call, in bounded memory: one text.

use attestry_core::metadata;
use serde_json::{Map, Value};

use crate::hashing::Hasher;
use crate::policy::Policy;

/// So much is kept also of an output of which less is stored. If a part follows, the text becomes a part of another
/// text, which then need not be hashed besides it from the start.
const KEPT_FOR_PARTS: usize = 4096;

/// Collects an output that arrives in pieces.
pub(super) struct Output {
    /// The whole output.
    hasher: Hasher,
    bytes: u64,
    /// The start of the output: at most `most` bytes.
    kept: String,
    most: usize,
    /// How many bytes may be stored.
    limit: usize,
}

impl Output {
    /// The output of an interaction, of which `text` is known already. What it is makes no difference to a
    /// text.
    pub(super) fn new(policy: &Policy, _: &Map<String, Value>, text: &str) -> Self {
        let (hasher, kept, limit) = (policy.content_hash.hasher(), String::new(), limit(policy));
        let most = if cfg!(feature = "messages") { limit.max(KEPT_FOR_PARTS) } else { limit };
        let mut output = Self { hasher, bytes: 0, kept, most, limit };
        output.push(text);
        output
    }

    pub(super) fn push(&mut self, text: &str) {
        // Once a piece did not fit, nothing is kept: `kept` must be a prefix of the output.
        if self.is_whole() {
            let room = self.most - self.kept.len();
            self.kept.push_str(&text[..text.floor_char_boundary(room)]);
        }
        self.hasher.update(text);
        self.bytes += text.len() as u64;
    }

    /// The whole output so far, unless `more` cannot be kept.
    #[cfg(feature = "messages")]
    pub(super) fn whole_before(&self, more: &str) -> Option<&str> {
        let room = self.most - self.kept.len();
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
        metadata: &mut Map<String, Value>,
    ) -> (Option<String>, String) {
        if !policy.store_content {
            return (None, self.hasher.finish());
        }
        let (stored, is_whole) = self.stored();
        let stored = policy.prepare(stored);
        if !is_whole {
            note_cut(metadata, self.bytes, self.hasher.finish());
        }
        stored
    }

    fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.bytes
    }
}

/// The bytes of an output that are kept.
pub(super) fn limit(policy: &Policy) -> usize {
    if policy.store_content { policy.max_content_bytes } else { 0 }
}

/// Notes in the metadata that an output is stored in part.
pub(super) fn note_cut(metadata: &mut Map<String, Value>, bytes: u64, hash: String) {
    metadata.insert(metadata::TRUNCATED.into(), vec!["output"].into());
    metadata.insert(metadata::OUTPUT_BYTES.into(), bytes.into());
    metadata.insert(metadata::OUTPUT_HASH.into(), hash.into());
}
