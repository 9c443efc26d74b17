//! The charts of the overview, with a table of each.

use std::iter;

use attestry::Timestamp;
use attestry::stats::Percentile;
use maud::{Markup, html};

use super::chart::{Chart, Series};
use super::links;
use crate::overview::Figures;
use crate::overview::cell::{Cell, Outcome};
use crate::overview::time::{Range, timestamp};
use crate::viewer::number::{latency, thousands};
use crate::viewer::strings::overview as strings;
use crate::viewer::table::Column::{Number, Text};
use crate::viewer::table::table;
use crate::viewer::text::time;

pub(super) fn charts(figures: &Figures) -> Markup {
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
                (table)
            }
        }
    }
}

/// A table with a row for each point that has calls.
fn points(
    figures: &Figures,
    title: &str,
    columns: &[&str],
    row: impl Fn(Range, &Cell) -> Markup,
) -> Markup {
    let numbers = columns.iter().map(|column| Number(column));
    let columns: Vec<_> = iter::once(Text(strings::SINCE)).chain(numbers).collect();
    let rows = html! {
        @for (range, cell) in figures.points.iter().filter(|(_, cell)| cell.summary.entries > 0) {
            tr {
                th scope="row" { a href=(links::calls(*range)) { (time(range.since())) } }
                (row(*range, cell))
            }
        }
    };
    table(title, &columns, &rows)
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
    let table = points(figures, title, &columns, |range, cell| {
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
    let table = points(figures, title, &columns, |_, cell| {
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
    let table = points(figures, title, &SHOWN.map(|(name, _)| name), |_, cell| {
        html! {
            @for percentile in Percentile::USUAL {
                td.number { (cell.summary.latency.percentile(percentile).map_or("–".to_owned(), latency)) }
            }
        }
    });
    section(title, &chart(figures, title, &series, highest).lines(), &table)
}
