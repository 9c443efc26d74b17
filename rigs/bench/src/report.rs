//! The rows of the table, on the terminal and as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::stats::Figure;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The name for `--row`.
    pub(crate) row: &'static str,
    /// What is measured.
    pub(crate) what: String,
    /// Attestry's figure.
    pub(crate) ours: Figure,
    /// The contender.
    pub(crate) reference: Option<Reference>,
    /// Attestry divided by the contender.
    pub(crate) ratio: Option<Figure>,
    /// The share of the machine's limit.
    pub(crate) of_limit: Option<Share>,
    /// The required value.
    pub(crate) asked: Option<Asked>,
    /// A note.
    pub(crate) note: Option<String>,
    /// Figures along a scale, such as the size of the store.
    pub(crate) series: Option<Series>,
}

/// A contender and its figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) figure: Figure,
}

/// A share of a limit: of what a plain loop on one thread reaches.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Share {
    pub(crate) limit: String,
    pub(crate) share: Figure,
}

/// A required value.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) met: bool,
}

/// Figures at several points of a scale; a line of a plot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) what: String,
    pub(crate) by: Scale,
    pub(crate) points: Vec<Point>,
}

/// The scale of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// Entries in the store.
    Entries,
    /// Concurrent tasks.
    Writers,
    /// Percentile of the calls.
    Percentile,
}

/// The figure at one point, in the unit of the row.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Point {
    pub(crate) at: f64,
    pub(crate) value: f64,
}

impl Row {
    /// A row without a contender.
    pub(crate) fn new(row: &'static str, what: impl Into<String>, ours: Figure) -> Self {
        Self {
            row,
            what: what.into(),
            ours,
            reference: None,
            ratio: None,
            of_limit: None,
            asked: None,
            note: None,
            series: None,
        }
    }

    /// Adds the contender.
    pub(crate) fn against(mut self, name: impl Into<String>, figure: Figure) -> Self {
        self.ratio = Some(self.ours.ratio_to(&figure));
        self.reference = Some(Reference { name: name.into(), figure });
        self
    }

    /// Adds the limit, if measured, in the same unit: a time or a rate.
    pub(crate) fn limit(mut self, name: impl Into<String>, figure: Option<&Figure>) -> Self {
        self.of_limit = figure.map(|figure| {
            let is_time = ["µs", "ms"].contains(&self.ours.unit);
            let share =
                if is_time { figure.ratio_to(&self.ours) } else { self.ours.ratio_to(figure) };
            Share { limit: name.into(), share }
        });
        self
    }

    /// Requires a ratio of at least this.
    pub(crate) fn ratio_at_least(self, least: f64) -> Self {
        let met = self.ratio.as_ref().is_some_and(|ratio| ratio.median >= least);
        self.asks(format!("≥ {least} ×"), met)
    }

    /// Requires a ratio of at most this.
    pub(crate) fn ratio_at_most(self, most: f64) -> Self {
        let met = self.ratio.as_ref().is_some_and(|ratio| ratio.median <= most);
        self.asks(format!("≤ {most} ×"), met)
    }

    /// Requires at least this, in the unit of the figure.
    pub(crate) fn at_least(self, least: f64) -> Self {
        let (met, unit) = (self.ours.median >= least, self.ours.unit);
        self.asks(format!("≥ {least} {unit}"), met)
    }

    /// Requires less than this, in the unit of the figure.
    pub(crate) fn under(self, most: f64) -> Self {
        let (met, unit) = (self.ours.median < most, self.ours.unit);
        self.asks(format!("< {most} {unit}"), met)
    }

    /// Requires at most this in every sample, in the unit of the figure.
    pub(crate) fn never_above(self, most: f64) -> Self {
        let (met, unit) = (self.ours.max <= most, self.ours.unit);
        self.asks(format!("≤ {most} {unit}"), met)
    }

    fn asks(mut self, text: String, met: bool) -> Self {
        self.asked = Some(Asked { text, met });
        self
    }

