//! The fields and the metadata of an entry, by group.

use attestry::{AuditEntry, metadata as key};
use maud::{Markup, html};
use serde_json::Value;

use crate::viewer::content::Budget;
use crate::viewer::pages::entries::columns::{outcome, safety};
use crate::viewer::strings::entry as strings;
use crate::viewer::text::{cut_written, text, time};
use crate::viewer::url;

/// Keys of no group that are shown at most, and bytes of a value.
const MAX_KEYS: usize = 200;
const MAX_VALUE: usize = 1_000;
/// Bytes that a value becomes.
const MAX_WRITTEN: usize = 4_000;
/// Bytes of all names and values, as they are written.
const MAX_BYTES: usize = 40_000;

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
    let budget = &mut Budget::new(MAX_BYTES);
    // Whatever the other fields are, its id and hashes are there.
    let of_record = &mut Budget::new(MAX_BYTES);
    html! {
        div.groups {
            section { h2 { (strings::CALLER) } dl.facts {
                (from_metadata(entry, CALLER, budget))
                @if let Some(id) = conversation {
                    dt { (strings::CONVERSATION) } dd { (linked(id, url::conversation, budget)) }
                }
            } }
            section { h2 { (strings::MODEL) } dl.facts {
                (fact(strings::PROVIDER, entry.provider.as_deref(), budget))
                (fact(strings::MODEL_NAME, entry.model.as_deref(), budget))
                (from_metadata(entry, MODEL, budget))
            } }
            section { h2 { (strings::RESULT) } dl.facts {
                dt { (strings::OUTCOME) } dd { (outcome(entry)) }
                (from_metadata(entry, RESULT, budget))
                dt { (strings::SAFETY) } dd { (safety(entry)) }
                (list(strings::DETECTORS, &entry.detectors_triggered, budget))
                (fact(strings::BLOCK_REASON, entry.block_reason.as_deref(), budget))
                (list(strings::ALERTS, &entry.alerts, budget))
            } }
            section { h2 { (strings::USAGE) } dl.facts {
                (fact(strings::INPUT_TOKENS, entry.input_tokens.map(|count| count.to_string()).as_deref(), budget))
                (fact(strings::OUTPUT_TOKENS, entry.output_tokens.map(|count| count.to_string()).as_deref(), budget))
                (from_metadata(entry, USAGE, budget))
                (fact(strings::LATENCY, Some(&entry.latency_ms.to_string()), budget))
            } }
            @if entry.metadata.keys().any(|name| TRACE.contains(&name.as_str())) {
                section { h2 { (strings::TRACE) } dl.facts { (from_metadata(entry, TRACE, budget)) } }
            }
            section { h2 { (strings::RECORD) } dl.facts {
                (fact(strings::ID, Some(entry.id.as_str()), of_record))
                dt { (strings::TIMESTAMP) } dd { (time(entry.timestamp)) " UTC" }
                (hash(strings::INPUT_HASH, &entry.input_hash, of_record))
                (hash(strings::OUTPUT_HASH, &entry.output_hash, of_record))
                (from_metadata(entry, RECORD, of_record))
                (link(strings::START_ENTRY, entry.call(), of_record))
                (link(strings::END_ENTRY, end, of_record))
                (link(strings::ADDS_TO, entry.metadata.get(key::ADDS_TO).and_then(Value::as_str), of_record))
            } }
            @if !custom.is_empty() {
                section { h2 { (strings::CUSTOM) } dl.facts {
                    @for name in custom.iter().take(MAX_KEYS) { (from_metadata(entry, &[name.as_str()], budget)) }
                }
                @if custom.len() > MAX_KEYS { p.notice { (strings::more_keys(custom.len() - MAX_KEYS)) } } }
            }
        }
    }
}

fn from_metadata(entry: &AuditEntry, names: &[&str], budget: &mut Budget) -> Markup {
    html! {
        @for name in names {
            @if let Some(value) = entry.metadata.get(*name) {
                dt { (shown(name, budget)) }
                dd {
                    @match value {
                        Value::String(text) => (shown(text, budget)),
                        other => (shown(&other.to_string(), budget)),
                    }
                }
            }
        }
    }
}

fn fact(name: &str, value: Option<&str>, budget: &mut Budget) -> Markup {
    html! { @if let Some(value) = value { dt { (name) } dd { (shown(value, budget)) } } }
}

fn hash(name: &str, value: &str, budget: &mut Budget) -> Markup {
    html! { dt { (name) } dd.mono { (shown(value, budget)) } }
}

fn list(name: &str, values: &[String], budget: &mut Budget) -> Markup {
    html! { @if !values.is_empty() { dt { (name) } dd { (shown(&values.join(", "), budget)) } } }
}

fn link(name: &str, id: Option<&str>, budget: &mut Budget) -> Markup {
    html! { @if let Some(id) = id { dt { (name) } dd { (linked(id, url::entry, budget)) } } }
}

/// An id, with a link unless that would be too long.
fn linked(id: &str, address: fn(&str) -> String, budget: &mut Budget) -> Markup {
    let shown = shown(id, budget);
    match url::short(id, address) {
        Some(address) => html! { a href=(address) { (shown) } },
        None => shown,
    }
}

fn shown(value: &str, budget: &mut Budget) -> Markup {
    let start = budget.take(cut_written(value, MAX_VALUE, MAX_WRITTEN).0);
    html! { bdi { (text(start)) @if start.len() < value.len() { " … " (strings::CUT) } } }
}
