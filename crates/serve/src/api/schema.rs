//! Types of the description of the API that are not types of this crate, or are written as JSON directly.

#![allow(dead_code)] // only their schemas are used

use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// An interaction to record: the parameters of `log()`.
#[derive(ToSchema)]
pub(super) struct Interaction {
    /// Text, a list of messages, or other JSON, which becomes canonical text (RFC 8785).
    input: Value,
    /// As `input`; `null` for a call without an answer.
    output: Value,
    provider: Option<String>,
    model: Option<String>,
    conversation_id: Option<String>,
    /// Default: true.
    safety_passed: Option<bool>,
    detectors_triggered: Option<Vec<String>>,
    block_reason: Option<String>,
    alerts: Option<Vec<String>>,
    /// Milliseconds.
    latency_ms: Option<f64>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    metadata: Option<Map<String, Value>>,
    /// When it occurred, such as `2026-01-28T09:15:00Z`. Default: now.
    timestamp: Option<String>,
    /// Makes the request idempotent. Default: a new id.
    id: Option<String>,
}

/// A stored entry. Content, and `attestry.other` in the metadata, are there for the roles `content` and `admin`, if
/// they were stored.
#[derive(ToSchema)]
pub(super) struct Entry {
    id: String,
    /// UTC, such as `2026-01-28T09:15:00.000000`.
    timestamp: String,
    /// SHA-256 in hexadecimal, or a keyed hash.
    input_hash: String,
    output_hash: String,
    input_content: Option<String>,
    output_content: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    conversation_id: Option<String>,
    safety_passed: bool,
    detectors_triggered: Vec<String>,
    block_reason: Option<String>,
    alerts: Vec<String>,
    latency_ms: f64,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    metadata: Map<String, Value>,
}

/// A page of entries.
#[derive(ToSchema)]
pub(super) struct Page {
    entries: Vec<Entry>,
    /// The parameter `after` of the next page; `null` on the last one.
    next: Option<String>,
    /// Records that cannot be read.
    unreadable: Vec<String>,
}

/// What became of an interaction.
#[derive(ToSchema)]
pub(super) struct Stored {
    id: String,
    /// The same interaction was stored before.
    present: Option<bool>,
}

/// The id of an entry.
#[derive(ToSchema)]
pub(super) struct Id {
    id: String,
}

/// The number of entries that were erased, or with `dry_run` are selected.
#[derive(ToSchema)]
pub(super) struct Erased {
    erased: Option<u64>,
    selected: Option<u64>,
    /// Records that cannot be read, and so were kept.
    unreadable: Option<Vec<String>>,
}

/// Summaries, as `attestry stats --format json` prints them.
#[derive(ToSchema)]
pub(super) struct Statistics {
    first: Option<String>,
    last: Option<String>,
    total: Summary,
    by: Vec<String>,
    /// A summary with the values of the keys.
    groups: Vec<Map<String, Value>>,
    /// Records that cannot be read.
    unreadable: Vec<String>,
}

/// A summary of entries.
#[derive(ToSchema)]
pub(super) struct Summary {
    entries: u64,
    safety_failed: u64,
    /// A text, if it has more than 64 bits.
    input_tokens: Value,
    output_tokens: Value,
    /// `measured`, `max`, and the percentiles, such as `p50`.
    latency_ms: Map<String, Value>,
}

/// The result of a verification.
#[derive(ToSchema)]
pub(super) struct VerificationResult {
    /// When it ended.
    at: String,
    /// How long it took.
    seconds: f64,
    /// Whether there are no problems.
    clean: bool,
    /// As `attestry verify --format json` prints it.
    report: Map<String, Value>,
}

/// Bytes that are not text.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Binary(Vec<u8>);

/// Problem details (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// What happened, and what to do. Never content.
    detail: String,
}

/// Conditions that select entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Conditions {
    /// At or after this time.
    since: Option<String>,
    /// At or before this time.
    until: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    conversation_id: Option<String>,
    safety_passed: Option<bool>,
    /// This detector triggered.
    detector: Option<String>,
    /// `KEY=VALUE` or `KEY`; may be repeated. The key `attestry.other` needs the role `content`.
    metadata: Option<Vec<String>>,
    /// In the stored content, unencrypted. Needs the role `content`.
    text_contains: Option<String>,
    /// Which entries of calls: `latest`, `all`, `start`, `end` or `open`.
    phase: Option<String>,
    /// `ascending` or `descending`.
    order: Option<String>,
}

/// Which of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// 1 to 1,000; 100 by default.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// How content is returned.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Decryption {
    /// Return content decrypted, after comparing it with its hash.
    decrypt: Option<bool>,
}

/// Why entries are erased.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Erasing {
    /// It is kept on record.
    reason: Option<String>,
}

/// Whether entries are erased.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Trying {
    /// Count what is selected, and erase nothing.
    dry_run: Option<bool>,
}

/// How entries are summarised.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Grouping {
    /// Keys, separated by commas: `provider`, `model`, `conversation`, `safety`, `year`, `month`, `day`, `user`, `tenant`
    /// or `metadata:KEY`, at most 8. Values are cut after 1,024 bytes. `metadata:attestry.other` needs the role
    /// `content`. Default: `provider,model`.
    by: Option<String>,
    /// Percentiles of the latency, separated by commas, at most 16. Default: `50,90,99`.
    percentile: Option<String>,
}
