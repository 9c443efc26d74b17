//! The content of an entry as text: messages with their roles, code, tool calls. Nothing in it becomes markup.

use std::io;

use attestry::messages::{Message, Messages, Part, PartKind};
use attestry::metadata;
use http::Uri;
use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;

use super::media::{self, Place};
use super::strings::content as strings;
use super::text::{clipped, text};
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;

/// Whether an address asks for content. Fails if the caller may not see that, or nothing at all.
pub(super) fn shows_content(caller: &Caller, uri: &Uri) -> Result<bool, Problem> {
    caller.require(Role::Read)?;
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    match pairs.find(|(key, _)| key == "content") {
        None => Ok(false),
        Some((_, value)) if value == "show" => caller.require(Role::Content).map(|()| true),
        Some(_) => Err(Problem::bad_request("content: expected show")),
    }
}

/// About the bytes of a page that its texts may have.
pub(super) const PAGE_BYTES: usize = 90_000;
/// What a line of a page costs besides its text.
const PART_BYTES: usize = 150;
/// More messages are not shown on a page, and neither are more parts.
const MAX_MESSAGES: usize = 200;

/// What is left of the bytes that the texts of a page may have.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    /// Whether something was left out.
    pub(super) is_cut: bool,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: bytes, is_cut: false }
    }

    /// The start of `given` that still fits, as it will be written.
    pub(super) fn take<'a>(&mut self, given: &'a str) -> &'a str {
        for (at, character) in given.char_indices() {
            let bytes = text(character.encode_utf8(&mut [0; 4])).written();
            if bytes > self.left {
                self.is_cut = true;
                return &given[..at];
            }
            self.left -= bytes;
        }
        given
    }

    /// Whether there is room for another part.
    fn take_part(&mut self) -> bool {
        let is_room = self.left > PART_BYTES;
        self.left = self.left.saturating_sub(PART_BYTES);
        self.is_cut |= !is_room;
        is_room
    }
}

/// A text of the kind that the metadata names; as it is, if it is not of that kind.
pub(super) fn content(
    given: &str,
    kind: Option<&str>,
    place: Place<'_>,
    budget: &mut Budget,
) -> Markup {
    match kind {
        Some(metadata::CONTENT_MESSAGES_V1) => match Messages::parse(given) {
            Ok(parsed) => messages(&parsed.0, 0, place, budget),
            Err(_) => plain(given, budget),
        },
        Some(metadata::CONTENT_JSON) => json_text(given, budget),
        _ => plain(given, budget),
    }
}

/// Messages, of which the first is number `first` of its text.
pub(super) fn messages(
    messages: &[Message],
    first: usize,
    place: Place<'_>,
    budget: &mut Budget,
) -> Markup {
    html! {
        @for (number, message) in messages.iter().enumerate() {
            @if number < MAX_MESSAGES && budget.take_part() {
                div.message.(role_class(&message.role)) {
                    p.role {
                        (clipped(&message.role))
                        @if let Some(name) = &message.name { " (" (clipped(name)) ")" }
                    }
                    @for (part_number, part) in message.parts.iter().enumerate() {
                        @if budget.take_part() {
                            (self::part(part, place, (first + number, part_number), budget))
                        }
                    }
                    @if let Some(reason) = &message.finish_reason { p.soft { (strings::FINISHED) " " (clipped(reason)) } }
                    (extra(&message.extra, budget))
                }
            }
        }
        @if messages.len() > MAX_MESSAGES { p.notice { (strings::more_messages(messages.len() - MAX_MESSAGES)) } }
    }
}

fn role_class(role: &str) -> &'static str {
    match role {
        "user" => "user",
        "system" | "developer" => "system",
        "tool" => "tool",
        _ => "other",
    }
}

