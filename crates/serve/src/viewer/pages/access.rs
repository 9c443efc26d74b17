//! The access log, and which tokens may see what.

use std::sync::Arc;

use attestry::{AuditEntry, Cursor, Order, Phase, Query, Timestamp, metadata};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};
use serde_json::Value;

use super::moment::moment;
use crate::access_log::{ADDRESS, Action, COUNT};
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::security::tokens::Tokens;
use crate::state::AppState;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::number::thousands;
use crate::viewer::strings::access as strings;
use crate::viewer::strings::overview::UTC;
use crate::viewer::table::Column::{Number, Text};
use crate::viewer::table::table;
use crate::viewer::text::{isolated, text, time};
use crate::viewer::url;

const PAGE: usize = 50;
/// A longer request is cut on the page.
const MAX_REQUEST: usize = 300;
/// A time to minutes has so many bytes.
const MINUTES: usize = "2026-01-28T09:15".len();
/// Tokens on the page.
const MAX_TOKENS: usize = 200;

pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(Role::Admin)?;
    let filters = Filters::parse(&uri)?;
    let found = match state.access_log() {
        Some(log) => Some(log.page(filters.query()).await?),
        None => None,
    };
    let count = found.as_ref().map(|page| page.entries.len() as u64);
    state.record_access(&caller, Action::List, &request(&uri), count).await?;
    let page = html! {
        h1 { (strings::TITLE) }
        p.soft { (strings::ABOUT) }
        @match found {
            None => p.notice.warn { (strings::NONE) },
            Some(page) => {
                (filters.form())
                (accesses(&page.entries))
                @for record in &page.corrupt { p.notice.bad { (text(&record.to_string())) } }
                (pages(&filters, page.next.as_ref()))
            },
        }
        (tokens(state.tokens().as_deref()))
    };
    Ok(frame.page(strings::TITLE, Nav::Access, &page))
}

/// What the address selects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    caller: Option<String>,
    action: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<Cursor>,
}

impl Filters {
    fn parse(uri: &Uri) -> Result<Self, Problem> {
        let mut filters = Self::default();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
            // An empty field of the form is none.
            if value.is_empty() {
                continue;
            }
            match &*key {
                "caller" => filters.caller = Some(value.into_owned()),
                "action" => filters.action = Some(value.into_owned()),
                "since" => filters.since = Some(moment("since", &value)?),
                "until" => filters.until = Some(moment("until", &value)?),
                "after" => {
                    let cursor = value.parse();
                    filters.after = Some(
                        cursor.map_err(|error| Problem::bad_request(format!("after: {error}")))?,
                    );
                }
                _ => return Err(Problem::bad_request(format!("there is no parameter {key:?}"))),
            }
        }
        Ok(filters)
    }

    /// The newest first.
    fn query(&self) -> Query {
        let query = Query::new()
            .since(self.since)
            .until(self.until)
            .model(self.action.clone())
            .phase(Phase::Latest)
            .order(Order::Descending)
            .after(self.after.clone())
            .limit(PAGE);
        match &self.caller {
            Some(caller) => query.metadata_equals(metadata::USER, caller.as_str()),
            None => query,
        }
    }

    /// The address with these filters, from `after` on.
    fn url(&self, after: Option<&Cursor>) -> String {
        let (since, until) =
            (self.since.map(|time| time.to_string()), self.until.map(|time| time.to_string()));
        let after = after.map(ToString::to_string);
        let all = [
            ("caller", self.caller.as_deref()),
            ("action", self.action.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("after", after.as_deref()),
        ];
        let set: Vec<_> = all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        url::with_query(url::ACCESS, &set)
    }

    fn is_set(&self) -> bool {
        self.caller.is_some()
            || self.action.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }

    fn form(&self) -> Markup {
        let since = self.since.map_or_else(String::new, |time| for_field(time, false));
        let until = self.until.map_or_else(String::new, |time| for_field(time, true));
        let step = |value: &str| (value.len() > MINUTES).then_some("any");
        html! {
            details.panel open[self.is_set()] {
                summary { (strings::FILTERS) }
                form.filters method="get" action=(url::ACCESS) data-times {
                    label { (strings::CALLER) input type="text" name="caller" value=(self.caller.as_deref().unwrap_or("")) data-search; }
                    label {
                        (strings::ACTION)
                        select name="action" {
                            option value="" { (strings::ANY) }
                            @for action in Action::ALL {
                                option value=(action.as_str()) selected[self.action.as_deref() == Some(action.as_str())] { (action.as_str()) }
                            }
                        }
                    }
                    label { (strings::FROM) " (" span data-zone-name { (UTC) } ")" input type="datetime-local" name="since" value=(since) step=[step(&since)]; }
                    label { (strings::TO) " (" span data-zone-name { (UTC) } ")" input type="datetime-local" name="until" value=(until) step=[step(&until)]; }
                    div { button.primary type="submit" { (strings::SHOW) } }
                    @if self.is_set() { div { a href=(url::ACCESS) { (strings::RESET) } } }
                }
            }
        }
    }
}

