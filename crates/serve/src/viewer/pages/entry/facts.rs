//! The fields and the metadata of an entry, by group.

use attestry::{AuditEntry, metadata as key};
use maud::{Markup, html};
use serde_json::Value;

use crate::viewer::pages::entries::columns::{outcome, safety};
use crate::viewer::strings::entry as strings;
use crate::viewer::text::{cut, text, time};
use crate::viewer::url;

/// Keys of no group that are shown at most, and bytes of a value.
const MAX_KEYS: usize = 200;
const MAX_VALUE: usize = 1_000;

const CALLER: &[&str] = &[
    key::USER,
    key::TENANT,
    key::SERVICE_NAME,
    key::SERVICE_VERSION,
    key::DEPLOYMENT_ENVIRONMENT,
    key::AGENT_ID,
    key::AGENT_NAME,
];
const MODEL: &[&str] = &[
    key::REQUEST_MODEL,
    key::OPERATION,
    key::TOOL_NAME,
    key::TOOL_CALL_ID,
    key::TEMPERATURE,
    key::TOP_P,
    key::MAX_TOKENS,
    key::SEED,
    key::STREAM,
    key::RESPONSE_ID,
    key::SERVER_ADDRESS,
];
const RESULT: &[&str] = &[key::ERROR_TYPE, key::STATUS_CODE, key::FINISH_REASONS];
const USAGE: &[&str] = &[
    key::CACHE_READ_TOKENS,
    key::CACHE_WRITE_TOKENS,
    key::REASONING_TOKENS,
    key::TIME_TO_FIRST_TOKEN,
];
const TRACE: &[&str] = &[key::TRACE_ID, key::SPAN_ID, key::PARENT_SPAN_ID];
const RECORD: &[&str] = &[
    key::PHASE,
    key::SOURCE,
    key::SOURCE_SHA256,
    key::CONTENT,
    key::CONTENT_INPUT,
    key::CONTENT_OUTPUT,
    key::MISSING,
    key::TRUNCATED,
    key::LOSSY,
    key::OUTPUT_BYTES,
    key::OUTPUT_HASH,
];
/// Shown by their fields.
const ELSEWHERE: &[&str] = &[key::OUTCOME, key::SAFETY, key::CALL, key::ADDS_TO];

/// All groups. `end` is the id of the end entry of a start entry.
pub(super) fn facts(entry: &AuditEntry, end: Option<&str>) -> Markup {
    let known = [CALLER, MODEL, RESULT, USAGE, TRACE, RECORD, ELSEWHERE];
    let is_custom = |name: &&String| !known.iter().any(|group| group.contains(&name.as_str()));
    let custom: Vec<_> = entry.metadata.keys().filter(is_custom).collect();
    let conversation = entry.conversation_id.as_deref();
    html! {
        div.groups {
            section { h2 { (strings::CALLER) } dl.facts {
                (from_metadata(entry, CALLER))
                @if let Some(id) = conversation {
                    dt { (strings::CONVERSATION) } dd { a href=(url::conversation(id)) { (shown(id)) } }
                }
            } }
            section { h2 { (strings::MODEL) } dl.facts {
                (fact(strings::PROVIDER, entry.provider.as_deref()))
                (fact(strings::MODEL_NAME, entry.model.as_deref()))
                (from_metadata(entry, MODEL))
            } }
            section { h2 { (strings::RESULT) } dl.facts {
                dt { (strings::OUTCOME) } dd { (outcome(entry)) }
                (from_metadata(entry, RESULT))
                dt { (strings::SAFETY) } dd { (safety(entry)) }
                (list(strings::DETECTORS, &entry.detectors_triggered))
                (fact(strings::BLOCK_REASON, entry.block_reason.as_deref()))
                (list(strings::ALERTS, &entry.alerts))
            } }
            section { h2 { (strings::USAGE) } dl.facts {
                (fact(strings::INPUT_TOKENS, entry.input_tokens.map(|count| count.to_string()).as_deref()))
                (fact(strings::OUTPUT_TOKENS, entry.output_tokens.map(|count| count.to_string()).as_deref()))
                (from_metadata(entry, USAGE))
                (fact(strings::LATENCY, Some(&entry.latency_ms.to_string())))
            } }
            @if entry.metadata.keys().any(|name| TRACE.contains(&name.as_str())) {
                section { h2 { (strings::TRACE) } dl.facts { (from_metadata(entry, TRACE)) } }
            }
            section { h2 { (strings::RECORD) } dl.facts {
                (fact(strings::ID, Some(entry.id.as_str())))
                dt { (strings::TIMESTAMP) } dd { (time(entry.timestamp)) " UTC" }
                (hash(strings::INPUT_HASH, &entry.input_hash))
                (hash(strings::OUTPUT_HASH, &entry.output_hash))
                (from_metadata(entry, RECORD))
                (link(strings::START_ENTRY, entry.call()))
                (link(strings::END_ENTRY, end))
                (link(strings::ADDS_TO, entry.metadata.get(key::ADDS_TO).and_then(Value::as_str)))
            } }
            @if !custom.is_empty() {
                section { h2 { (strings::CUSTOM) } dl.facts {
                    @for name in custom.iter().take(MAX_KEYS) { (from_metadata(entry, &[name.as_str()])) }
                }
                @if custom.len() > MAX_KEYS { p.notice { (strings::more_keys(custom.len() - MAX_KEYS)) } } }
            }
        }
    }
}

fn from_metadata(entry: &AuditEntry, names: &[&str]) -> Markup {
    html! {
        @for name in names {
            @if let Some(value) = entry.metadata.get(*name) {
                dt { (shown(name)) }
                dd {
                    @match value {
                        Value::String(text) => (shown(text)),
                        other => (shown(&other.to_string())),
                    }
                }
            }
        }
    }
}

fn fact(name: &str, value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value { dt { (name) } dd { (shown(value)) } } }
}

fn hash(name: &str, value: &str) -> Markup {
    html! { dt { (name) } dd.mono { (shown(value)) } }
}

fn list(name: &str, values: &[String]) -> Markup {
    html! { @if !values.is_empty() { dt { (name) } dd { (shown(&values.join(", "))) } } }
}

fn link(name: &str, id: Option<&str>) -> Markup {
    html! { @if let Some(id) = id { dt { (name) } dd { a href=(url::entry(id)) { (shown(id)) } } } }
}

fn shown(value: &str) -> Markup {
    let (start, is_whole) = cut(value, MAX_VALUE);
    html! { bdi { (text(start)) @if !is_whole { " … " (strings::CUT) } } }
}
