//! One conversation, as a chat.

use std::sync::Arc;

use attestry::messages::Messages;
use attestry::{
    AuditEntry, Content, Cursor, EntryId, Order, Phase, Query, StorageError, Timestamp, metadata,
};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use http::Uri;
use maud::{Markup, html};
use std::collections::HashSet;

use super::entries::columns::{outcome, safety};
use crate::access_log::Action;
use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::viewer::checks::{ContentCheck, LineCheck, check_content, check_lines};
use crate::viewer::content::{Budget, PAGE_BYTES, content, messages, shows_content};
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::media::Place;
use crate::viewer::strings::conversation as strings;
use crate::viewer::text::{clipped, text, time};
use crate::viewer::url;

/// Turns on a page.
const PAGE: usize = 50;
/// A pause of so many seconds is shown.
const GAP_SECONDS: i64 = 60;
/// Records that could not be read, by name.
const MAX_NAMED: usize = 20;

/// `?id=ID`, for ids that cannot be a segment of a path.
pub(in crate::viewer) async fn by_query(
    state: State<Arc<AppState>>,
    frame: Extension<Frame>,
    caller: Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    let id = pairs.find(|(key, _)| key == "id").map(|(_, id)| id.into_owned());
    let id = id.ok_or_else(|| Problem::not_found(strings::NO_ID))?;
    get(state, frame, caller, Path(id), uri).await
}

/// A page of its turns, oldest first. With `?content=show` it has the content, which is on record as a decryption.
pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let shows_content = shows_content(&caller, &uri)?;
    let (after, before) = (cursor(&uri, "after")?, cursor(&uri, "before")?);
    let conversation = Conversation::read(&state, &id, after, before).await?;
    let action = if shows_content { Action::Decrypt } else { Action::List };
    let count = conversation.turns.len() as u64;
    state.record_access(&caller, action, &request(&uri), Some(count)).await?;
    if conversation.is_empty() {
        return Err(Problem::not_found(strings::not_found(&id)));
    }
    let markup = conversation.markup(&state, &caller, shows_content).await?;
    let title = format!("{} {id}", strings::TITLE);
    Ok(frame.page(&title, Nav::Entries, &markup))
}

fn cursor(uri: &Uri, name: &str) -> Result<Option<Cursor>, Problem> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    let Some((_, value)) = pairs.find(|(key, _)| key == name) else { return Ok(None) };
    let invalid = |error| Problem::bad_request(format!("{name}: {error}"));
    value.parse().map(Some).map_err(invalid)
}

/// A page of turns. Their content is read one by one, so that a page of long texts needs little memory.
struct Conversation {
    id: String,
    turns: Vec<AuditEntry>,
    has_next: bool,
    has_previous: bool,
    unreadable: Vec<String>,
}

