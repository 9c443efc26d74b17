//! One entry.

mod evidence;
mod facts;
mod files;

use std::sync::Arc;

use attestry::{AuditEntry, Content, EntryId, Query, metadata};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use http::Uri;
use maud::{Markup, html};

use self::evidence::Plain;
pub(in crate::viewer) use self::files::{line, media, proof, side};
use crate::access_log::Action;
use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::read::content::Shown;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::viewer::checks::{ContentCheck, check_content, check_lines};
use crate::viewer::content::{Budget, PAGE_BYTES, content, shows_content};
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::media::Place;
use crate::viewer::strings::entry as strings;
use crate::viewer::text::{clipped, text};
use crate::viewer::url;

/// Other hashes have a key, or are of another kind.
const SHA256_DIGITS: usize = 64;

/// The page. With `?content=show` it has the content, which is on record as a decryption.
pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let shows_content = shows_content(&caller, &uri)?;
    let action = if shows_content { Action::Decrypt } else { Action::Read };
    let mut entry = find(&state, &caller, &id, action, &uri).await?;
    let stored = stored(&mut entry);
    let (texts, checked) = check_content(&state, with_content(&entry, &stored)).await?;
    let line = check_lines(&state, std::slice::from_ref(&entry.id)).await.pop();
    let line = line.ok_or_else(|| Problem::unavailable("the tree gave no answer"))?;
    let stored_line = match shows_content {
        true => state.logger.storage().read_line(&entry.id).await?,
        false => None,
    };
    let end = end_of(&state, &entry).await?;
    let plain = Plain {
        input: is_plain(
            &entry.input_hash,
            stored.input.as_ref(),
            texts.as_ref().and_then(|texts| texts.input.as_ref()),
        ),
        output: is_plain(
            &entry.output_hash,
            stored.output.as_ref(),
            texts.as_ref().and_then(|texts| texts.output.as_ref()),
        ),
    };
    let shown = match texts.filter(|_| shows_content) {
        Some(texts) => Some(sides(entry.id.clone(), texts).await?),
        None => None,
    };
    let main = html! {
        h1 { (strings::TITLE) " " (clipped(entry.id.as_str())) }
        (evidence::verdicts(&checked, &line))
        (content_of(&entry, shown.as_ref(), &stored, &checked, &caller))
        (facts::facts(&shown_entry(&state, &caller, &entry)?, end.as_deref()))
        (evidence::evidence(&entry, &line, plain, caller.may(Role::Content)))
        @if let Some(stored_line) = stored_line { (raw(&stored_line)) }
    };
    Ok(frame.page(&format!("{} {id}", strings::TITLE), Nav::Entries, &main))
}

/// The entry `id`, put on record.
async fn find(
    state: &AppState,
    caller: &Caller,
    id: &str,
    action: Action,
    uri: &Uri,
) -> Result<AuditEntry, Problem> {
    let entry = state.logger.get_entry(id).await?;
    let found = u64::from(entry.is_some());
    state.record_access(caller, action, &request(uri), Some(found)).await?;
    entry.ok_or_else(|| Problem::not_found(strings::not_found(id)))
}

/// The content of an entry as it is stored.
struct Stored {
    input: Option<String>,
    output: Option<String>,
}

fn stored(entry: &mut AuditEntry) -> Stored {
    Stored { input: entry.input_content.take(), output: entry.output_content.take() }
}

fn with_content(entry: &AuditEntry, stored: &Stored) -> AuditEntry {
    AuditEntry {
        input_content: stored.input.clone(),
        output_content: stored.output.clone(),
        ..entry.clone()
    }
}

/// The metadata that the caller may see.
fn shown_entry(
    state: &AppState,
    caller: &Caller,
    entry: &AuditEntry,
) -> Result<AuditEntry, Problem> {
    Ok(Shown::to(caller, false)?.apply(&state.logger, entry.clone())?)
}

/// Input and output, or how to see them.
fn content_of(
    entry: &AuditEntry,
    shown: Option<&Markup>,
    stored: &Stored,
    checked: &ContentCheck,
    caller: &Caller,
) -> Markup {
    let address = url::entry(entry.id.as_str());
    let is_stored = stored.input.is_some() || stored.output.is_some();
    html! {
        section {
            h2 { (strings::CONTENT) }
            @if let Some(shown) = shown {
                (shown)
            } @else if !is_stored {
                p.masked { (strings::NOT_STORED) }
            } @else if *checked != ContentCheck::Matches && caller.may(Role::Content) {
                p.masked { (strings::CANNOT_SHOW) }
            } @else {
                div.masked {
                    p { (strings::masked(stored.input.as_ref().map_or(0, String::len), stored.output.as_ref().map_or(0, String::len))) }
                    @if caller.may(Role::Content) {
                        p { a.button.primary href=(url::with_content(&address)) { (strings::SHOW) } }
                        p { (strings::SHOWING_IS_RECORDED) }
                    } @else { p { (strings::NOT_ALLOWED) } }
                }
            }
        }
    }
}

/// Whether the text is stored as it is, with a hash that anyone can compute.
fn is_plain(hash: &str, stored: Option<&String>, text: Option<&String>) -> bool {
    hash.len() == SHA256_DIGITS && stored.is_some() && stored == text
}

/// Input and output. Parsing long ones takes long.
async fn sides(id: EntryId, shown: Content) -> Result<Markup, Problem> {
    let render = move || {
        let id = id.as_str();
        html! {
            (side_of(id, (strings::INPUT, "input"), shown.input.as_deref(), shown.input_kind.as_deref()))
            (side_of(id, (strings::OUTPUT, "output"), shown.output.as_deref(), shown.output_kind.as_deref()))
        }
    };
    blocking(render).await
}

/// The input or the output.
fn side_of(
    id: &str,
    (name, side): (&str, &'static str),
    given: Option<&str>,
    kind: Option<&str>,
) -> Markup {
    let mut budget = Budget::new(PAGE_BYTES / 2);
    html! {
        h3 { (name) }
        @if let Some(given) = given {
            (content(given, kind, Place { id, side }, &mut budget))
            @if budget.is_cut { p.notice.warn { (strings::CUT_TEXT) } }
            p.no-print { a download href={ (url::entry(id)) "/" (side) } { (strings::whole(side, given.len())) } }
        } @else { p.soft { (strings::NOT_STORED) } }
    }
}

/// The stored line.
fn raw(line: &[u8]) -> Markup {
    const MAX_BYTES: usize = 15_000;
    let line = String::from_utf8_lossy(line);
    let mut budget = Budget::new(MAX_BYTES);
    html! {
        details.panel {
            summary { (strings::RAW) }
            pre tabindex="0" { (text(budget.take(&line))) }
            @if budget.is_cut { p.notice.warn { (strings::CUT_TEXT) } }
        }
    }
}

/// The id of the end entry of a start entry.
async fn end_of(state: &AppState, entry: &AuditEntry) -> Result<Option<String>, Problem> {
    if entry.phase() != Some(metadata::PHASE_START) {
        return Ok(None);
    }
    let ends = Query::new().metadata_equals(metadata::CALL, entry.id.as_str());
    let mut ends = state.logger.query(ends.since(entry.timestamp).limit(1));
    while let Some(end) = ends.next().await {
        if let Ok(end) = end {
            return Ok(Some(end.id.to_string()));
        }
    }
    Ok(None)
}