fn part(part: &Part, place: Place<'_>, number: (usize, usize), budget: &mut Budget) -> Markup {
    html! {
        @match &part.kind {
            PartKind::Text { content } => { (plain(content, budget)) }
            PartKind::Reasoning { content } => {
                details { summary { (strings::REASONING) } (plain(content, budget)) }
            }
            PartKind::ToolCall { id, name, arguments } => {
                div.tool-call {
                    p { (strings::TOOL_CALL) " " code { (clipped(name)) } (tool_id(id.as_deref())) }
                    @if let Some(arguments) = arguments { (value(arguments, budget)) }
                }
            }
            PartKind::ToolCallResponse { id, response } => {
                div.tool-call {
                    p { (strings::TOOL_RESULT) (tool_id(id.as_deref())) }
                    (value(response, budget))
                }
            }
            PartKind::Blob { modality, mime_type, content } => {
                (media::blob(modality, mime_type.as_deref(), content.len() / 4 * 3, place, number))
            }
            PartKind::File { modality, mime_type, file_id } => {
                p { (media_name(modality, mime_type.as_deref())) " " (strings::UPLOADED) " " code { (clipped(file_id)) } }
            }
            PartKind::Uri { modality, mime_type, uri } => {
                p { (media_name(modality, mime_type.as_deref())) " " (strings::AT) " " code { (clipped(uri)) } }
            }
            PartKind::Other { value: other } => { (value(other, budget)) }
            PartKind::Unknown { name } => { p { (strings::UNKNOWN_PART) " " code { (clipped(name)) } } }
            _ => { p { (strings::UNKNOWN_PART) } }
        }
        (extra(&part.extra, budget))
    }
}

fn tool_id(id: Option<&str>) -> Markup {
    html! { @if let Some(id) = id { " " span.soft { code { (clipped(id)) } } } }
}

fn media_name(modality: &str, mime_type: Option<&str>) -> Markup {
    html! { (clipped(modality)) @if let Some(mime_type) = mime_type { " (" (clipped(mime_type)) ")" } }
}

fn extra(extra: &serde_json::Map<String, Value>, budget: &mut Budget) -> Markup {
    html! { @if !extra.is_empty() { (json(extra, budget)) } }
}

/// A JSON value; a text as it is.
fn value(value: &Value, budget: &mut Budget) -> Markup {
    match value {
        Value::String(text) => plain(text, budget),
        other => json(other, budget),
    }
}

fn json(value: &impl Serialize, budget: &mut Budget) -> Markup {
    // One byte more than fits: so the budget sees that it is not all.
    let pretty = pretty(value, budget.left + 1);
    html! { pre tabindex="0" { (text(budget.take(&pretty))) } }
}