/// A time in the form of a field, which has milliseconds at most: rounded such that no access is left out.
fn for_field(time: Timestamp, rounds_up: bool) -> String {
    let micros = time.unix_micros();
    let floor = micros - micros.rem_euclid(1_000);
    let rounded = if rounds_up && floor < micros { floor + 1_000 } else { floor };
    let mut text = Timestamp::from_unix_micros(rounded).unwrap_or(time).to_string();
    let is_whole = rounded.rem_euclid(60_000_000) == 0;
    text.truncate(if is_whole { MINUTES } else { "2026-01-28T09:15:00.000".len() });
    text
}

fn accesses(entries: &[AuditEntry]) -> Markup {
    let columns = [
        Text(strings::TIME),
        Text(strings::CALLER),
        Text(strings::ACTION),
        Number(strings::COUNT),
        Text(strings::REQUEST),
        Text(strings::ADDRESS),
    ];
    let rows = html! { @for entry in entries { (row(entry)) } };
    html! {
        @if entries.is_empty() { p { (strings::NOTHING) } }
        @else { (table(strings::TITLE, &columns, &rows)) }
    }
}

fn row(entry: &AuditEntry) -> Markup {
    let is_open = entry.phase() == Some(metadata::PHASE_START);
    let outcome = entry.metadata.get(metadata::OUTCOME).and_then(Value::as_str);
    let state = if is_open { Some(strings::RUNNING) } else { outcome };
    let count = entry.metadata.get(COUNT).and_then(Value::as_u64);
    let address = entry.metadata.get(ADDRESS).and_then(Value::as_str).unwrap_or("");
    let request = entry.input_content.as_deref().unwrap_or("");
    let shown = &request[..request.floor_char_boundary(MAX_REQUEST)];
    html! {
        tr data-item {
            td { (time(entry.timestamp)) }
            td.keep {
                @if let Some(caller) = entry.user() {
                    a href=(url::with_query(url::ACCESS, &[("caller", caller)])) { (isolated(caller)) }
                }
            }
            td {
                (text(entry.model.as_deref().unwrap_or("")))
                @if let Some(state) = state { " " span.badge { (text(state)) } }
            }
            td.number { (count.map(thousands).unwrap_or_default()) }
            td.request { code { (text(shown)) @if shown.len() < request.len() { "…" } } }
            td.keep { (isolated(address)) }
        }
    }
}

fn pages(filters: &Filters, next: Option<&Cursor>) -> Markup {
    html! {
        p.pages {
            @if filters.after.is_some() { a.button href=(filters.url(None)) { (strings::NEWEST) } }
            @if next.is_some() { a.button rel="next" href=(filters.url(next)) { (strings::OLDER) } }
        }
    }
}

/// The names and roles of tokens; the server knows no more of them.
fn tokens(tokens: Option<&Tokens>) -> Markup {
    let columns = [strings::NAME, strings::ROLE, strings::MAY].map(Text);
    let rows = html! {
        @for token in tokens.into_iter().flat_map(Tokens::iter).take(MAX_TOKENS) {
            tr {
                th scope="row" { (isolated(token.name())) }
                td { (token.role()) }
                td { (strings::may(token.role())) }
            }
        }
    };
    html! {
        section {
            h2 { (strings::TOKENS) }
            @if tokens.is_some() { (table(strings::TOKENS, &columns, &rows)) }
            @else { p.notice.warn { (strings::NO_TOKENS) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_parsed_and_linked() {
        let uri = "/access?caller=a%20b&action=list&since=2026-01-28T09%3A15&until=&after=";
        let filters = Filters::parse(&uri.parse().unwrap()).unwrap();
        assert_eq!(filters.url(None), "/access?caller=a%20b&action=list&since=2026-01-28T09:15:00");
        assert_eq!(Filters::parse(&filters.url(None).parse().unwrap()).unwrap(), filters);
        let exact = "since=2026-01-28T09:15:30.000001&until=2026-01-28T10:00:59.500001";
        let form = Filters::parse(&format!("/access?{exact}").parse().unwrap()).unwrap().form();
        let form = form.into_string();
        for value in ["2026-01-28T09:15:30\"", "2026-01-28T10:00:59.501\""] {
            assert!(form.contains(&format!("value=\"{value} step=\"any\"")), "{form}");
        }
        let whole = for_field("2026-01-28T09:15:00".parse().unwrap(), true);
        assert_eq!(whole, "2026-01-28T09:15");
        for query in ["user=x", "since=soon", "after=x"] {
            Filters::parse(&format!("/access?{query}").parse().unwrap()).unwrap_err();
        }
    }
}
