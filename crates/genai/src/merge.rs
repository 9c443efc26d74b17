//! Joining the records of one call.
//!
//! Every field is joined by an operation that is commutative, associative and idempotent, so the result depends
//! neither on the order of the records nor on repetitions.

use std::collections::BTreeMap;

use attestry_core::{hash_content, metadata};
use attestry_logger::messages::Messages;
use serde_json::{Map, Value};

use crate::json::{self, structured};
use crate::messages::{messages_from_json, messages_or_value};
use crate::record::{CallRecord, Content, Piece, Side};

impl CallRecord {
    /// Joins what `other` says about the same call. The result is the same in whatever order records are joined, and
    /// joining one twice changes nothing.
    ///
    /// Where two records differ, the one that says more counts: the longer content, the larger number of tokens,
    /// the earlier start, the name of the model that is more exact.
    pub fn merge(&mut self, other: Self) {
        self.sources.extend(other.sources);
        self.hashes.extend(other.hashes);
        self.input = richer(self.input.take(), other.input);
        self.output = richer(self.output.take(), other.output);
        self.pieces.extend(other.pieces);
        self.provider = self.provider.take().max(other.provider);
        self.model = longer(self.model.take(), other.model);
        self.conversation_id = self.conversation_id.take().max(other.conversation_id);
        // One detector that objected is enough.
        self.safety_passed = match (self.safety_passed, other.safety_passed) {
            (Some(a), Some(b)) => Some(a && b),
            (a, b) => a.or(b),
        };
        self.detectors.extend(other.detectors);
        self.block_reason = longer(self.block_reason.take(), other.block_reason);
        self.alerts.extend(other.alerts);
        self.started = match (self.started, other.started) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.latency_ms = match (self.latency_ms, other.latency_ms) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.input_tokens = self.input_tokens.max(other.input_tokens);
        self.output_tokens = self.output_tokens.max(other.output_tokens);
        merge_maps(&mut self.metadata, other.metadata);
        merge_maps(&mut self.other, other.other);
        self.truncated.extend(other.truncated);
        self.lossy.extend(other.lossy);
        self.spans.extend(other.spans);
        self.position = match (self.position, other.position) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.own_id = self.own_id.take().max(other.own_id);
        self.join_key = self.join_key.take().max(other.join_key);
    }

    /// Puts input and output together from their pieces, where no record had the whole.
    pub(crate) fn assemble(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        let mut sides: BTreeMap<Side, Vec<Piece>> = BTreeMap::new();
        for ((side, ..), piece) in pieces {
            sides.entry(side).or_default().push(piece);
        }
        for (side, pieces) in sides {
            let known = match side {
                Side::Input => &mut self.input,
                Side::Output => &mut self.output,
            };
            if known.is_none() {
                *known = assembled(pieces);
            }
        }
        // An error type alone does not say how the call ended.
        if self.metadata.contains_key(metadata::ERROR_TYPE) {
            let outcome = metadata::OUTCOME_FAILED;
            self.metadata.entry(metadata::OUTCOME).or_insert_with(|| outcome.into());
        }
    }

    pub(crate) fn add_piece(&mut self, side: Side, order: u64, tie: u64, piece: Piece) {
        self.pieces.insert((side, order, tie), piece);
    }
}

fn assembled(pieces: Vec<Piece>) -> Option<Content> {
    let is_fragment = matches!(pieces.first(), Some(Piece::Fragment(_)));
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Message(text) | Piece::Fragment(text) => text,
    });
    if !is_fragment {
        let messages: Option<Messages> = texts
            .map(|text| json::embedded(&text).and_then(messages_from_json))
            .try_fold(Vec::new(), |mut all, messages| {
                all.extend(messages?.0);
                Some(all)
            })
            .map(Messages);
        return messages.map(Content::Messages);
    }
    let whole: String = texts.collect();
    match structured(Value::String(whole)) {
        Value::String(text) => Some(Content::Text(text)),
        value => Some(messages_or_value(value).map_or_else(Content::Json, Content::Messages)),
    }
}

/// Messages say more than JSON, and JSON more than text; then the longer one; then any, but always the same.
fn richer(a: Option<Content>, b: Option<Content>) -> Option<Content> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) if a != b => (a, b),
        (a, b) => return a.or(b),
    };
    let kind = |content: &Content| {
        let kind = match content {
            Content::Text(_) => 0,
            Content::Json(_) => 1,
            Content::Messages(_) => 2,
        };
        (!content.is_empty(), kind)
    };
    // Texts are made only if they decide.
    let text = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        Content::Json(value) => value.to_string(),
        Content::Messages(messages) => messages.canonical(),
    };
    let order = kind(&a).cmp(&kind(&b)).then_with(|| {
        let (a, b) = (text(&a), text(&b));
        a.len().cmp(&b.len()).then_with(|| hash_content(&a).cmp(&hash_content(&b)))
    });
    Some(if order.is_ge() { a } else { b })
}

fn longer(a: Option<String>, b: Option<String>) -> Option<String> {
    a.map(|text| (text.len(), text)).max(b.map(|text| (text.len(), text))).map(|(_, text)| text)
}

fn merge_maps(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match into.get_mut(&key) {
            None => drop(into.insert(key, value)),
            Some(known) if *known == value => {}
            Some(known) => {
                let rank = |value: &Value| (!json::is_empty(value), value.to_string());
                if rank(&value) > rank(known) {
                    *known = value;
                }
            }
        }
    }
}
