//! Charts as SVG: drawn by the server, coloured by classes, stretched to the width of the page.

use maud::{Markup, html};

use crate::viewer::strings::overview as strings;

/// The drawing is so many units wide and high; the style sheet gives it its size.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// A series of values, one for each point in time; `None` where there is none.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// A class of the style sheet.
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// A chart over time.
pub(super) struct Chart<'a> {
    pub(super) description: String,
    pub(super) series: &'a [Series],
    /// The value at its top, as text.
    pub(super) highest: String,
    /// The times at its left and right edges.
    pub(super) edges: [Markup; 2],
}

impl Chart<'_> {
    /// The values of all series on top of each other.
    pub(super) fn stacked(&self) -> Markup {
        let points = self.series.first().map_or(0, |series| series.values.len());
        let sum = |point: usize| -> f64 {
            self.series.iter().filter_map(|series| series.values[point]).sum()
        };
        let top = (0..points).map(sum).fold(0.0, f64::max);
        let step = WIDTH / unit(points);
        self.figure(&html! {
            @for point in 0..points {
                @for (class, from, value) in self.stack(point) {
                    @let (height, x) = (value / top * HEIGHT, unit(point) * step + step * 0.1);
                    rect class=(class) x=(short(x)) width=(short(step * 0.8))
                        y=(short(HEIGHT - from / top * HEIGHT - height)) height=(short(height)) {}
                }
            }
        })
    }

    /// The series that have something at `point`: class, sum of those below, and value.
    fn stack(&self, point: usize) -> Vec<(&'static str, f64, f64)> {
        let mut below = 0.0;
        let mut stack = Vec::new();
        for series in self.series {
            let value = series.values[point].unwrap_or(0.0);
            if value > 0.0 {
                stack.push((series.class, below, value));
                below += value;
            }
        }
        stack
    }

    /// A line for each series.
    pub(super) fn lines(&self) -> Markup {
        let values = self.series.iter().flat_map(|series| series.values.iter().flatten());
        let top = values.fold(0.0_f64, |top, value| top.max(*value)).max(f64::MIN_POSITIVE);
        self.figure(&html! {
            @for series in self.series {
                @for path in paths(&series.values, top) { path class=(series.class) d=(path) {} }
            }
        })
    }

    fn figure(&self, drawing: &Markup) -> Markup {
        html! {
            figure.chart {
                div.caption { span.soft { (strings::AT_MOST) " " (self.highest) } (self.legend()) }
                svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none"
                    role="img" aria-label=(self.description) {
                    (drawing)
                    line.axis x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) {}
                }
                p.edges { span { (self.edges[0]) } span { (self.edges[1]) } }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for series in self.series {
                    li {
                        svg.key viewBox="0 0 10 10" aria-hidden="true" {
                            @if series.class.starts_with("line") {
                                path class=(series.class) d="M0 5H10" {}
                            } @else {
                                rect class=(series.class) width="10" height="10" {}
                            }
                        }
                        (series.name)
                    }
                }
            }
        }
    }
}

/// The lines through neighbouring values; a value without neighbours is a short line.
fn paths(values: &[Option<f64>], top: f64) -> Vec<String> {
    let step = WIDTH / unit(values.len());
    let mut paths: Vec<String> = Vec::new();
    let mut is_open = false;
    for (point, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_open = false;
            continue;
        };
        let (x, y) = ((unit(point) + 0.5) * step, HEIGHT - value / top * HEIGHT * 0.98);
        match paths.last_mut().filter(|_| is_open) {
            Some(path) => path.push_str(&format!("L{} {}", short(x), short(y))),
            None => paths.push(format!("M{} {}h2", short(x - 1.0), short(y))),
        }
        is_open = true;
    }
    paths
}

/// A small number as a coordinate; never zero as a count.
#[allow(clippy::cast_precision_loss)]
fn unit(count: usize) -> f64 {
    count as f64
}

/// A coordinate with one digit after the point.
fn short(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_there_is_no_value() {
        let values = [Some(1.0), Some(2.0), None, Some(4.0)];
        assert_eq!(paths(&values, 4.0), ["M124 151h2L375 102", "M874 4h2"]);
    }

    #[test]
    fn bars_fill_the_height_at_the_highest_point() {
        let series = [
            Series { name: "a", class: "bar", values: vec![Some(3.0), Some(0.0)] },
            Series { name: "b", class: "bar-bad", values: vec![Some(1.0), Some(1.0)] },
        ];
        let chart = Chart {
            description: "\"<d>\"".into(),
            series: &series,
            highest: "4".into(),
            edges: [html! {}, html! {}],
        };
        let svg = chart.stacked().into_string();
        assert!(svg.contains("aria-label=\"&quot;&lt;d&gt;&quot;\""), "{svg}");
        assert!(
            svg.contains(r#"<rect class="bar" x="50" width="400" y="50" height="150">"#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"<rect class="bar-bad" x="50" width="400" y="0" height="50">"#),
            "{svg}"
        );
        assert_eq!(svg.matches("<rect class=\"bar\" x").count(), 1);
    }
}
