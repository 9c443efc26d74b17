//! Calls whose output consists of parts.
#![cfg(feature = "messages")]
#![allow(clippy::unwrap_used)] // test helpers

use attestry_core::{AuditEntry, hash_content, metadata};
use attestry_logger::messages::{Message, Messages, Part, PartKind};
use attestry_logger::{AuditLogger, Interaction};
use attestry_memory::MemoryStorage;
use proptest::prelude::*;
use serde_json::json;

fn logger(store_content: bool, max_content_bytes: usize) -> AuditLogger {
    AuditLogger::builder(MemoryStorage::new())
        .store_content(store_content)
        .max_content_bytes(max_content_bytes)
        .build()
}

fn asked() -> Messages {
    Messages(vec![Message::new("user", [Part::text("2+2?")])])
}

fn answered(parts: impl IntoIterator<Item = Part>) -> Messages {
    Messages(vec![Message::new("assistant", parts)])
}

fn tool_call() -> Part {
    Part::tool_call("c1", "add", json!({"a": 2, "b": [2]}))
}

/// What a call adds to its output.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Part(Part),
}

/// The end entry of a call with this output.
async fn recorded(logger: &AuditLogger, start: Interaction<'_>, pieces: &[Piece]) -> AuditEntry {
    let mut call = logger.start(start).await.unwrap();
    for piece in pieces {
        match piece {
            Piece::Text(text) => call.push(text),
            Piece::Part(part) => call.push_part(part),
        }
    }
    let id = call.finish().await.unwrap();
    logger.get_entry(&id).await.unwrap().unwrap()
}

fn texts(texts: &[&str]) -> Vec<Piece> {
    texts.iter().map(|text| Piece::Text((*text).to_owned())).collect()
}

#[tokio::test]
async fn streamed_parts_have_the_hash_of_the_whole_message() {
    let mut pieces = texts(&["The \"answer\"", "\n", "is"]);
    pieces.push(Piece::Part(Part::text(" 4.")));
    pieces.push(Piece::Part(tool_call()));
    pieces.extend(texts(&["é"]));
    pieces.push(Piece::Part(Part::reasoning("h")));
    pieces.push(Piece::Part(Part::reasoning("m")));
    let output = answered([
        Part::text("The \"answer\"\nis 4."),
        tool_call(),
        Part::text("é"),
        Part::reasoning("hm"),
    ]);
    let whole = Interaction::from_messages(&asked(), &output);
    for store_content in [false, true] {
        let logger = logger(store_content, 1 << 20);
        let start = Interaction::from_messages(&asked(), &Messages::default());
        let entry = recorded(&logger, start, &pieces).await;
        assert_eq!(entry.output_hash, hash_content(whole.output()));
        assert_eq!(entry.content_kinds(), (Some("messages/v1"), Some("messages/v1")));
        let content = logger.decrypt_entry(&entry).unwrap();
        let expected = store_content.then(|| (asked(), output.clone())).unzip();
        assert_eq!(content.messages().unwrap(), expected);
    }
}

#[tokio::test]
async fn metadata_says_what_the_output_is() {
    let logger = logger(true, 1 << 20);
    let part = [Piece::Part(tool_call())];
    let json = || Interaction::new("{}", "").metadata(metadata::CONTENT, metadata::CONTENT_JSON);
    let messages = || Interaction::from_messages(&asked(), &Messages::default());
    for (start, pieces, kinds) in [
        (Interaction::new("2+2?", ""), &texts(&["4"])[..], (None, None)),
        (Interaction::new("2+2?", ""), &part, (None, Some("messages/v1"))),
        (json(), &part, (Some("json"), Some("messages/v1"))),
        (messages(), &texts(&["4"]), (Some("messages/v1"), Some("messages/v1"))),
        (messages(), &[], (Some("messages/v1"), Some("messages/v1"))),
    ] {
        let entry = recorded(&logger, start, pieces).await;
        assert_eq!(entry.content_kinds(), kinds);
        let (_, output) = logger.decrypt_entry(&entry).unwrap().messages().unwrap();
        let is_messages = kinds.1.is_some() && !pieces.is_empty();
        assert_eq!(output.is_some(), is_messages, "{:?}", entry.output_content);
    }
}

#[tokio::test]
async fn output_known_at_the_start_is_kept() {
    let logger = logger(true, 1 << 20);
    let other = Message::new("user", [Part::text("2")]).name("ann");
    let known = Messages(vec![Message::new("assistant", [Part::text("It is")]), other.clone()]);
    let start = Interaction::from_messages(&asked(), &known);
    let entry = recorded(&logger, start, &texts(&[" 4."])).await;
    let (_, output) = logger.decrypt_entry(&entry).unwrap().messages().unwrap();
    let other = Messages(vec![other]).to_value()[0].clone();
    let parts = [Part::text("It is"), Part::other(other), Part::text(" 4.")];
    assert_eq!(output, Some(answered(parts)));
}

