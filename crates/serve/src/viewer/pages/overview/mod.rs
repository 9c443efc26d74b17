//! The overview: figures of a range, charts over time, the most frequent names.

mod chart;
mod links;
mod range;

use std::sync::Arc;

use attestry::Timestamp;
use attestry::stats::Percentile;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use maud::{Markup, html};

use self::chart::{Chart, Series};
use self::range::Picked;
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::overview::Figures;
use crate::overview::cell::{Cell, Dimension, Outcome};
use crate::overview::time::{Range, timestamp};
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::number::{latency, share, thousands};
use crate::viewer::strings::overview as strings;
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

fn charts(figures: &Figures) -> Markup {
    let summary = &figures.total.summary;
    html! {
        div.charts {
            (calls_chart(figures))
            @if summary.input_tokens != 0 || summary.output_tokens != 0 { (tokens_chart(figures)) }
            @if summary.latency.count() > 0 { (latency_chart(figures)) }
        }
    }
}

/// A chart with its table.
fn section(title: &str, chart: &Markup, table: &Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            (chart)
            details.panel {
                summary { (strings::DATA) span.visually-hidden { ": " (title) } }
                div.scroll tabindex="0" role="region" aria-label=(title) { (table) }
            }
        }
    }
}

/// A table with a row for each point that has calls.
fn table(figures: &Figures, columns: &[&str], row: impl Fn(Range, &Cell) -> Markup) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { (strings::SINCE) }
                    @for column in columns { th.number scope="col" { (column) } }
                }
            }
            tbody {
                @for (range, cell) in figures.points.iter().filter(|(_, cell)| cell.summary.entries > 0) {
                    tr {
                        th scope="row" { a href=(links::calls(*range)) { (time(range.since())) } }
                        (row(*range, cell))
                    }
                }
            }
        }
    }
}

/// A chart of `series`, of which `highest` is the text of its greatest value and where that is.
fn chart<'a>(
    figures: &Figures,
    title: &str,
    series: &'a [Series],
    highest: (String, Timestamp),
) -> Chart<'a> {
    let edge = |at: Timestamp| time(at);
    let (highest, at) = highest;
    let description = strings::description(
        title,
        figures.points.len(),
        &highest,
        &at.to_string().replace('T', " "),
    );
    let edges = [edge(figures.range.since()), edge(timestamp(figures.range.end))];
    Chart { description, series, highest, edges }
}

/// The greatest value of the points, and the start of its point.
fn greatest<T: PartialOrd + Copy>(
    figures: &Figures,
    value: impl Fn(&Cell) -> T,
    show: impl Fn(T) -> String,
) -> (String, Timestamp) {
    let mut greatest: Option<(T, Timestamp)> = None;
    for (range, cell) in &figures.points {
        let value = value(cell);
        if greatest.is_none_or(|(known, _)| value > known) {
            greatest = Some((value, range.since()));
        }
    }
    greatest.map_or_else(|| (String::new(), figures.range.since()), |(value, at)| (show(value), at))
}

/// Shown as a part of a drawing.
#[allow(clippy::cast_precision_loss)]
fn drawn(count: impl Into<i128>) -> f64 {
    count.into() as f64
}

fn values(figures: &Figures, value: impl Fn(&Cell) -> Option<f64>) -> Vec<Option<f64>> {
    figures.points.iter().map(|(_, cell)| value(cell)).collect()
}

fn calls_chart(figures: &Figures) -> Markup {
    const SHOWN: [(Outcome, &str, &str); 4] = [
        (Outcome::Failed, strings::FAILED, "bar-bad"),
        (Outcome::CutOff, strings::CUT_OFF, "bar-warn"),
        (Outcome::Abandoned, strings::ABANDONED, "bar-third"),
        (Outcome::Blocked, strings::BLOCKED, "bar-soft"),
    ];
    let other = |cell: &Cell| {
        let named: u64 = Outcome::ALL.iter().map(|outcome| cell.outcome(*outcome)).sum();
        cell.summary.entries - named
    };
    let mut series = vec![Series {
        name: strings::COMPLETED,
        class: "bar",
        values: values(figures, |cell| Some(drawn(other(cell)))),
    }];
    for (outcome, name, class) in SHOWN {
        if figures.total.outcome(outcome) > 0 {
            let values = values(figures, |cell| Some(drawn(cell.outcome(outcome))));
            series.push(Series { name, class, values });
        }
    }
    let highest = greatest(figures, |cell| cell.summary.entries, thousands);
    let title = strings::CALLS_OVER_TIME;
    let columns =
        [strings::CALLS, strings::FAILED, strings::CUT_OFF, strings::ABANDONED, strings::BLOCKED];
    let table = table(figures, &columns, |range, cell| {
        html! {
            td.number { a href=(links::calls(range)) { (thousands(cell.summary.entries)) } }
            @for outcome in Outcome::ALL {
                @let count = cell.outcome(outcome);
                td.number {
                    @if count == 0 { "0" } @else { a href=(links::outcome(range, outcome)) { (thousands(count)) } }
                }
            }
        }
    });
    section(title, &chart(figures, title, &series, highest).stacked(), &table)
}

fn tokens_chart(figures: &Figures) -> Markup {
    let series = [
        Series {
            name: strings::INPUT_TOKENS,
            class: "bar",
            values: values(figures, |cell| Some(drawn(cell.summary.input_tokens).max(0.0))),
        },
        Series {
            name: strings::OUTPUT_TOKENS,
            class: "bar-third",
            values: values(figures, |cell| Some(drawn(cell.summary.output_tokens).max(0.0))),
        },
    ];
    let sum = |cell: &Cell| cell.summary.input_tokens + cell.summary.output_tokens;
    let highest = greatest(figures, sum, thousands);
    let title = strings::TOKENS_OVER_TIME;
    let columns = [strings::INPUT_TOKENS, strings::OUTPUT_TOKENS];
    let table = table(figures, &columns, |_, cell| {
        html! {
            td.number { (thousands(cell.summary.input_tokens)) }
            td.number { (thousands(cell.summary.output_tokens)) }
        }
    });
    section(title, &chart(figures, title, &series, highest).stacked(), &table)
}

fn latency_chart(figures: &Figures) -> Markup {
    const SHOWN: [(&str, &str); 3] =
        [(strings::MEDIAN, "line"), (strings::P90, "line-second"), (strings::P99, "line-third")];
    let mut series = Vec::new();
    for ((name, class), percentile) in SHOWN.into_iter().zip(Percentile::USUAL) {
        let values = values(figures, |cell| cell.summary.latency.percentile(percentile));
        series.push(Series { name, class, values });
    }
    let p99 = |cell: &Cell| cell.summary.latency.percentile(Percentile::USUAL[2]).unwrap_or(0.0);
    let highest = greatest(figures, p99, latency);
    let title = strings::LATENCY_OVER_TIME;
    let table = table(figures, &SHOWN.map(|(name, _)| name), |_, cell| {
        html! {
            @for percentile in Percentile::USUAL {
                td.number { (cell.summary.latency.percentile(percentile).map_or("–".to_owned(), latency)) }
            }
        }
    });
    section(title, &chart(figures, title, &series, highest).lines(), &table)
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
    html! {
        @if top.is_empty() { p.soft { (strings::NOTHING) } } @else {
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead {
                        tr {
                            th scope="col" { (strings::NAME) }
                            th.number scope="col" { (strings::CALLS) }
                            th.number scope="col" { (strings::SHARE) }
                        }
                    }
                    tbody {
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
                    }
                }
            }
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
