//! What identifies a call in its records.

use std::collections::BTreeSet;

use attestry_core::{AuditEntry, metadata};
use serde_json::Value;

use crate::record::CallRecord;

/// What identifies a call in one of its records: a span, the provider's id of the response, or the id in an export. Records
/// with a common key are of one call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinKey(Key);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Span { trace: String, span: String },
    Response { provider: String, id: String },
    Record { source: String, key: String },
}

impl JoinKey {
    /// Whether the key identifies a call only among those that started within ten minutes: some providers use the id
    /// of a response again.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        matches!(self.0, Key::Response { .. })
    }

    /// The keys of the call that `entry` was made of: those that [`CallRecord::join_keys`] had for its spans and its
    /// response.
    #[must_use]
    pub fn of_entry(entry: &AuditEntry) -> BTreeSet<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let span = |trace: &Value, span: &Value| {
            Some(Self(Key::Span { trace: text(trace)?, span: text(span)? }))
        };
        let fields = &entry.metadata;
        let field = |key: &str| fields.get(key).unwrap_or(&Value::Null);
        let more = field(metadata::OTHER)["spans"].as_array();
        let more = more.into_iter().flatten().map(|more| span(&more["trace_id"], &more["span_id"]));
        let mut keys: BTreeSet<Self> = more
            .chain([span(field(metadata::TRACE_ID), field(metadata::SPAN_ID))])
            .flatten()
            .collect();
        if let Some(id) = text(field(metadata::RESPONSE_ID)) {
            let provider = entry.provider.clone().unwrap_or_default();
            keys.insert(Self(Key::Response { provider, id }));
        }
        keys
    }
}

impl CallRecord {
    /// What identifies the call; see [`JoinKey`].
    #[must_use]
    pub fn join_keys(&self) -> BTreeSet<JoinKey> {
        let spans = self.spans.iter();
        let mut keys: BTreeSet<_> = spans
            .map(|span| JoinKey(Key::Span { trace: span.trace.clone(), span: span.span.clone() }))
            .collect();
        // Within an export, its own id is exact.
        if let Some(key) = self.own_id.as_ref().or(self.join_key.as_ref()) {
            let source = self.sources.first().cloned().unwrap_or_default();
            keys.insert(JoinKey(Key::Record { source, key: key.clone() }));
        } else if let Some(id) = self.response_id() {
            let provider = self.provider.clone().unwrap_or_default();
            keys.insert(JoinKey(Key::Response { provider, id: id.to_owned() }));
        }
        keys
    }
}