fn piece() -> impl Strategy<Value = Piece> {
    let text = || "[a\"\\\\\u{1}\né🦀]{0,6}";
    prop_oneof![
        4 => text().prop_map(Piece::Text),
        // Some of these together are more than is kept of every output.
        1 => ("[a\"é]", 0..3_000_usize).prop_map(|(text, times)| Piece::Text(text.repeat(times))),
        2 => text().prop_map(|text| Piece::Part(Part::text(text))),
        1 => text().prop_map(|text| Piece::Part(Part::reasoning(text))),
        1 => text().prop_map(|text| Piece::Part(Part::tool_call("c", "f", json!({"x": text})))),
        1 => Just(Piece::Part(Part::other(json!({"n": (1_u64 << 53) + 1})))),
    ]
}

/// The message that consists of `pieces`, with texts joined.
fn joined(pieces: &[Piece]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for piece in pieces {
        let part = match piece {
            Piece::Text(text) => Part::text(text),
            Piece::Part(part) => part.clone(),
        };
        match (&part.kind, parts.last_mut().map(|part| &mut part.kind)) {
            (PartKind::Text { content } | PartKind::Reasoning { content }, _)
                if content.is_empty() => {}
            (PartKind::Text { content }, Some(PartKind::Text { content: last }))
            | (PartKind::Reasoning { content }, Some(PartKind::Reasoning { content: last })) => {
                last.push_str(content);
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Whether `stored` is the start of `whole`: parts, of which the last may be the start of a text.
fn is_start(stored: &[Part], whole: &[Part]) -> bool {
    let Some((last, before)) = stored.split_last() else { return true };
    let text = |part: &Part| match &part.kind {
        PartKind::Text { content } | PartKind::Reasoning { content } => Some(content.clone()),
        _ => None,
    };
    let Some(same) = whole.get(before.len()) else { return false };
    let is_start_of_text = last.kind.name() == same.kind.name()
        && text(last).zip(text(same)).is_some_and(|(start, whole)| whole.starts_with(&start));
    before == &whole[..before.len()] && (last == same || is_start_of_text)
}

proptest! {
    /// Of any pieces, whatever fits: the hash is that of the whole message, and what is stored is its start.
    #[test]
    fn pieces_join_to_one_message(
        pieces in prop::collection::vec(piece(), 0..12),
        limit in prop_oneof![0..200_usize, 0..9_000_usize],
        store_content: bool,
        starts_as_messages: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let logger = logger(store_content, limit);
        let start = if starts_as_messages {
            Interaction::from_messages(&asked(), &Messages::default())
        } else {
            Interaction::new("2+2?", "")
        };
        let entry = runtime.block_on(recorded(&logger, start, &pieces));
        let is_message = starts_as_messages || pieces.iter().any(|piece| matches!(piece, Piece::Part(_)));
        prop_assert_eq!(entry.content_kinds().1.is_some(), is_message);
        let hash = entry.metadata.get(metadata::OUTPUT_HASH).and_then(|hash| hash.as_str());
        if !is_message {
            let texts = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Part(_) => "",
            });
            let whole: String = texts.collect();
            prop_assert_eq!(hash.unwrap_or(&entry.output_hash), hash_content(&whole));
            if let Some(stored) = &entry.output_content {
                prop_assert!(stored.len() <= limit && whole.starts_with(stored));
                prop_assert_eq!(hash.is_none(), *stored == whole);
            }
            return Ok(());
        }
        // Written once more, since an integer of more than 53 bits is read back as another part.
        let whole = answered(joined(&pieces)).canonical();
        let whole = if joined(&pieces).is_empty() { String::new() } else { whole };
        prop_assert_eq!(hash.unwrap_or(&entry.output_hash), hash_content(&whole));
        let Some(stored) = &entry.output_content else {
            prop_assert!(!store_content);
            return Ok(());
        };
        prop_assert_eq!(&hash_content(stored), &entry.output_hash);
        prop_assert_eq!(hash.is_none(), *stored == whole);
        prop_assert!(stored.len() <= limit + 64, "{} bytes of {limit}", stored.len());
        if !stored.is_empty() {
            let parsed = Messages::parse(stored).unwrap();
            prop_assert_eq!(&parsed.canonical(), stored);
            let whole = Messages::parse(&whole).unwrap();
            prop_assert!(is_start(&parsed.0[0].parts, &whole.0[0].parts), "{stored}");
            let bytes = entry.metadata.get(metadata::OUTPUT_BYTES).and_then(|bytes| bytes.as_u64());
            prop_assert_eq!(bytes.unwrap_or(stored.len() as u64), whole.canonical().len() as u64);
        }
    }
}
