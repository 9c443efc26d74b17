//! The plots of a result. Where a result lacks a series, the plot lacks its line or is left out.

use serde_json::Value;

use super::chart::{Chart, Line, Scale, amount};

/// A plot of a result.
pub(super) struct Plot {
    /// The name of its file.
    pub(super) name: &'static str,
    pub(super) chart: Chart,
}

/// One series of a row.
struct Series<'a> {
    what: &'a str,
    unit: &'a str,
    points: Vec<(f64, f64)>,
}

/// All plots the result has data for.
pub(super) fn of(rows: &[Value]) -> Vec<Plot> {
    let plots = [
        ("throughput", throughput(rows)),
        ("latency", latency(rows)),
        ("cost", cost(rows)),
        ("memory", memory(rows)),
    ];
    let plot = |(name, chart): (_, Option<Chart>)| Some(Plot { name, chart: chart? });
    plots.into_iter().filter_map(plot).collect()
}

fn throughput(rows: &[Value]) -> Option<Chart> {
    let mut chart = chart(series(rows, "writers"), |tasks| tasks.to_string())?;
    let last = chart.x_names.len() - 1;
    // The batch loops of the other stores do not depend on the number of writers.
    for row in rows.iter().filter(|row| row["row"] == "durable") {
        let (name, rate) = (&row["reference"]["name"], &row["reference"]["figure"]["median"]);
        let (Some(name), Some(rate)) = (name.as_str(), rate.as_f64()) else { continue };
        let name = format!("{name}, batches of 1,000");
        if chart.lines.iter().all(|line| line.name != name) {
            chart.lines.push(Line { name, points: vec![(0, rate), (last, rate)], dashed: true });
        }
    }
    Some(Chart {
        title: "Durable log: throughput by number of writers".to_owned(),
        x_axis: "concurrent tasks",
        y_axis: "entries/s",
        scale: Scale::Log,
        ..chart
    })
}

fn latency(rows: &[Value]) -> Option<Chart> {
    let found = series(rows, "percentile");
    let name = |percent: f64| match percent {
        100.0 => "max".to_owned(),
        percent => format!("p{}", amount(percent)),
    };
    let mut chart = chart(found, name)?;
    let last = chart.x_names.len() - 1;
    let syncs = rows.iter().find(|row| row["row"] == "latency");
    if let Some(sync) = syncs.and_then(|row| row["reference"]["figure"]["median"].as_f64()) {
        let name = "write + fdatasync, median".to_owned();
        chart.lines.push(Line { name, points: vec![(0, sync), (last, sync)], dashed: true });
    }
    Some(Chart {
        title: "Durable log: latency when calls arrive at random".to_owned(),
        x_axis: "percentile",
        y_axis: "µs since the call was due",
        scale: Scale::Log,
        ..chart
    })
}

fn cost(rows: &[Value]) -> Option<Chart> {
    let times = series(rows, "entries").into_iter().filter_map(|mut series| {
        let micros = match series.unit {
            "µs" => 1.0,
            "ms" => 1e3,
            _ => return None,
        };
        series.points.iter_mut().for_each(|(_, value)| *value *= micros);
        Some(series)
    });
    Some(Chart {
        title: "Cost of an operation by size of the store".to_owned(),
        x_axis: "entries in the store",
        y_axis: "µs",
        scale: Scale::Log,
        ..chart(times.collect(), amount)?
    })
}

fn memory(rows: &[Value]) -> Option<Chart> {
    let found = series(rows, "entries").into_iter().filter(|series| series.unit == "MiB");
    Some(Chart {
        title: "Resident memory by size of the store".to_owned(),
        x_axis: "entries in the store",
        y_axis: "MiB",
        scale: Scale::Linear,
        ..chart(found.collect(), amount)?
    })
}

/// The series over `by`; a series without it is over the number of entries.
fn series<'a>(rows: &'a [Value], by: &str) -> Vec<Series<'a>> {
    rows.iter()
        .filter(|row| row["series"]["by"].as_str().unwrap_or("entries") == by)
        .filter_map(|row| {
            let points = row["series"]["points"].as_array()?.iter().filter_map(point).collect();
            let (what, unit) = (row["series"]["what"].as_str()?, row["ours"]["unit"].as_str()?);
            Some(Series { what, unit, points })
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// The position and the value of a point.
pub(super) fn point(point: &Value) -> Option<(f64, f64)> {
    let at = point["at"].as_f64().or_else(|| point["entries"].as_f64());
    Some((at?, point["value"].as_f64()?))
}

/// The lines of these series over the union of their positions; the caller sets titles and scale.
fn chart(series: Vec<Series<'_>>, name: impl Fn(f64) -> String) -> Option<Chart> {
    let mut positions: Vec<f64> =
        series.iter().flat_map(|series| &series.points).map(|(at, _)| *at).collect();
    positions.sort_by(f64::total_cmp);
    positions.dedup();
    if positions.is_empty() {
        return None;
    }
    let line = |series: Series<'_>| Line {
        name: series.what.to_owned(),
        points: series
            .points
            .iter()
            .filter_map(|(at, value)| {
                Some((positions.iter().position(|position| position == at)?, *value))
            })
            .collect(),
        dashed: false,
    };
    let lines = series.into_iter().map(line).collect();
    Some(Chart {
        title: String::new(),
        x_axis: "",
        x_names: positions.iter().map(|position| name(*position)).collect(),
        y_axis: "",
        scale: Scale::Log,
        lines,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(row: &str, unit: &str, series: &Value) -> Value {
        json!({"row": row, "ours": {"unit": unit}, "series": series,
            "reference": {"name": "R", "figure": {"median": 300.0}}})
    }

    #[test]
    fn series_are_assigned_to_plots() {
        let points = json!([{"at": 1.0, "value": 10.0}, {"at": 4.0, "value": 40.0}]);
        let by = |by: &str, what: &str| json!({"what": what, "by": by, "points": points});
        let rows = [
            row("writers", "entries/s", &by("writers", "Attestry")),
            row("durable", "entries/s", &Value::Null),
            row("latency", "µs", &by("percentile", "half of the peak")),
            row("sizes", "ms", &by("entries", "open")),
            row("sizes", "MiB", &by("entries", "resident memory")),
        ];
        let plots = of(&rows);
        let names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["throughput", "latency", "cost", "memory"]);
        let line = |plot: &Plot, line: usize| plot.chart.lines[line].name.clone();
        assert_eq!(line(&plots[0], 1), "R, batches of 1,000");
        assert_eq!(line(&plots[1], 0), "half of the peak");
        assert_eq!(plots[1].chart.x_names, ["p1", "p4"]);
        assert_eq!(line(&plots[2], 0), "open");
        assert_eq!(plots[2].chart.lines[0].points[1], (1, 40_000.0), "40 ms are 40,000 µs");
        assert_eq!(plots[3].chart.lines.len(), 1);
    }

    #[test]
    fn missing_series_are_left_out() {
        let series = json!({"what": "get_entry", "points": [{"entries": 5, "value": 2.0}]});
        let plots = of(&[row("sizes", "µs", &series), row("get", "µs", &Value::Null)]);
        let names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["cost"]);
        assert!(of(&[]).is_empty());
    }
}
