//! The page about integrity: is the record intact, and how far is that known.

mod read;

use std::convert::Infallible;
use std::sync::Arc;

use attestry::Timestamp;
use attestry::evidence::{AnchorRecord, EvidenceExt as _, RecordedErasure};
use attestry::file::Quarantined;
use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::Uri;
use maud::{Markup, html};
use serde_json::Value;
use tokio::sync::watch;

use self::read::{Checkpoint, Integrity};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::verification::{Latest, Progress};
use crate::verify_store::Running;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::number::{age, thousands};
use crate::viewer::strings::integrity as strings;
use crate::viewer::text::{isolated, text, time};
use crate::viewer::url::{self, see_other};

/// After so many seconds, a verification says little about the record as it is now.
const OLD: i64 = 24 * 3600;
/// Rows of each list.
const MAX_ROWS: usize = 100;

pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let integrity = Integrity::read(&state).await?;
    state.record_access(&caller, Action::Summarise, &request(&uri), None).await?;
    let is_running = integrity.running.is_some();
    let head = html! {
        // The script knows sooner.
        @if is_running { noscript { meta http-equiv="refresh" content="2"; } }
    };
    let page = html! {
        h1 { (strings::TITLE) }
        (verdict(&integrity))
        @if integrity.keeps_evidence { (verify(&frame, &integrity)) }
        @if let Some(latest) = &integrity.latest { (report(latest)) }
        @if integrity.keeps_evidence {
            (checkpoint(&integrity))
            (elsewhere(&integrity.anchors))
            (erasures(&integrity.erasures, integrity.all_erasures))
        }
        (open_calls(integrity.open))
        @if let Some(quarantine) = &integrity.quarantine { (quarantined(quarantine)) }
    };
    Ok(frame.page_with_head(strings::TITLE, Nav::Integrity, &head, &page))
}

/// Begins a verification, unless one runs.
pub(in crate::viewer) async fn start(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    state.logger.evidence()?.latest_checkpoint().await?;
    if state.verifications.progress().borrow().is_none() {
        let running = Running::begin(&state, &caller, &request(&uri)).await?;
        tokio::spawn(async move {
            // The page shows what comes of it.
            let _ = running.run(&state, watch::channel((0, 0)).0).await;
        });
    }
    Ok(see_other(url::INTEGRITY))
}

