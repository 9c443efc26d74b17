//! The columns of the list.

use attestry::{AuditEntry, Cursor, metadata};
use maud::{Markup, html};
use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use crate::viewer::strings::entries as strings;
use crate::viewer::text::{clipped, cut, time};
use crate::viewer::url;

/// What begins the name of a column of metadata.
const METADATA: &str = "metadata:";
/// More would make no table.
const MAX: usize = 30;

/// A comma separates names.
const IN_NAME: &AsciiSet = &AsciiSet::EMPTY.add(b',').add(b'%');

/// A column of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Field(Field),
    /// The value of a key of the metadata.
    Metadata(String),
}

/// The columns that every entry may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    User,
    Tenant,
    Provider,
    Model,
    Operation,
    Tool,
    Conversation,
    Outcome,
    Safety,
    Detectors,
    InputTokens,
    OutputTokens,
    Latency,
    Phase,
}

impl Field {
    /// With the name in an address, and the heading.
    pub(super) const ALL: [(Self, &'static str, &'static str); 15] = [
        (Self::User, "user", strings::USER),
        (Self::Provider, "provider", strings::PROVIDER),
        (Self::Model, "model", strings::MODEL),
        (Self::Outcome, "outcome", strings::OUTCOME),
        (Self::Safety, "safety", strings::SAFETY),
        (Self::InputTokens, "input_tokens", strings::INPUT_TOKENS),
        (Self::OutputTokens, "output_tokens", strings::OUTPUT_TOKENS),
        (Self::Latency, "latency_ms", strings::LATENCY),
        (Self::Conversation, "conversation", strings::CONVERSATION),
        (Self::Id, "id", strings::ID),
        (Self::Tenant, "tenant", strings::TENANT),
        (Self::Operation, "operation", strings::OPERATION),
        (Self::Tool, "tool", strings::TOOL),
        (Self::Detectors, "detectors", strings::DETECTORS),
        (Self::Phase, "phase", strings::PHASE),
    ];
    /// So many of them are shown unless others are chosen.
    const USUAL: usize = 9;

    fn is_number(self) -> bool {
        matches!(self, Self::InputTokens | Self::OutputTokens | Self::Latency)
    }
}

/// The columns that `names` choose; the usual ones if there is none. Names that are not known are left out.
pub(super) fn chosen(names: &[String]) -> Vec<Column> {
    if names.is_empty() {
        return usual();
    }
    let mut columns = Vec::new();
    for name in names.iter().flat_map(|names| names.split(',')) {
        let column = match name.strip_prefix(METADATA) {
            Some("") => None,
            Some(key) => {
                Some(Column::Metadata(percent_decode_str(key).decode_utf8_lossy().into_owned()))
            }
            None => Field::ALL
                .iter()
                .find(|(_, known, _)| *known == name)
                .map(|(field, ..)| Column::Field(*field)),
        };
        columns.extend(column.filter(|column| !columns.contains(column)));
    }
    columns.truncate(MAX);
    columns
}

pub(super) fn usual() -> Vec<Column> {
    Field::ALL[..Field::USUAL].iter().map(|(field, ..)| Column::Field(*field)).collect()
}

impl Column {
    /// Its name in an address.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Field(field) => {
                let known = Field::ALL.iter().find(|(known, ..)| known == field);
                known.map_or("", |(_, name, _)| name).to_owned()
            }
            Self::Metadata(key) => format!("{METADATA}{}", utf8_percent_encode(key, IN_NAME)),
        }
    }

    pub(super) fn heading(&self) -> Markup {
        match self {
            Self::Field(field) => {
                let heading = Field::ALL.iter().find(|(known, ..)| known == field);
                let class = if field.is_number() { "number" } else { "" };
                html! { th scope="col" class=(class) { (heading.map_or("", |(.., heading)| heading)) } }
            }
            Self::Metadata(key) => html! { th scope="col" { (clipped(key)) } },
        }
    }

    fn cell(&self, entry: &AuditEntry) -> Markup {
        let field = match self {
            Self::Field(field) => *field,
            Self::Metadata(key) => {
                let value = entry.metadata.get(key);
                let text = value.map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                return words(text.as_deref());
            }
        };
        match field {
            Field::Id => words(Some(entry.id.as_str())),
            Field::User => words(entry.user()),
            Field::Tenant => words(entry.tenant()),
            Field::Provider => words(entry.provider.as_deref()),
            Field::Model => words(entry.model.as_deref()),
            Field::Operation => words(entry.operation()),
            Field::Tool => words(entry.tool()),
            Field::Conversation => match entry.conversation_id.as_deref() {
                Some(id) => match url::short(id, url::conversation) {
                    Some(address) => html! { td.short { a href=(address) { (clipped(id)) } } },
                    None => words(Some(id)),
                },
                None => words(None),
            },
            Field::Outcome => html! { td { (outcome(entry)) } },
            Field::Safety => html! { td { (safety(entry)) } },
            Field::Detectors => words(Some(&entry.detectors_triggered.join(", "))),
            Field::InputTokens => number(entry.input_tokens),
            Field::OutputTokens => number(entry.output_tokens),
            Field::Latency => html! { td.number { (entry.latency_ms.round()) } },
            Field::Phase => words(entry.phase()),
        }
    }
}

