//! The sections of the page about integrity.

use attestry::Timestamp;
use attestry::evidence::{AnchorRecord, RecordedErasure};
use attestry::file::Quarantined;
use maud::{Markup, html};
use serde_json::Value;

use super::MAX_ROWS;
use super::read::{Checkpoint, Integrity};
use crate::verification::Latest;
use crate::viewer::number::{age, thousands};
use crate::viewer::strings::integrity as strings;
use crate::viewer::table::Column::{Number, Text};
use crate::viewer::table::table;
use crate::viewer::text::{clipped, isolated, text, time};
use crate::viewer::url;

fn fact(name: &str, value: &Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

/// The result of the last verification.
pub(super) fn report(latest: &Latest) -> Markup {
    let report = &latest.report;
    let number = |value: &Value| html! { (value.as_u64().map_or("–".to_owned(), thousands)) };
    let observations = report["observations"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        section {
            h2 { (strings::LAST_VERIFICATION) }
            dl.facts {
                (fact(strings::AT, &time(latest.at)))
                (fact(strings::DURATION, &html! { (format!("{:.1} s", latest.seconds)) }))
                @if let Some(error) = report["error"].as_str() {
                    (fact(strings::REASON, &html! { (text(error)) }))
                } @else {
                    (fact(strings::RECORDS, &number(&report["lines"])))
                    (fact(strings::ERASED, &number(&report["erased"])))
                    (fact(strings::CHECKPOINTS_COMPARED, &number(&report["checkpoints"])))
                    (fact(strings::SIGNED, &number(&report["signed"])))
                    @if report["not_covered"].as_u64() != Some(0) {
                        (fact(strings::NOT_COVERED, &number(&report["not_covered"])))
                    }
                    @if report["adopted"].is_object() {
                        (fact(strings::ADOPTED, &number(&report["adopted"]["leaves"])))
                    }
                }
            }
            (problems(report))
            @if !observations.is_empty() {
                h3 { (strings::OBSERVATIONS) }
                ul {
                    @for observation in observations {
                        @let shown = observation["message"].as_str().or_else(|| observation.as_str());
                        li { (text(&shown.map_or_else(|| observation.to_string(), str::to_owned))) }
                    }
                }
            }
        }
    }
}

fn problems(report: &Value) -> Markup {
    let problems = report["problems"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |problem: &Value, key: &str| problem[key].as_str().unwrap_or("").to_owned();
    let place = |problem: &Value| {
        let leaf =
            problem["leaf"].as_u64().map(|leaf| format!("{} {}", strings::LEAF, thousands(leaf)));
        let path = problem["path"].as_str().map(str::to_owned);
        [path, leaf].into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let unlisted = report["problems_unlisted"].as_u64().unwrap_or_default()
        + problems.len().saturating_sub(MAX_ROWS) as u64;
    let columns = [Text(strings::KIND), Text(strings::WHERE), Text(strings::REASON)];
    let rows = html! {
        @for problem in problems.iter().take(MAX_ROWS) {
            tr {
                td { (text(&of(problem, "kind"))) }
                td {
                    (text(&place(problem)))
                    @if let Some(id) = problem["id"].as_str() {
                        " "
                        @match url::short(id, url::entry) {
                            Some(address) => a href=(address) { (isolated(id)) },
                            None => (clipped(id)),
                        }
                    }
                }
                td { (text(&of(problem, "reason"))) }
            }
        }
    };
    html! {
        @if !problems.is_empty() {
            h3 { (strings::PROBLEMS) }
            (table(strings::PROBLEMS, &columns, &rows))
            @if unlisted > 0 { p.soft { (strings::unlisted(unlisted)) } }
        }
    }
}

/// How long before now a time was.
pub(super) fn ago(at: Timestamp) -> String {
    let micros = Timestamp::now().unix_micros().saturating_sub(at.unix_micros()).max(0);
    strings::ago(&age(u64::try_from(micros).unwrap_or_default() / 1_000_000))
}

pub(super) fn checkpoint(integrity: &Integrity) -> Markup {
    let since = |at: Timestamp| {
        url::with_query(url::ENTRIES, &[("since", &at.to_string()), ("phase", "all")])
    };
    html! {
        section {
            h2 { (strings::CHECKPOINT) }
            @match &integrity.checkpoint {
                None => p.notice.warn { (strings::NO_CHECKPOINT) },
                Some(Checkpoint { origin, leaves, at }) => {
                    dl.facts {
                        (fact(strings::ORIGIN, &isolated(origin)))
                        (fact(strings::LEAVES, &html! { (thousands(*leaves)) }))
                        @match at {
                            Some(at) => (fact(strings::SIGNED_AT, &html! { (ago(*at)) ", " (time(*at)) })),
                            None => (fact(strings::SIGNED_AT, &html! { (strings::UNKNOWN_TIME) })),
                        }
                    }
                    @if let Some(at) = at {
                        p { (strings::SINCE_THEN) " " a href=(since(*at)) { (strings::SHOW_THEM) } }
                    }
                    p { a href=(url::CHECKPOINT) download="checkpoint.txt" { (strings::DOWNLOAD) } }
                },
            }
            @if integrity.signing_fails { p.notice.bad { (strings::SIGNING_FAILS) } }
        }
    }
}

pub(super) fn elsewhere(anchors: &[AnchorRecord]) -> Markup {
    let columns = [
        Text(strings::PLACE),
        Number(strings::HAS),
        Text(strings::AS_OF),
        Number(strings::FAILURES),
        Text(strings::LAST_ERROR),
    ];
    let rows = html! {
        @for anchor in anchors.iter().take(MAX_ROWS) {
            tr {
                th scope="row" { (text(&anchor.anchor)) }
                td.number { (anchor.held.as_ref().map_or("–".to_owned(), |held| thousands(held.leaves))) }
                td { @if let Some(held) = &anchor.held { (ago(held.at)) ", " (time(held.at)) } }
                td.number { (thousands(anchor.failures)) }
                td { (text(anchor.last_error.as_deref().unwrap_or(""))) }
            }
        }
    };
    html! {
        section {
            h2 { (strings::ELSEWHERE) }
            @if anchors.is_empty() { p.notice.warn { (strings::NOWHERE) } } @else {
                p { (strings::SOFT) }
                (table(strings::ELSEWHERE, &columns, &rows))
            }
        }
    }
}

/// The newest erasures first.
pub(super) fn erasures(erasures: &[RecordedErasure], all: usize) -> Markup {
    let earlier = all - erasures.len();
    let columns = [
        Text(strings::AT),
        Text(strings::BY),
        Text(strings::REASON),
        Number(strings::COUNT),
        Number(strings::LEAF),
        Text(strings::SIGNATURE),
    ];
    let rows = html! {
        @for erasure in erasures.iter().rev() {
            tr {
                td { (text(&erasure.erasure.at.to_string().replace('T', " "))) }
                td { (isolated(&erasure.erasure.by)) }
                td { (isolated(&erasure.erasure.reason)) }
                td.number { (thousands(erasure.count)) }
                td.number { (thousands(erasure.leaf)) }
                td { (erasure.signature.as_str()) }
            }
        }
    };
    html! {
        section {
            h2 { (strings::ERASURES) }
            @if erasures.is_empty() { p { (strings::NO_ERASURES) } } @else {
                (table(strings::ERASURES, &columns, &rows))
                @if earlier > 0 { p.soft { (strings::earlier(earlier)) } }
            }
        }
    }
}

pub(super) fn open_calls(open: Option<u64>) -> Markup {
    html! {
        section {
            h2 { (strings::OPEN_CALLS) }
            p {
                @match open {
                    Some(0) => ("0"),
                    Some(count) => {
                        a href=(url::with_query(url::ENTRIES, &[("phase", "open")])) { (thousands(count)) }
                        " – " (strings::OPEN_HELP)
                    },
                    None => (strings::BEING_COUNTED),
                }
            }
        }
    }
}

pub(super) fn quarantined(files: &[Quarantined]) -> Markup {
    let columns = [Text(strings::NAME), Number(strings::BYTES), Text(strings::SINCE)];
    let rows = html! {
        @for file in files.iter().take(MAX_ROWS) {
            tr {
                td { (text(&file.name)) }
                td.number { (thousands(file.length)) }
                td { (time(file.since)) }
            }
        }
    };
    html! {
        section {
            h2 { (strings::QUARANTINE) }
            @if files.is_empty() { p { (strings::QUARANTINE_EMPTY) } } @else {
                p { (strings::QUARANTINE_HELP) }
                (table(strings::QUARANTINE, &columns, &rows))
            }
        }
    }
}
