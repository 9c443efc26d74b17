//! The overview: figures of a range, charts over time, the most frequent names.

mod chart;
mod charts;
mod links;
mod range;

use std::sync::Arc;

use attestry::stats::Percentile;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use self::charts::charts;
use self::range::Picked;
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::overview::Figures;
use crate::overview::cell::{Dimension, Outcome};
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::number::{latency, share, thousands};
use crate::viewer::strings::overview as strings;
use crate::viewer::table::Column::{Number, Text};
use crate::viewer::table::table;
use crate::viewer::text::{isolated, text, time};

/// Names of each list.
const TOP: usize = 10;
/// Seconds after which a page that is not complete is loaded again.
const RELOAD: &str = "5";

pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut picked = Picked::parse(&uri)?;
    let mut figures = state.overview.figures(picked.wanted()).await;
    if picked == Picked::Default && figures.total.summary.entries == 0 && figures.span.is_some() {
        picked = Picked::All;
        figures = state.overview.figures(picked.wanted()).await;
    }
    let count = figures.total.summary.entries;
    state.record_access(&caller, Action::Summarise, &request(&uri), Some(count)).await?;
    let head = html! {
        // The script does it, too, where there is one.
        @if is_being_counted(&figures) { noscript { meta http-equiv="refresh" content=(RELOAD); } }
    };
    let page = html! {
        h1 { (strings::TITLE) }
        (range::picker(picked, figures.range))
        (notes(&figures))
        @if count > 0 { (cards(&figures)) (charts(&figures)) (names(&figures)) }
    };
    Ok(frame.page_with_head(strings::TITLE, Nav::Overview, &head, &page))
}

/// Whether figures are to be expected that are not there yet.
fn is_being_counted(figures: &Figures) -> bool {
    !figures.is_complete() && figures.failed.is_none()
}

/// Up to when the figures are, and what they leave out.
fn notes(figures: &Figures) -> Markup {
    let is_empty = figures.total.summary.entries == 0;
    html! {
        @match (figures.counted_at, figures.counted_back_to) {
            (Some(at), _) => p.soft { (strings::COUNTED) " " (time(at)) },
            (None, _) if !is_being_counted(figures) => {},
            (None, back) => p.notice role="status" data-incomplete {
                (strings::FIRST_COUNT)
                @if let Some(back) = back { " " (strings::COUNTED_BACK_TO) " " (time(back)) "." }
            }
        }
        @if is_empty && figures.is_complete() {
            p.notice {
                @match figures.span {
                    Some((_, last)) => {
                        (strings::NO_CALLS) " " (strings::NEWEST) " " (time(last)) ". "
                        a href=(range::url_of_all()) { (strings::SHOW_ALL) }
                    },
                    None => (strings::EMPTY),
                }
            }
        }
        @if let Some(reason) = &figures.failed {
            p.notice.bad { (strings::FAILED_TO_COUNT) " " (text(reason)) }
        }
        @if let Some(from) = figures.counted_from {
            p.notice.warn { (strings::NOT_COUNTED_BEFORE) " " (time(from)) "." }
        }
        @if figures.unreadable > 0 { p.notice.warn { (strings::unreadable(figures.unreadable)) } }
        @if figures.open_left_out > 0 { p.notice.warn { (strings::open_left_out(figures.open_left_out)) } }
    }
}

fn cards(figures: &Figures) -> Markup {
    let Figures { range, total, open, .. } = figures;
    let summary = &total.summary;
    let calls = summary.entries;
    let card = |label: &str, value: String, url: Option<String>, note: Option<String>| {
        html! {
            li {
                @match url {
                    Some(url) => a.value href=(url) { (value) },
                    None => span.value { (value) },
                }
                span { (label) @if let Some(note) = note { " " span.soft { "(" (note) ")" } } }
            }
        }
    };
    let part = |label: &str, count: u64, url: String| {
        // To find nothing may take longer than to find something.
        let is_some = count > 0;
        card(label, thousands(count), is_some.then_some(url), is_some.then(|| share(count, calls)))
    };
    let percentile = |label: &str, at: Percentile| {
        let value = summary.latency.percentile(at).map_or("–".to_owned(), latency);
        card(label, value, Some(links::calls(*range)), None)
    };
    let [median, p90, p99] = Percentile::USUAL;
    html! {
        ul.cards.narrow {
            (card(strings::CALLS, thousands(calls), Some(links::calls(*range)), None))
            (part(strings::FAILED, total.outcome(Outcome::Failed), links::outcome(*range, Outcome::Failed)))
            (part(strings::CUT_OFF, total.outcome(Outcome::CutOff), links::outcome(*range, Outcome::CutOff)))
            (part(strings::ABANDONED, total.outcome(Outcome::Abandoned), links::outcome(*range, Outcome::Abandoned)))
            @if total.outcome(Outcome::Blocked) > 0 {
                (part(strings::BLOCKED, total.outcome(Outcome::Blocked), links::outcome(*range, Outcome::Blocked)))
            }
            (part(strings::OPEN, *open, links::open(*range)))
            (part(strings::UNSAFE, summary.safety_failed, links::unsafe_calls(*range)))
            (card(strings::INPUT_TOKENS, thousands(summary.input_tokens), Some(links::calls(*range)), None))
            (card(strings::OUTPUT_TOKENS, thousands(summary.output_tokens), Some(links::calls(*range)), None))
            (percentile(strings::MEDIAN, median))
            (percentile(strings::P90, p90))
            (percentile(strings::P99, p99))
        }
    }
}

fn names(figures: &Figures) -> Markup {
    let title = |dimension: Dimension| match dimension {
        Dimension::Model => strings::MODELS,
        Dimension::Provider => strings::PROVIDERS,
        Dimension::User => strings::USERS,
        Dimension::Detector => strings::DETECTORS,
    };
    html! {
        div.groups {
            @for dimension in Dimension::ALL {
                section { h2 { (title(dimension)) } (list(figures, dimension, title(dimension))) }
            }
        }
    }
}

/// The most frequent names.
fn list(figures: &Figures, dimension: Dimension, title: &str) -> Markup {
    let (names, calls) = (figures.total.names(dimension), figures.total.summary.entries);
    let top = names.top(TOP);
    let more = names.len() - top.len();
    let columns = [Text(strings::NAME), Number(strings::CALLS), Number(strings::SHARE)];
    let rows = html! {
        @for (name, count) in &top {
            tr {
                th scope="row" { @if name.is_empty() { "\"\"" } @else { (isolated(name)) } }
                td.number {
                    @match links::name(figures.range, dimension, name) {
                        Some(url) => a href=(url) { (thousands(*count)) },
                        None => (thousands(*count)),
                    }
                }
                td.number { (share(*count, calls)) }
            }
        }
    };
    html! {
        @if top.is_empty() { p.soft { (strings::NOTHING) } } @else {
            (table(title, &columns, &rows))
            @if more > 0 { p.soft { (strings::more_names(more as u64)) } }
            @if names.left_out > 0 { p.soft { (strings::left_out(names.left_out)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::{Overview, Wanted};

    #[tokio::test]
    async fn page_is_not_loaded_again_if_the_store_cannot_be_counted() {
        let mut figures = Overview::default().figures(Wanted::All).await;
        assert!(notes(&figures).into_string().contains("data-incomplete"));
        figures.failed = Some("permission denied".to_owned());
        let notes = notes(&figures).into_string();
        assert!(!notes.contains("data-incomplete"), "{notes}");
        assert!(notes.contains("permission denied") && !notes.contains(strings::FIRST_COUNT));
    }
}