/// How far the verification is that runs, as events, and one when none runs.
pub(in crate::viewer) async fn progress(State(state): State<Arc<AppState>>) -> Response {
    let events = stream::unfold(Some(state.verifications.progress()), |progress| async move {
        let mut progress = progress?;
        let current: Option<Progress> = *progress.borrow_and_update();
        let Some((done, total)) = current else {
            return Some((Ok::<_, Infallible>(Event::default().event("ended").data("{}")), None));
        };
        let data = serde_json::json!({
            "done": done, "total": total, "text": strings::verified_so_far(done, total),
        });
        let event = Event::default().event("progress").data(data.to_string());
        let is_open = progress.changed().await.is_ok();
        Some((Ok(event), is_open.then_some(progress)))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// The signed checkpoint as text.
pub(in crate::viewer) async fn checkpoint_note(
    State(state): State<Arc<AppState>>,
) -> Result<String, Problem> {
    let latest = state.logger.evidence()?.latest_checkpoint().await?;
    let latest = latest.ok_or_else(|| Problem::not_found("no checkpoint was signed yet"))?;
    Ok(latest.to_string())
}

/// The state of the record in one sentence.
fn verdict(integrity: &Integrity) -> Markup {
    let (class, mark, sentence) = match &integrity.latest {
        _ if !integrity.keeps_evidence => ("warn", "!", strings::NO_EVIDENCE.to_owned()),
        None if integrity.running.is_some() => ("warn", "…", strings::RUNNING.to_owned()),
        None => ("warn", "?", strings::NOT_VERIFIED.to_owned()),
        Some(latest) => match latest.problems {
            Some(0) => {
                let of = |key: &str| latest.report[key].as_u64().unwrap_or_default();
                let (class, mark) = if is_old(latest) { ("warn", "!") } else { ("ok", "✓") };
                (class, mark, strings::intact(&thousands(of("lines")), of("checkpoints")))
            }
            Some(problems) => ("bad", "✗", strings::not_intact(problems)),
            None => ("bad", "✗", strings::NOT_COMPLETED.to_owned()),
        },
    };
    html! {
        p class={ "notice verdict " (class) } role="status" {
            span aria-hidden="true" { (mark) } " " (sentence)
            @if let Some(latest) = integrity.latest.as_ref().filter(|_| integrity.keeps_evidence) {
                " " (strings::VERIFIED) " " (ago(latest.at)) "."
                @if is_old(latest) { " " (strings::OLD) }
            }
        }
        @if integrity.keeps_evidence && !integrity.has_key { p.notice.warn { (strings::NO_KEY) } }
    }
}

fn is_old(latest: &Latest) -> bool {
    Timestamp::now().unix_micros().saturating_sub(latest.at.unix_micros()) > OLD * 1_000_000
}

/// The button, or how far the verification is.
fn verify(frame: &Frame, integrity: &Integrity) -> Markup {
    html! {
        @match integrity.running {
            Some((done, total)) => {
                div.running data-progress=(url::PROGRESS) {
                    p { label for="progress" { (strings::RUNNING) } }
                    progress id="progress" max=(total.max(1)) value=(done) aria-label=(strings::PROGRESS) {}
                    p.soft data-progress-text { (strings::verified_so_far(done, total)) }
                }
            },
            None => {
                form.actions method="post" action=(url::VERIFY) {
                    (frame.form_token())
                    button.primary type="submit" { (strings::VERIFY) }
                    span.help { (strings::VERIFY_HELP) }
                }
            },
        }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

/// The result of the last verification.
fn report(latest: &Latest) -> Markup {
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
    html! {
        @if !problems.is_empty() {
            h3 { (strings::PROBLEMS) }
            div.scroll tabindex="0" role="region" aria-label=(strings::PROBLEMS) {
                table {
                    thead {
                        tr {
                            th scope="col" { (strings::KIND) }
                            th scope="col" { (strings::WHERE) }
                            th scope="col" { (strings::REASON) }
                        }
                    }
                    tbody {
                        @for problem in &problems[..problems.len().min(MAX_ROWS)] {
                            tr {
                                td { (text(&of(problem, "kind"))) }
                                td {
                                    (text(&place(problem)))
                                    @if let Some(id) = problem["id"].as_str() { " " a href=(url::entry(id)) { (isolated(id)) } }
                                }
                                td { (text(&of(problem, "reason"))) }
                            }
                        }
                    }
                }
            }
            @if unlisted > 0 { p.soft { (strings::unlisted(unlisted)) } }
        }
    }
}

/// How long before now a time was.
fn ago(at: Timestamp) -> String {
    let micros = Timestamp::now().unix_micros().saturating_sub(at.unix_micros()).max(0);
    strings::ago(&age(u64::try_from(micros).unwrap_or_default() / 1_000_000))
}

fn checkpoint(integrity: &Integrity) -> Markup {
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

fn elsewhere(anchors: &[AnchorRecord]) -> Markup {
    html! {
        section {
            h2 { (strings::ELSEWHERE) }
            @if anchors.is_empty() { p.notice.warn { (strings::NOWHERE) } } @else {
                p { (strings::SOFT) }
                div.scroll tabindex="0" role="region" aria-label=(strings::ELSEWHERE) {
                    table {
                        thead {
                            tr {
                                th scope="col" { (strings::PLACE) }
                                th.number scope="col" { (strings::HAS) }
                                th scope="col" { (strings::AS_OF) }
                                th.number scope="col" { (strings::FAILURES) }
                                th scope="col" { (strings::LAST_ERROR) }
                            }
                        }
                        tbody {
                            @for anchor in &anchors[..anchors.len().min(MAX_ROWS)] {
                                tr {
                                    th scope="row" { (text(&anchor.anchor)) }
                                    td.number { (anchor.held.as_ref().map_or("–".to_owned(), |held| thousands(held.leaves))) }
                                    td { @if let Some(held) = &anchor.held { (ago(held.at)) ", " (time(held.at)) } }
                                    td.number { (thousands(anchor.failures)) }
                                    td { (text(anchor.last_error.as_deref().unwrap_or(""))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The newest erasures first.
fn erasures(erasures: &[RecordedErasure], all: usize) -> Markup {
    let earlier = all - erasures.len();
    html! {
        section {
            h2 { (strings::ERASURES) }
            @if erasures.is_empty() { p { (strings::NO_ERASURES) } } @else {
                div.scroll tabindex="0" role="region" aria-label=(strings::ERASURES) {
                    table {
                        thead {
                            tr {
                                th scope="col" { (strings::AT) }
                                th scope="col" { (strings::BY) }
                                th scope="col" { (strings::REASON) }
                                th.number scope="col" { (strings::COUNT) }
                                th.number scope="col" { (strings::LEAF) }
                                th scope="col" { (strings::SIGNATURE) }
                            }
                        }
                        tbody {
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
                        }
                    }
                }
                @if earlier > 0 { p.soft { (strings::earlier(earlier)) } }
            }
        }
    }
}

fn open_calls(open: Option<u64>) -> Markup {
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

fn quarantined(files: &[Quarantined]) -> Markup {
    html! {
        section {
            h2 { (strings::QUARANTINE) }
            @if files.is_empty() { p { (strings::QUARANTINE_EMPTY) } } @else {
                p { (strings::QUARANTINE_HELP) }
                div.scroll tabindex="0" role="region" aria-label=(strings::QUARANTINE) {
                    table {
                        thead {
                            tr {
                                th scope="col" { (strings::NAME) }
                                th.number scope="col" { (strings::BYTES) }
                                th scope="col" { (strings::SINCE) }
                            }
                        }
                        tbody {
                            @for file in &files[..files.len().min(MAX_ROWS)] {
                                tr {
                                    td { (text(&file.name)) }
                                    td.number { (thousands(file.length)) }
                                    td { (time(file.since)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_verification_is_not_shown_as_if_it_were_new() {
        for (age, class) in [(60, "verdict ok"), (OLD + 60, "verdict warn")] {
            let at = Timestamp::now().unix_micros() - age * 1_000_000;
            let latest = Latest {
                at: Timestamp::from_unix_micros(at).unwrap(),
                seconds: 1.0,
                problems: Some(0),
                report: serde_json::json!({ "lines": 3, "checkpoints": 1 }),
            };
            let integrity = Integrity {
                keeps_evidence: true,
                has_key: true,
                latest: Some(Arc::new(latest)),
                running: None,
                checkpoint: None,
                signing_fails: false,
                anchors: Vec::new(),
                erasures: Vec::new(),
                all_erasures: 0,
                open: None,
                quarantine: None,
            };
            let page = verdict(&integrity).into_string();
            assert!(page.contains(class), "{page}");
            assert_eq!(page.contains(strings::OLD), age > OLD, "{page}");
        }
    }
}
