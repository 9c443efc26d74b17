//! An output that consists of parts, as canonical text that is written piece by piece.
//!
//! The text is that of [`Messages`] with one message of the role `assistant`:
//! `[{"parts":[{"content":"...","type":"text"},...],"role":"assistant"}]`.

use std::borrow::Cow;

use crate::hashing::Hasher;
use crate::messages::{Message, Messages, Part, PartKind, canonical_json};

const START: &str = r#"[{"parts":["#;
/// The type follows the text, because keys are sorted.
const TEXT: &str = r#"{"content":""#;
const END: &str = r#"],"role":"assistant"}]"#;

/// Hashes the canonical text and keeps its start.
pub(super) struct MessageOutput {
    hasher: Hasher,
    /// The length of the text so far; 0 if there is no part.
    bytes: u64,
    /// The type of the last part, if it is text that may go on.
    open: Option<&'static str>,
    kept: Kept,
}

/// The start of the text: whole parts, and at the end perhaps a text whose rest is missing.
struct Kept {
    text: String,
    limit: usize,
    /// As of [`MessageOutput`].
    open: Option<&'static str>,
    /// Something did not fit. Nothing is kept after it.
    is_cut: bool,
}

/// A finished output.
pub(super) struct Finished {
    pub(super) hash: String,
    pub(super) bytes: u64,
    pub(super) kept: String,
    pub(super) is_cut: bool,
}

impl MessageOutput {
    pub(super) fn new(hasher: Hasher, limit: usize) -> Self {
        let kept = Kept { text: String::new(), limit, open: None, is_cut: false };
        Self { hasher, bytes: 0, open: None, kept }
    }

    /// Keeps `text`, which is what was pushed so far or, if `is_cut`, its start. For an output that was
    /// only hashed until now.
    pub(super) fn keep(&mut self, text: &str, is_cut: bool, limit: usize) {
        self.kept.limit = limit;
        self.kept.is_cut = false;
        if let Some(kind) = self.open
            && !text.is_empty()
        {
            self.kept.push_text(&format!("{START}{TEXT}"), text, kind);
        }
        self.kept.is_cut |= is_cut;
    }

    pub(super) fn push(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Text { content } if part.extra.is_empty() => self.push_text(content, "text"),
            PartKind::Reasoning { content } if part.extra.is_empty() => {
                self.push_text(content, "reasoning");
            }
            _ => {
                let mut text = self.before_part();
                text += &canonical_json::write(&part.view());
                self.open = None;
                self.hash(&text);
                self.kept.push_whole(&text);
            }
        }
    }

    /// Appends to the last part if it is of the same type.
    pub(super) fn push_text(&mut self, text: &str, kind: &'static str) {
        if text.is_empty() {
            return;
        }
        let before = match self.open {
            Some(open) if open == kind => String::new(),
            _ => self.before_part() + TEXT,
        };
        self.open = Some(kind);
        self.hash(&before);
        self.hash(&escaped(text));
        self.kept.push_text(&before, text, kind);
    }

    /// The messages in `text`; what is no message of the assistant is kept as another part.
    pub(super) fn push_messages(&mut self, text: &str) {
        let Ok(messages) = Messages::parse(text) else { return self.push_text(text, "text") };
        for message in messages.0 {
            let plain = Message::new("assistant", message.parts.clone());
            if message == plain {
                message.parts.iter().for_each(|part| self.push(part));
            } else {
                self.push(&Part::other(message.to_value()));
            }
        }
    }

    /// What precedes a new part.
    fn before_part(&self) -> String {
        match (self.bytes, self.open) {
            (0, _) => START.to_owned(),
            (_, Some(kind)) => closing(kind) + ",",
            (_, None) => ",".to_owned(),
        }
    }

    fn hash(&mut self, text: &str) {
        self.hasher.update(text);
        self.bytes += text.len() as u64;
    }

    /// The length of the text so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An output without parts is the empty text.
    pub(super) fn finish(mut self) -> Finished {
        if self.bytes > 0 {
            let end = self.open.map(closing).unwrap_or_default() + END;
            self.hash(&end);
        }
        let Kept { text: mut kept, open, is_cut, .. } = self.kept;
        if kept.is_empty() && self.bytes > 0 {
            kept += START;
        }
        if !kept.is_empty() {
            kept += &(open.map(closing).unwrap_or_default() + END);
        }
        Finished { hash: self.hasher.finish(), bytes: self.bytes, kept, is_cut }
    }
}

impl Kept {
    /// Keeps all of `text`, or nothing from here on.
    fn push_whole(&mut self, text: &str) {
        self.is_cut |= self.text.len() + text.len() > self.limit;
        if !self.is_cut {
            self.text += text;
            self.open = None;
        }
    }

    /// Keeps as much of `text` as fits.
    fn push_text(&mut self, before: &str, text: &str, kind: &'static str) {
        if self.is_cut {
            return;
        }
        let room = self.limit.saturating_sub(self.text.len() + before.len());
        let fitting = fitting(text, room);
        self.is_cut = fitting.len() < text.len();
        if !fitting.is_empty() {
            self.text += before;
            self.text += &escaped(fitting);
            self.open = Some(kind);
        }
    }
}

/// The longest start of `text` that takes at most `room` bytes when it is escaped.
fn fitting(text: &str, room: usize) -> &str {
    // An escape has at most six bytes for one, and none shortens the text.
    if text.len() <= room / 6 || (text.len() <= room && escaped(text).len() <= room) {
        return text;
    }
    let mut length = 0;
    let end = text.char_indices().find(|(at, char)| {
        length += escaped(&text[*at..*at + char.len_utf8()]).len();
        length > room
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

fn closing(kind: &'static str) -> String {
    format!(r#"","type":"{kind}"}}"#)
}

/// `text` as in a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    // Each piece of a streamed text comes here, and few have anything to escape.
    let is_special = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        return text.into();
    }
    let quoted = canonical_json::write(&text);
    quoted[1..quoted.len() - 1].to_owned().into()
}
