//! Which plots a result has, and what is in them. A result of an older program lacks some series;
//! then the plot lacks their lines, or is left out.

use serde_json::Value;

use super::svg::{Chart, Line, Scale, amount};

/// A plot of a result.
pub(super) struct Plot {
    /// What its file is called, without the run it is of.
    pub(super) name: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) alt: String,
    /// The file.
    pub(super) svg: String,
}

/// One series of a row.
struct Series<'a> {
    what: &'a str,
    unit: &'a str,
    points: Vec<(f64, f64)>,
}

/// All plots that the result has something for.
pub(super) fn of(rows: &[Value]) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut add = |name, chart: Option<Chart>| {
        plots.extend(chart.map(|chart| Plot { name, alt: chart.title.clone(), svg: chart.svg() }));
    };
    add("throughput", throughput(rows));
    add("latency", latency(rows));
    add("cost", cost(rows));
    add("memory", memory(rows));
    plots
}

fn throughput(rows: &[Value]) -> Option<Chart> {
    let mut chart = chart(series(rows, "writers"), |tasks| tasks.to_string())?;
    let last = chart.places.len() - 1;
    // What others store in batches does not depend on writers.
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
        across: "tasks that log at once",
        up: "entries a second",
        scale: Scale::Log,
        ..chart
    })
}

fn latency(rows: &[Value]) -> Option<Chart> {
    let found = series(rows, "percentile");
    let name = |percent: f64| match percent {
        100.0 => "most".to_owned(),
        percent => format!("p{}", amount(percent)),
    };
    let mut chart = chart(found, name)?;
    let last = chart.places.len() - 1;
    let syncs = rows.iter().find(|row| row["row"] == "latency");
    if let Some(sync) = syncs.and_then(|row| row["reference"]["figure"]["median"].as_f64()) {
        let name = "write + fdatasync, median".to_owned();
        chart.lines.push(Line { name, points: vec![(0, sync), (last, sync)], dashed: true });
    }
    Some(Chart {
        title: "Durable log: latency when calls come at random".to_owned(),
        across: "share of the calls that take at most so long",
        up: "µs from when a call was due",
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
        across: "entries in the store",
        up: "µs",
        scale: Scale::Log,
        ..chart(times.collect(), amount)?
    })
}

fn memory(rows: &[Value]) -> Option<Chart> {
    let found = series(rows, "entries").into_iter().filter(|series| series.unit == "MiB");
    Some(Chart {
        title: "Resident memory by size of the store".to_owned(),
        across: "entries in the store",
        up: "MiB",
        scale: Scale::Linear,
        ..chart(found.collect(), amount)?
    })
}

/// The series whose points differ in this. Results of the first version had one kind of series.
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

/// Where a point is, and its value.
pub(super) fn point(point: &Value) -> Option<(f64, f64)> {
    let at = point["at"].as_f64().or_else(|| point["entries"].as_f64());
    Some((at?, point["value"].as_f64()?))
}

/// The lines of these series over all places that any of them has. What a chart is about is for
/// the caller to say.
fn chart(series: Vec<Series<'_>>, name: impl Fn(f64) -> String) -> Option<Chart> {
    let mut places: Vec<f64> =
        series.iter().flat_map(|series| &series.points).map(|(at, _)| *at).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    if places.is_empty() {
        return None;
    }
    let line = |series: Series<'_>| Line {
        name: series.what.to_owned(),
        points: series
            .points
            .iter()
            .filter_map(|(at, value)| Some((places.iter().position(|place| place == at)?, *value)))
            .collect(),
        dashed: false,
    };
    let lines = series.into_iter().map(line).collect();
    Some(Chart {
        title: String::new(),
        across: "",
        places: places.iter().map(|place| name(*place)).collect(),
        up: "",
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
    fn each_series_is_in_the_plot_of_its_kind() {
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
        assert!(plots[0].svg.contains("R, batches of 1,000"));
        assert!(plots[1].svg.contains("half of the peak") && plots[1].svg.contains(">p4<"));
        assert!(plots[2].svg.contains("open") && !plots[2].svg.contains("resident memory<"));
        assert!(plots[2].svg.contains(">50k<"), "40 ms are 40,000 µs");
        assert_eq!(plots[3].svg.matches("<polyline").count(), 1);
    }

    #[test]
    fn what_an_old_result_lacks_is_left_out() {
        let series = json!({"what": "get_entry", "points": [{"entries": 5, "value": 2.0}]});
        let plots = of(&[row("sizes", "µs", &series), row("get", "µs", &Value::Null)]);
        let names: Vec<&str> = plots.iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["cost"]);
        assert!(of(&[]).is_empty());
    }
}
