//! The list as markup.

use attestry::{Order, Phase};
use maud::{Markup, html};

use super::columns::{Column, Field, row};
use super::page::{DEFAULT_SIZE, Page};
use super::selection::{ALL, BEFORE, COLUMN, SEARCH, Selection};
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::viewer::strings::entries as strings;
use crate::viewer::text::text;
use crate::viewer::url;

/// The whole page; `live` is the address of what has come since.
pub(super) fn list(
    selection: &Selection,
    page: &Page,
    caller: &Caller,
    live: Option<&str>,
) -> Markup {
    html! {
        h1 { (strings::TITLE) }
        (filters(selection, caller))
        div.actions {
            a.button href=(other_order(selection)) { (order_name(selection)) }
            @if live.is_some() {
                button type="button" data-live-button aria-pressed="false" hidden
                    data-on=(strings::LIVE_ON) data-failed=(strings::LIVE_FAILED) { (strings::LIVE) }
            }
            span.soft.only-wide { (strings::KEYS) }
        }
        p.visually-hidden role="status" data-live-status data-new=(strings::LIVE_NEW) {}
        @for reason in &page.unreadable { p.notice.bad { (strings::UNREADABLE) " " (text(reason)) } }
        div.scroll tabindex="0" role="region" aria-label=(strings::TITLE) {
            table {
                thead { tr {
                    th scope="col" aria-sort=(sorted(selection)) { (strings::TIME) }
                    @for column in &selection.columns { (column.heading()) }
                } }
                tbody data-live=[live] data-recorded[selection.has_conditions()] { (rows(page, &selection.columns)) }
            }
        }
        @if page.is_partial {
            p.notice.warn {
                (strings::PARTIAL) " "
                a href=(selection.address(url::ENTRIES, &[(SEARCH, ALL)])) { (strings::SEARCH_ALL) }
            }
        } @else if page.rows.is_empty() { p.notice { (strings::NONE) } }
        (pages(selection, page))
        (download(selection, caller))
    }
}

/// The rows alone, for the live view.
pub(super) fn rows(page: &Page, columns: &[Column]) -> Markup {
    html! { @for entry in &page.rows { (row(entry, columns)) } }
}

fn sorted(selection: &Selection) -> &'static str {
    match selection.query.order {
        Order::Ascending => "ascending",
        Order::Descending => "descending",
    }
}

fn order_name(selection: &Selection) -> &'static str {
    match selection.query.order {
        Order::Ascending => strings::NEWEST_FIRST,
        Order::Descending => strings::OLDEST_FIRST,
    }
}

fn other_order(selection: &Selection) -> String {
    selection.reversed().address(url::ENTRIES, &[])
}

fn pages(selection: &Selection, page: &Page) -> Markup {
    let (newer, older) = match selection.query.order {
        Order::Descending => (strings::NEWER, strings::OLDER),
        Order::Ascending => (strings::OLDER, strings::NEWER),
    };
    let address = |key: &str, cursor: Option<String>| {
        cursor.map(|cursor| selection.address(url::ENTRIES, &[(key, &cursor)]))
    };
    let previous = address(BEFORE, page.first().filter(|_| page.has_previous));
    let next = address("after", page.last().filter(|_| page.has_next));
    html! {
        nav.pages aria-label=(strings::PAGES) {
            @if page.has_previous {
                a.button href=(selection.address(url::ENTRIES, &[])) { (strings::FIRST_PAGE) }
            }
            @if let Some(previous) = previous { a.button href=(previous) rel="prev" { "‹ " (newer) } }
            @if let Some(next) = next { a.button href=(next) rel="next" { (older) " ›" } }
        }
    }
}