/// Keys of the metadata that fields show.
const SHOWN: [&str; 7] = [
    metadata::USER,
    metadata::TENANT,
    metadata::OPERATION,
    metadata::TOOL_NAME,
    metadata::OUTCOME,
    metadata::SAFETY,
    metadata::PHASE,
];
/// More bytes of a value are neither shown nor linked.
const MAX_VALUE: usize = 1_000;

/// Leaves of an entry what its row shows: a page has many rows, and an entry may be large.
pub(super) fn strip(entry: &mut AuditEntry, columns: &[Column]) {
    let is_shown = |key: &str| {
        SHOWN.contains(&key)
            || columns
                .iter()
                .any(|column| matches!(column, Column::Metadata(shown) if shown == key))
    };
    let values = std::mem::take(&mut entry.metadata).into_iter();
    entry.metadata = values
        .filter(|(key, _)| is_shown(key))
        .map(|(key, value)| match value {
            Value::String(text) => (key, Value::String(start_of(text))),
            value @ (Value::Array(_) | Value::Object(_)) => {
                (key, Value::String(start_of(value.to_string())))
            }
            value => (key, value),
        })
        .collect();
    for field in [&mut entry.provider, &mut entry.model, &mut entry.conversation_id] {
        *field = field.take().map(start_of);
    }
    let mut left = MAX_VALUE;
    let detectors = std::mem::take(&mut entry.detectors_triggered).into_iter();
    entry.detectors_triggered = detectors
        .map(start_of)
        .take_while(|name| {
            let is_room = left > 0;
            left = left.saturating_sub(name.len() + 1);
            is_room
        })
        .collect();
    (entry.alerts, entry.block_reason) = (Vec::new(), None);
}

fn start_of(text: String) -> String {
    match cut(&text, MAX_VALUE) {
        (_, true) => text,
        (start, false) => start.to_owned(),
    }
}

/// The row of an entry.
pub(super) fn row(entry: &AuditEntry, columns: &[Column]) -> Markup {
    html! {
        tr data-item data-cursor=(Cursor::from(entry)) {
            td { a href=(url::entry(entry.id.as_str())) { (time(entry.timestamp)) } }
            @for column in columns { (column.cell(entry)) }
        }
    }
}

/// How the call ended, in words and in colour.
pub(in crate::viewer) fn outcome(entry: &AuditEntry) -> Markup {
    let class = match entry.outcome() {
        metadata::OUTCOME_COMPLETED => "",
        metadata::OUTCOME_FAILED | metadata::OUTCOME_BLOCKED => "badge bad",
        _ => "badge warn",
    };
    if entry.phase() == Some(metadata::PHASE_START) {
        return html! { span.badge.warn { (strings::NO_END) } };
    }
    html! { span class=(class) { (clipped(entry.outcome())) } }
}

/// What the safety checks said.
pub(in crate::viewer) fn safety(entry: &AuditEntry) -> Markup {
    if !entry.safety_passed {
        return html! { span.badge.bad { (strings::SAFETY_FAILED) } };
    }
    let checked = entry.safety_checked();
    html! { span.soft[!checked] { (if checked { strings::SAFETY_PASSED } else { strings::SAFETY_NOT_CHECKED }) } }
}

fn words(text: Option<&str>) -> Markup {
    html! { td.short { (clipped(text.unwrap_or(""))) } }
}

fn number(value: Option<i64>) -> Markup {
    html! { td.number { @if let Some(value) = value { (value) } } }
}
