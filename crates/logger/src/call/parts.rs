//! The output of an open call, in bounded memory: one text, or parts of a message.

use attestry_core::metadata;
use serde_json::{Map, Value};

use super::message_output::{Finished, MessageOutput};
use super::output::{self, cut, limit};
use crate::Interaction;
use crate::messages::Part;
use crate::policy::Policy;

/// Collects an output that arrives in pieces.
pub(super) struct Output {
    text: output::Output,
    /// The same as a message. Until `is_message` it keeps no content, and only hashes the text in case that
    /// a part follows.
    message: MessageOutput,
    /// The message is stored, not the text.
    is_message: bool,
}

impl Output {
    /// The output of an interaction with this metadata, of which `text` is known already.
    pub(super) fn new(policy: &Policy, metadata: &Map<String, Value>, text: &str) -> Self {
        let mut output = Self {
            text: output::Output::new(policy, metadata, ""),
            message: MessageOutput::new(policy.content_hash.hasher(), 0),
            is_message: false,
        };
        let kind = metadata.get(metadata::CONTENT_OUTPUT).or(metadata.get(metadata::CONTENT));
        if kind.is_some_and(|kind| kind == metadata::CONTENT_MESSAGES_V1) {
            output.become_message(policy);
            output.message.push_messages(text);
        } else {
            output.push(text);
        }
        output
    }

    pub(super) fn push(&mut self, text: &str) {
        self.message.push_text(text, "text");
        if !self.is_message {
            self.text.push(text);
        }
    }

    pub(super) fn push_part(&mut self, policy: &Policy, part: &Part) {
        self.become_message(policy);
        self.message.push(part);
    }

    fn become_message(&mut self, policy: &Policy) {
        if !self.is_message {
            self.is_message = true;
            let (text, is_whole) = self.text.take_kept();
            self.message.keep(&text, !is_whole, limit(policy));
        }
    }

    /// The length of the whole output.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_message { self.message.bytes() } else { self.text.bytes() }
    }

    /// As [`output::Output::finish`].
    pub(super) fn finish(
        self,
        policy: &Policy,
        fields: Interaction<'static>,
    ) -> ((Option<String>, String), Interaction<'static>) {
        if !self.is_message {
            return self.text.finish(policy, fields);
        }
        let fields = as_messages(fields);
        let Finished { hash, bytes, kept, is_cut } = self.message.finish();
        if !policy.store_content {
            return ((None, hash), fields);
        }
        let fields = if is_cut { cut(fields, bytes, hash) } else { fields };
        (policy.prepare(&kept), fields)
    }
}

/// `fields` with metadata that says that the output is messages.
fn as_messages(fields: Interaction<'static>) -> Interaction<'static> {
    match fields.metadata.get(metadata::CONTENT) {
        Some(kind) if kind == metadata::CONTENT_MESSAGES_V1 => fields,
        None => fields.metadata(metadata::CONTENT_OUTPUT, metadata::CONTENT_MESSAGES_V1),
        Some(kind) => {
            let kind = kind.clone();
            let mut fields = fields
                .metadata(metadata::CONTENT_INPUT, kind)
                .metadata(metadata::CONTENT_OUTPUT, metadata::CONTENT_MESSAGES_V1);
            fields.metadata.shift_remove(metadata::CONTENT);
            fields
        }
    }
}