fn filters(selection: &Selection, caller: &Caller) -> Markup {
    let query = &selection.query;
    let has_filters =
        selection.conditions().iter().any(|(key, _)| key != "order" && key != "phase");
    let time = |time: Option<attestry::Timestamp>| time.map(|time| time.to_string());
    let safety = query.safety_passed.map(|passed| passed.to_string());
    html! {
        details.panel open[has_filters] {
            summary { (strings::FILTERS) }
            form method="get" action=(url::ENTRIES) {
                div.filters {
                    (input("since", strings::SINCE, time(query.since).as_deref(), strings::TIME_FORM))
                    (input("until", strings::UNTIL, time(query.until).as_deref(), strings::TIME_FORM))
                    (input("provider", strings::PROVIDER, query.provider.as_deref(), ""))
                    (input("model", strings::MODEL, query.model.as_deref(), ""))
                    (input("conversation_id", strings::CONVERSATION, query.conversation_id.as_deref(), ""))
                    (input("detector", strings::DETECTOR, query.detector.as_deref(), ""))
                    (select("safety_passed", strings::SAFETY, safety.as_deref().unwrap_or(""), &[
                        ("", strings::ANY), ("true", strings::SAFETY_PASSED), ("false", strings::SAFETY_FAILED),
                    ]))
                    (select("phase", strings::CALLS, &query.phase.to_string(), &PHASES.map(|(phase, name)| (phase_name(phase), name))))
                    @for (number, condition) in query.metadata.iter().enumerate() {
                        (metadata_input(number, &condition.to_string()))
                    }
                    (metadata_input(query.metadata.len(), ""))
                    @if caller.may(Role::Content) {
                        (input("text_contains", strings::TEXT, query.text_contains.as_deref(), ""))
                    }
                    (select("limit", strings::SIZE, &query.limit.unwrap_or(DEFAULT_SIZE).to_string(), &[
                        ("20", "20"), ("50", "50"), ("100", "100"), ("200", "200"),
                    ]))
                    fieldset.choices.wide {
                        legend { (strings::COLUMNS) }
                        @for (field, name, heading) in Field::ALL {
                            label {
                                input type="checkbox" name=(COLUMN) value=(name)
                                    checked[selection.columns.contains(&Column::Field(field))];
                                " " (heading)
                            }
                        }
                        @for column in selection.columns.iter().filter(|column| matches!(column, Column::Metadata(_))) {
                            label { input type="checkbox" name=(COLUMN) value=(column.name()) checked; " " (text(&column.name())) }
                        }
                    }
                    (input(COLUMN, strings::COLUMN_OF_METADATA, None, strings::COLUMN_FORM))
                }
                input type="hidden" name="order" value=(sorted(selection));
                div.actions {
                    button.primary type="submit" { (strings::APPLY) }
                    a href=(url::ENTRIES) { (strings::RESET) }
                }
                p.help { (strings::FILTER_HELP) }
            }
        }
    }
}

const PHASES: [(Phase, &str); 5] = [
    (Phase::Latest, strings::PHASE_LATEST),
    (Phase::All, strings::PHASE_ALL),
    (Phase::Open, strings::PHASE_OPEN),
    (Phase::Start, strings::PHASE_START),
    (Phase::End, strings::PHASE_END),
];

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::All => "all",
        Phase::Start => "start",
        Phase::End => "end",
        Phase::Open => "open",
        _ => "latest",
    }
}

fn input(name: &str, label: &str, value: Option<&str>, placeholder: &str) -> Markup {
    let id = format!(
        "filter-{name}{}",
        if placeholder == strings::COLUMN_FORM { "-metadata" } else { "" }
    );
    let is_first = name == "model";
    html! {
        div {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value.unwrap_or("")) placeholder=(placeholder) autocomplete="off"
                spellcheck="false" data-search[is_first];
        }
    }
}

fn metadata_input(number: usize, value: &str) -> Markup {
    let id = format!("filter-metadata-{number}");
    html! {
        div {
            label for=(id) { (strings::METADATA) }
            input id=(id) name="metadata" value=(value) placeholder=(strings::METADATA_FORM) autocomplete="off" spellcheck="false";
        }
    }
}

fn select(name: &str, label: &str, value: &str, options: &[(&str, &str)]) -> Markup {
    let id = format!("filter-{name}");
    html! {
        div {
            label for=(id) { (label) }
            select id=(id) name=(name) {
                @for (option, name) in options {
                    option value=(option) selected[*option == value] { (name) }
                }
                @if !options.iter().any(|(option, _)| *option == value) { option value=(value) selected { (value) } }
            }
        }
    }
}

fn download(selection: &Selection, caller: &Caller) -> Markup {
    let address = |more: &[(&str, &str)]| selection.address(url::DOWNLOAD, more);
    html! {
        details.panel {
            summary { (strings::DOWNLOAD) }
            p { (strings::DOWNLOAD_HELP) }
            div.actions {
                a.button download href=(address(&[("form", "jsonl")])) { (strings::JSONL) }
                a.button download href=(address(&[("form", "csv")])) { (strings::CSV) }
                @if caller.may(Role::Content) {
                    a.button download href=(address(&[("form", "jsonl"), ("content", "true")])) { (strings::JSONL_CONTENT) }
                    a.button download href=(address(&[("form", "csv"), ("content", "true")])) { (strings::CSV_CONTENT) }
                    a.button download href=(address(&[("form", "proofs")])) { (strings::PROOFS) }
                }
            }
            @if caller.may(Role::Content) { p.help { (strings::CONTENT_HELP) } }
        }
    }
}