impl Conversation {
    async fn read(
        state: &AppState,
        id: &str,
        after: Option<Cursor>,
        before: Option<Cursor>,
    ) -> Result<Self, Problem> {
        let is_before = before.is_some();
        let order = if is_before { Order::Descending } else { Order::Ascending };
        let has_after = after.is_some();
        let query = Query::new().conversation_id(id).phase(Phase::Latest).order(order);
        let mut found = state.logger.query(query.after(before.or(after)).limit(PAGE + 1));
        let (mut turns, mut unreadable, mut has_more) = (Vec::new(), Vec::new(), false);
        while let Some(entry) = found.next().await {
            match entry {
                Ok(_) if turns.len() == PAGE => {
                    has_more = true;
                    break;
                }
                Ok(mut entry) => {
                    (entry.input_content, entry.output_content) = (None, None);
                    turns.push(entry);
                }
                Err(StorageError::Corrupt(record)) if unreadable.len() < MAX_NAMED => {
                    unreadable.push(record.to_string());
                }
                Err(StorageError::Corrupt(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if is_before {
            turns.reverse();
        }
        let (has_next, has_previous) =
            if is_before { (true, has_more) } else { (has_more, has_after) };
        Ok(Self { id: id.to_owned(), turns, has_next, has_previous, unreadable })
    }

    fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.unreadable.is_empty() && !self.has_previous
    }

    async fn markup(
        &self,
        state: &AppState,
        caller: &Caller,
        shows_content: bool,
    ) -> Result<Markup, Problem> {
        let ids: Vec<EntryId> = self.turns.iter().map(|turn| turn.id.clone()).collect();
        let lines = check_lines(state, &ids).await;
        let spans: HashSet<&str> = self.turns.iter().filter_map(|turn| turn.trace().1).collect();
        let bytes = PAGE_BYTES / self.turns.len().max(1);
        let (mut turns, mut before) = (Vec::new(), None);
        let (mut problems, mut unchecked) = (0_u32, 0_u32);
        for (turn, line) in self.turns.iter().zip(&lines) {
            // Erased since the list was read.
            let Some(entry) = state.logger.get_entry(&turn.id).await? else { continue };
            let (texts, checked) = check_content(state, entry).await?;
            let turn = Turn { entry: turn, line, checked, is_nested: is_nested(turn, &spans) };
            problems += u32::from(turn.is_broken());
            unchecked += u32::from(matches!(turn.checked, ContentCheck::Unknown(_)));
            let shown = match texts.filter(|_| shows_content) {
                Some(content) => {
                    let id = turn.entry.id.clone();
                    // Parsing long ones takes long.
                    Some(blocking(move || self::texts(id.as_str(), &content, bytes)).await?)
                }
                None => None,
            };
            turns.push(html! {
                (gap(before, turn.entry.timestamp))
                (turn.markup(shown.as_ref()))
            });
            before = Some(turn.entry.timestamp);
        }
        Ok(html! {
            h1 { (strings::TITLE) " " (clipped(&self.id)) }
            (self.summary(problems, unchecked, &lines))
            div.actions {
                @if shows_content {
                    a.button href=(url::conversation(&self.id)) { (strings::HIDE) }
                } @else if caller.may(Role::Content) {
                    a.button.primary href=(self.address(true, None)) { (strings::SHOW) }
                    span.soft { (strings::SHOWING_IS_RECORDED) }
                } @else {
                    span.soft { (strings::NOT_ALLOWED) }
                }
            }
            @for reason in &self.unreadable { p.notice.bad { (strings::UNREADABLE) " " (text(reason)) } }
            @for turn in turns { (turn) }
            (checkpoint(&lines))
            (self.pages(shows_content))
        })
    }

    fn summary(&self, problems: u32, unchecked: u32, lines: &[LineCheck]) -> Markup {
        let keeps_none = lines.iter().any(|line| matches!(line, LineCheck::NotKept));
        html! {
            @if let (Some(first), Some(last)) = (self.turns.first(), self.turns.last()) {
                p { (strings::turns(self.turns.len())) " " (time(first.timestamp)) " – " (time(last.timestamp)) " UTC." }
            }
            @if problems > 0 { p.notice.bad { (strings::broken(problems)) } }
            @else if unchecked > 0 { p.notice { (strings::unchecked(unchecked)) } }
            @else if !self.unreadable.is_empty() || self.turns.is_empty() { }
            @else if keeps_none { p.notice { (strings::NO_EVIDENCE) } }
            @else { p.notice.ok { (strings::INTACT) } }
        }
    }

    fn address(&self, shows_content: bool, page: Option<(&str, Cursor)>) -> String {
        let base = url::conversation(&self.id);
        let mut pairs = Vec::new();
        if shows_content {
            pairs.push("content=show".to_owned());
        }
        if let Some((key, cursor)) = page {
            pairs.push(format!("{key}={}", url::encoded(&cursor.to_string())));
        }
        let separator = if base.contains('?') { '&' } else { '?' };
        format!("{base}{separator}{}", pairs.join("&"))
    }

    fn pages(&self, shows_content: bool) -> Markup {
        let link = |key, entry: Option<&AuditEntry>| {
            entry.map(|entry| self.address(shows_content, Some((key, Cursor::from(entry)))))
        };
        let previous = link("before", self.turns.first().filter(|_| self.has_previous));
        let next = link("after", self.turns.last().filter(|_| self.has_next));
        html! {
            nav.pages aria-label=(strings::PAGES) {
                @if let Some(previous) = previous { a.button href=(previous) rel="prev" { "‹ " (strings::EARLIER) } }
                @if let Some(next) = next { a.button href=(next) rel="next" { (strings::LATER) " ›" } }
            }
        }
    }
}

/// The newest checkpoint that covers a turn of the page.
fn checkpoint(lines: &[LineCheck]) -> Markup {
    let proven = lines.iter().rev().find_map(|line| match line {
        LineCheck::Proven(proven) => Some(proven),
        _ => None,
    });
    html! {
        @if let Some(proven) = proven {
            details.panel.evidence {
                summary { (strings::CHECKPOINT) }
                pre tabindex="0" { (text(proven.proof.checkpoint())) }
            }
        }
    }
}

/// Whether a turn belongs below another one of the page: a tool that was executed, or a span below one of them.
fn is_nested(turn: &AuditEntry, spans: &HashSet<&str>) -> bool {
    let parent = turn.metadata.get(metadata::PARENT_SPAN_ID).and_then(|parent| parent.as_str());
    turn.operation() == Some("execute_tool") || parent.is_some_and(|parent| spans.contains(parent))
}

/// The pause before a turn, if it is long.
fn gap(before: Option<Timestamp>, now: Timestamp) -> Markup {
    let seconds = before.map_or(0, |before| (now.unix_micros() - before.unix_micros()) / 1_000_000);
    html! { @if seconds >= GAP_SECONDS { p.gap { (strings::pause(seconds)) } } }
}

struct Turn<'a> {
    entry: &'a AuditEntry,
    line: &'a LineCheck,
    checked: ContentCheck,
    is_nested: bool,
}

impl Turn<'_> {
    fn is_broken(&self) -> bool {
        let is_line_broken = match self.line {
            LineCheck::NotInTree | LineCheck::Failed(_) => true,
            LineCheck::Proven(proven) => proven.is_signed == Some(false),
            LineCheck::NotSigned | LineCheck::NotKept | LineCheck::Erased => false,
        };
        is_line_broken || self.checked == ContentCheck::Differs
    }

    fn markup(&self, texts: Option<&Markup>) -> Markup {
        let entry = self.entry;
        let class = match (self.is_broken(), self.is_nested) {
            (true, true) => "problem nested",
            (true, false) => "problem",
            (false, true) => "nested",
            (false, false) => "",
        };
        html! {
            section.turn.(class) data-item {
                div.head {
                    a href=(url::entry(entry.id.as_str())) { (time(entry.timestamp)) }
                    span { (clipped(entry.model.as_deref().unwrap_or(""))) }
                    @if let Some(tool) = entry.tool() { span { (strings::TOOL) " " (clipped(tool)) } }
                    @if let Some(user) = entry.user() { span { (clipped(user)) } }
                    span { (entry.latency_ms.round()) " ms" }
                    @if entry.phase() == Some(metadata::PHASE_START) { span.badge.warn { (strings::NO_END) } }
                    @else if entry.outcome() != metadata::OUTCOME_COMPLETED { (outcome(entry)) }
                    @if !entry.safety_passed { span { (strings::SAFETY) " " (safety(entry)) } }
                    @if self.checked == ContentCheck::Differs { span.badge.bad { (strings::DIFFERS) } }
                    @match self.line {
                        LineCheck::NotInTree => span.badge.bad { (strings::NOT_IN_TREE) },
                        LineCheck::Failed(_) => span.badge.bad { (strings::NOT_PROVEN) },
                        LineCheck::NotSigned => span.badge.warn { (strings::NOT_SIGNED) },
                        LineCheck::Proven(proven) if proven.is_signed == Some(false) => {
                            span.badge.bad { (strings::NOT_PROVEN) }
                        },
                        LineCheck::Erased => span.badge.warn { (strings::ERASED) },
                        LineCheck::Proven(_) | LineCheck::NotKept => {},
                    }
                }
                p.print-only.mono {
                    (strings::ENTRY) " " (text(entry.id.as_str())) ". "
                    (strings::HASHES) " " (text(&entry.input_hash)) ", " (text(&entry.output_hash)) "."
                    @if let LineCheck::Proven(proven) = self.line { " " (strings::leaf(proven.proof.index())) }
                }
                @if let Some(texts) = texts { (texts) }
                @else { p.masked { (self.hidden()) } }
            }
        }
    }

    fn hidden(&self) -> String {
        match &self.checked {
            ContentCheck::Matches => strings::MASKED.to_owned(),
            ContentCheck::NotStored => strings::NOT_STORED.to_owned(),
            ContentCheck::Differs => strings::CANNOT_SHOW.to_owned(),
            ContentCheck::Unknown(reason) => format!("{} {reason}", strings::CANNOT_CHECK),
        }
    }
}

/// What is new in the input, and the output.
fn texts(id: &str, texts: &Content, bytes: usize) -> Markup {
    let mut budget = Budget::new(bytes / 2);
    let input = Place { id, side: "input" };
    let output = Place { id, side: "output" };
    let asked = match (&texts.input, texts.input_kind.as_deref()) {
        (Some(given), Some(metadata::CONTENT_MESSAGES_V1)) => newest(given, input, &mut budget),
        (Some(given), kind) => html! {
            div.message.user { p.role { (strings::INPUT) } (content(given, kind, input, &mut budget)) }
        },
        (None, _) => html! {},
    };
    let is_asked_cut = std::mem::take(&mut budget.is_cut);
    let mut budget = Budget::new(bytes / 2);
    let answer = match (&texts.output, texts.output_kind.as_deref()) {
        (Some(given), Some(kind @ metadata::CONTENT_MESSAGES_V1)) => {
            content(given, Some(kind), output, &mut budget)
        }
        (Some(given), kind) if !given.is_empty() => html! {
            div.message { p.role { (strings::OUTPUT) } (content(given, kind, output, &mut budget)) }
        },
        _ => html! {},
    };
    html! {
        (asked) (answer)
        @if is_asked_cut || budget.is_cut {
            p { (strings::CUT) " " a href=(url::with_content(&url::entry(id))) { (strings::WHOLE) } }
        }
    }
}

/// The messages after the last answer. Those before are the turns above.
fn newest(given: &str, place: Place<'_>, budget: &mut Budget) -> Markup {
    let Ok(parsed) = Messages::parse(given) else { return content(given, None, place, budget) };
    let last_answer = parsed.0.iter().rposition(|message| message.role == "assistant");
    let first = last_answer.map_or(0, |at| at + 1);
    html! {
        @if first > 0 { p.soft { (strings::earlier(first)) } }
        (messages(&parsed.0[first..], first, place, budget))
    }
}