/// The first `max` bytes of indented JSON, or all of it. Indentation can be a hundred times as long as the values.
fn pretty(value: &impl Serialize, max: usize) -> String {
    struct Start {
        bytes: Vec<u8>,
        max: usize,
    }

    impl io::Write for Start {
        fn write(&mut self, more: &[u8]) -> io::Result<usize> {
            let fit = more.len().min(self.max - self.bytes.len());
            self.bytes.extend_from_slice(&more[..fit]);
            // With 0, the rest is not printed.
            Ok(fit)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut start = Start { bytes: Vec::new(), max };
    let is_whole = serde_json::to_writer_pretty(&mut start, value).is_ok();
    let text = String::from_utf8_lossy(&start.bytes);
    // Without the character that the end cut.
    if is_whole { text.into_owned() } else { text.trim_end_matches('\u{fffd}').to_owned() }
}

fn json_text(given: &str, budget: &mut Budget) -> Markup {
    match serde_json::from_str::<Value>(given) {
        Ok(parsed @ (Value::Array(_) | Value::Object(_))) => value(&parsed, budget),
        _ => plain(given, budget),
    }
}

/// A text, with the code between fences set apart.
pub(super) fn plain(given: &str, budget: &mut Budget) -> Markup {
    let given = budget.take(given);
    html! {
        @for (is_code, block) in blocks(given) {
            @if is_code { pre tabindex="0" dir="auto" { code { (text(block)) } } }
            @else { div.text dir="auto" { (text(block)) } }
        }
    }
}

/// The code between lines that begin with three backticks, and the text around it. Together they are all of `given`.
fn blocks(given: &str) -> Vec<(bool, &str)> {
    const MAX: usize = 200;
    let (mut blocks, mut start, mut is_code, mut at) = (Vec::new(), 0, false, 0);
    for line in given.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim_start().starts_with("```") && blocks.len() < MAX {
            // The fence is part of the code, so that the text is all there.
            let until = if is_code { end } else { at };
            if until > start {
                blocks.push((is_code, &given[start..until]));
            }
            (start, is_code) = (until, !is_code);
        }
        at = end;
    }
    if start < given.len() {
        blocks.push((is_code, &given[start..]));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_set_apart_and_nothing_is_lost() {
        let given = "a\n```rust\nfn x() {}\n```\nb\n```\nopen";
        let found = blocks(given);
        assert_eq!(
            found,
            [
                (false, "a\n"),
                (true, "```rust\nfn x() {}\n```\n"),
                (false, "b\n"),
                (true, "```\nopen")
            ]
        );
        assert_eq!(found.iter().map(|(_, block)| *block).collect::<String>(), given);
        assert_eq!(blocks(""), []);
    }

    #[test]
    fn page_stays_small_whatever_the_text_is() {
        for given in ["\0", "<", "\u{202e}", "ä", "x", "```\n"] {
            let mut budget = Budget::new(10_000);
            let page = plain(&given.repeat(1_000_000), &mut budget).into_string();
            assert!(page.len() < 30_000, "{given:?}: {}", page.len());
            assert!(budget.is_cut);
        }
        let place = Place { id: "e", side: "input" };
        let many = vec![Message::new("user", vec![Part::text("x"); 3]); 100_000];
        let mut budget = Budget::new(10_000);
        let page = messages(&many, 0, place, &mut budget).into_string();
        assert!(page.len() < 30_000, "{}", page.len());
        assert!(budget.is_cut);
    }

    #[test]
    fn json_is_printed_as_far_as_it_is_shown() {
        let mut nested = serde_json::json!(vec![0; 100_000]);
        for _ in 0..100 {
            nested = serde_json::json!([nested]);
        }
        assert!(pretty(&nested, 10_000).len() <= 10_000);
        let mut budget = Budget::new(10_000);
        let page = value(&nested, &mut budget).into_string();
        assert!(page.len() < 30_000 && budget.is_cut, "{}", page.len());
        for max in 0..20 {
            let start = pretty(&serde_json::json!(["\u{20ac}\u{20ac}"]), max);
            assert!("[\n  \"\u{20ac}\u{20ac}\"\n]".starts_with(&start), "{start:?}");
        }
        let mut budget = Budget::new(1_000);
        assert!(value(&serde_json::json!({"a": [1]}), &mut budget).into_string().contains("1\n"));
        assert!(!budget.is_cut);
    }

    #[test]
    fn parts_are_text_and_never_load_anything() {
        let place = Place { id: "e", side: "input" };
        let given = serde_json::json!([{ "role": "<img src=x>", "parts": [
            { "type": "text", "content": "<script>alert(1)</script> https://evil.example" },
            { "type": "uri", "modality": "image", "uri": "https://evil.example/x.png" },
            { "type": "tool_call", "id": "1", "name": "<b>", "arguments": { "q": "</pre><script>" } },
            { "type": "<i>", "x": "<u>" },
        ] }]);
        let kind = Some(metadata::CONTENT_MESSAGES_V1);
        let shown =
            content(&given.to_string(), kind, place, &mut Budget::new(PAGE_BYTES)).into_string();
        for markup in ["<script", "<img", "<a ", "<b>", "<i>", "<u>", "src=\"http"] {
            assert!(!shown.contains(markup), "{markup}: {shown}");
        }
        for text in
            ["&lt;script&gt;alert(1)", "https://evil.example/x.png", "&lt;/pre&gt;&lt;script&gt;"]
        {
            assert!(shown.contains(text), "{text}: {shown}");
        }
    }
}
