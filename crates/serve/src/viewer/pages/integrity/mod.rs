//! The page about integrity: is the record intact, and how far is that known.

mod read;
mod sections;

use std::convert::Infallible;
use std::sync::Arc;

use attestry::Timestamp;
use attestry::evidence::EvidenceExt as _;
use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::Uri;
use maud::{Markup, html};
use tokio::sync::watch;

use self::read::Integrity;
use self::sections::{ago, checkpoint, elsewhere, erasures, open_calls, quarantined, report};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::verification::{Latest, Progress};
use crate::verify_store::Running;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::number::thousands;
use crate::viewer::strings::integrity as strings;
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
