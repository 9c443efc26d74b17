//! The output of an open call, in bounded memory: one text, or parts of a message.

use attestry_core::metadata;
use serde_json::{Map, Value};

use super::message_output::{Finished, MessageOutput};
use super::output::{self, limit, note_cut};
use crate::messages::Part;
use crate::policy::Policy;

/// Collects an output that arrives in pieces.
pub(super) struct Output {
    text: output::Output,
    /// The same as a message. It keeps no content until `is_message`, and only hashes the text in case that a part
    /// follows.
    message: MessageOutput,
    /// Whether `message` has what was pushed so far: from when `text` cannot keep all of it.
    message_is_current: bool,
    /// The message is stored, not the text.
    is_message: bool,
}

impl Output {
    /// The output of an interaction with this metadata, of which `text` is known already.
    pub(super) fn new(policy: &Policy, metadata: &Map<String, Value>, text: &str) -> Self {
        let mut output = Self {
            text: output::Output::new(policy, metadata, ""),
            message: MessageOutput::new(policy.content_hash.hasher(), 0),
            message_is_current: false,
            is_message: false,
        };
        let kind = metadata.get(metadata::CONTENT_OUTPUT).or(metadata.get(metadata::CONTENT));
        if kind.is_some_and(|kind| kind == metadata::CONTENT_MESSAGES_V1) {
            output.as_message(policy).push_messages(text);
        } else {
            output.push(text);
        }
        output
    }

    pub(super) fn push(&mut self, text: &str) {
        if !self.message_is_current && self.text.whole_before(text).is_some() {
            return self.text.push(text);
        }
        self.current_message().push_text(text, "text");
        if !self.is_message {
            self.text.push(text);
        }
    }

    pub(super) fn push_part(&mut self, policy: &Policy, part: &Part) {
        self.as_message(policy).push(part);
    }

    /// The message, which is stored from now on.
    fn as_message(&mut self, policy: &Policy) -> &mut MessageOutput {
        self.current_message();
        if !self.is_message {
            self.is_message = true;
            let (stored, is_whole) = self.text.stored();
            self.message.keep(stored, !is_whole, limit(policy));
        }
        &mut self.message
    }

    /// The message with the hash of everything so far.
    fn current_message(&mut self) -> &mut MessageOutput {
        if !self.message_is_current {
            self.message_is_current = true;
            // Until now everything was kept.
            let text = self.text.whole_before("").unwrap_or_default();
            self.message.push_text(text, "text");
        }
        &mut self.message
    }

    /// The length of the whole output.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_message { self.message.bytes() } else { self.text.bytes() }
    }

    /// As [`output::Output::finish`].
    pub(super) fn finish(
        self,
        policy: &Policy,
        metadata: &mut Map<String, Value>,
    ) -> (Option<String>, String) {
        if !self.is_message {
            return self.text.finish(policy, metadata);
        }
        note_messages(metadata);
        let Finished { hash, bytes, kept, is_cut } = self.message.finish();
        if !policy.store_content {
            return (None, hash);
        }
        if is_cut {
            note_cut(metadata, bytes, hash);
        }
        policy.prepare(&kept)
    }
}

/// Notes in the metadata that the output is messages.
fn note_messages(metadata: &mut Map<String, Value>) {
    let messages = || Value::from(metadata::CONTENT_MESSAGES_V1);
    match metadata.get(metadata::CONTENT).cloned() {
        Some(kind) if kind == metadata::CONTENT_MESSAGES_V1 => {}
        None => {
            metadata.insert(metadata::CONTENT_OUTPUT.into(), messages());
        }
        Some(kind) => {
            metadata.insert(metadata::CONTENT_INPUT.into(), kind);
            metadata.insert(metadata::CONTENT_OUTPUT.into(), messages());
            metadata.shift_remove(metadata::CONTENT);
        }
    }
}
