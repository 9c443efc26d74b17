//! A line chart as an SVG file, drawn by plotters.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::cmd::Result;

/// A chart. The positions on the horizontal axis have names and equal distances.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_axis: &'static str,
    pub(super) x_names: Vec<String>,
    /// What the vertical axis shows, with its unit.
    pub(super) y_axis: &'static str,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Log,
    /// From 0.
    Linear,
}

/// Pairs of position and value.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(usize, f64)>,
    /// For reference values.
    pub(super) dashed: bool,
}

type Context<'a, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Positions, Y>>;

const SIZE: (u32, u32) = (800, 400);

/// The Okabe-Ito palette, which colour-blind readers can tell apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

impl Chart {
    pub(super) fn svg(&self) -> Result<String> {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let high = values().fold(f64::MIN_POSITIVE, f64::max);
        let low = values().filter(|value| *value > 0.0).fold(high, f64::min);
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let count = self.x_names.len();
        let last = as_f64(count.saturating_sub(1));
        // Two fifths on the right are for the legend.
        let range = RangedCoordf64::from(-0.1..(last * 1.65).max(0.5));
        let mut chart = ChartBuilder::on(&area);
        chart
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72);
        let x = Positions { count, range };
        match self.scale {
            Scale::Log => {
                self.draw(chart.build_cartesian_2d(x, (low * 0.8..high * 1.25).log_scale())?)?;
            }
            Scale::Linear => self.draw(chart.build_cartesian_2d(x, 0.0..high * 1.1)?)?,
        }
        area.present()?;
        drop(chart);
        drop(area);
        Ok(text)
    }

    fn draw<Y>(&self, mut chart: Context<'_, Y>) -> Result
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(self.x_names.len())
            .x_label_formatter(&|x| self.x_name(*x))
            .y_label_formatter(&|y| amount(*y))
            .x_desc(self.x_axis)
            .y_desc(self.y_axis)
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let points = || line.points.iter().map(|(x, y)| (as_f64(*x), *y));
            let series = if line.dashed {
                chart.draw_series(DashedLineSeries::new(points(), 6, 4, style))?
            } else {
                chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
                chart.draw_series(LineSeries::new(points(), style))?
            };
            series
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .border_style(TRANSPARENT)
            .draw()?;
        Ok(())
    }

    fn x_name(&self, x: f64) -> String {
        let index = (0..self.x_names.len()).find(|index| (as_f64(*index) - x).abs() < 0.01);
        index.map_or_else(String::new, |index| self.x_names[index].clone())
    }
}

/// A horizontal axis with a label at each position.
struct Positions {
    count: usize,
    range: RangedCoordf64,
}

impl Ranged for Positions {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        (0..self.count).map(as_f64).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.range()
    }
}

/// A short form of a number: 2.5k, 10M.
pub(super) fn amount(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let digits = format!("{value:.2}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Exact for every index.
#[allow(clippy::cast_precision_loss)]
fn as_f64(index: usize) -> f64 {
    index as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_reproducible_and_complete() {
        for scale in [Scale::Log, Scale::Linear] {
            let line = |name: &str, dashed| Line {
                name: name.to_owned(),
                points: vec![(0, 5.0), (1, 250.0)],
                dashed,
            };
            let chart = Chart {
                title: "a < b".to_owned(),
                x_axis: "writers",
                x_names: vec!["one".to_owned(), "four".to_owned()],
                y_axis: "entries/s",
                scale,
                lines: vec![line("ours & theirs", false), line("R", true)],
            };
            let svg = chart.svg().unwrap();
            assert_eq!(svg, chart.svg().unwrap());
            for text in ["a &lt; b", "ours &amp; theirs", "writers", "entries/s", "one", "four"] {
                assert!(svg.contains(text), "{text}: {svg}");
            }
            assert_eq!(svg.matches("<circle").count(), 2, "only the solid line has dots");
            assert!(!svg.contains("NaN"));
        }
    }

    #[test]
    fn amounts_are_short() {
        let shown = [0.5, 20.0, 100.0, 2_500.0, 200_000.0, 10_000_000.0].map(amount);
        assert_eq!(shown, ["0.5", "20", "100", "2.5k", "200k", "10M"]);
    }
}