    /// Adds a note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        self.note = Some(self.note.map_or(note.clone(), |before| format!("{before}; {note}")));
        self
    }

    /// Adds the figures along a scale.
    pub(crate) fn series(mut self, what: &str, by: Scale, points: Vec<Point>) -> Self {
        self.series = Some(Series { what: what.to_owned(), by, points });
        self
    }
}

/// The rows as a table for the terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut cells = vec![
        ["row", "what", "ours", "reference", "ratio", "limit", "asked", ""].map(str::to_owned),
    ];
    cells.extend(rows.iter().map(cells_of));
    let widths: Vec<usize> = (0..cells[0].len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cells_of(row: &Row) -> [String; 8] {
    let asked = row.asked.as_ref();
    [
        row.row.to_owned(),
        row.what.clone(),
        figure(&row.ours),
        row.reference
            .as_ref()
            .map_or_else(String::new, |r| format!("{}: {}", r.name, figure(&r.figure))),
        row.ratio.as_ref().map_or_else(String::new, figure),
        row.of_limit
            .as_ref()
            .map_or_else(String::new, |of| format!("{} of {}", short(of.share.median), of.limit)),
        asked.map_or_else(String::new, |asked| asked.text.clone()),
        asked.map_or("", |asked| if asked.met { "ok" } else { "SHORT" }).to_owned(),
    ]
}

/// `12.3 µs (11.9–14.0)`.
pub(crate) fn figure(figure: &Figure) -> String {
    let middle = format!("{} {}", short(figure.median), figure.unit);
    if figure.samples < 2 {
        middle
    } else {
        format!("{middle} ({}–{})", short(figure.min), short(figure.max))
    }
}

/// Three significant digits, with thousands separators.
pub(crate) fn short(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    match value.abs() {
        a if a >= 100.0 => apart(&format!("{value:.0}")),
        a if a >= 10.0 => format!("{value:.1}"),
        a if a > 0.0 && a < 0.1 => format!("{value:.4}"),
        a if a.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// A count with thousands separators.
pub(crate) fn grouped(count: u64) -> String {
    apart(&count.to_string())
}

fn apart(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Everything as one JSON object. `shown` has the cells of the table.
pub(crate) fn to_json(rows: &[Row], machine: &Value, run: &Value) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut value = json!(row);
            let [_, _, ours, reference, ratio, of_limit, asked, _] = cells_of(row);
            value["shown"] = json!({"ours": ours, "reference": reference, "ratio": ratio,
                "of_limit": of_limit, "asked": asked});
            value
        })
        .collect();
    json!({"version": 4, "machine": machine, "run": run, "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> =
            [1_234_567.8, 999.6, 42.04, 3.0, 1.234, 0.0567, 0.0, 0.5].map(short).to_vec();
        assert_eq!(shown, ["1,234,568", "1,000", "42.0", "3", "1.23", "0.0567", "0", "0.50"]);
    }

    #[test]
    fn a_reached_limit_is_a_share_of_one() {
        let share = |ours, unit, limit| {
            let row = Row::new("r", "w", Figure::one(ours, unit));
            let row = row.limit("all", Some(&Figure::one(limit, unit)));
            row.of_limit.map(|of| of.share.median)
        };
        assert_eq!(share(200.0, "µs", 100.0), Some(0.5));
        assert_eq!(share(100.0, "entries/s", 200.0), Some(0.5));
        assert_eq!(share(100.0, "entries/s", 100.0), Some(1.0));
        let unknown = Row::new("r", "w", Figure::one(1.0, "µs")).limit("all", None);
        assert!(unknown.of_limit.is_none());
    }

    #[test]
    fn a_row_tells_whether_its_requirement_is_met() {
        let row = |ours| {
            Row::new("r", "w", Figure::one(ours, "µs")).against("raw", Figure::one(10.0, "µs"))
        };
        assert!(row(12.0).ratio_at_most(1.3).asked.unwrap().met);
        assert!(!row(14.0).ratio_at_most(1.3).asked.unwrap().met);
        assert!(!row(7.0).ratio_at_least(0.8).asked.unwrap().met);
        assert!(
            !row(7.0).under(7.0).asked.unwrap().met && row(7.0).never_above(7.0).asked.unwrap().met
        );
    }
}
