//! A chart of lines as an SVG file, readable on light and on dark backgrounds. The same chart is the
//! same bytes.

use std::fmt::Write as _;

/// What is drawn.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// What the places on the horizontal axis are.
    pub(super) across: &'static str,
    /// Their names, in order; they are drawn at equal distances.
    pub(super) places: Vec<String>,
    /// What the vertical axis shows, with its unit.
    pub(super) up: &'static str,
    /// How it is divided.
    pub(super) scale: Scale,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

/// How the vertical axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal distances are equal factors.
    Log,
    /// From 0, equal distances are equal amounts.
    Linear,
}

/// One line: a place and a value each.
pub(super) struct Line {
    /// What the legend calls it.
    pub(super) name: String,
    /// Where it goes.
    pub(super) points: Vec<(usize, f64)>,
    /// Whether it is there to compare with.
    pub(super) dashed: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 232.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;

/// On light and on dark, told apart by readers who see few colours, too.
const COLOURS: [(&str, &str); 8] = [
    ("#0072b2", "#58a6ff"),
    ("#d55e00", "#ff9657"),
    ("#00805f", "#3fd8a8"),
    ("#a8478a", "#e79bcd"),
    ("#8a6d00", "#e3b341"),
    ("#6f42c1", "#b392f0"),
    ("#b31d28", "#ff7b72"),
    ("#57606a", "#9aa4af"),
];

impl Chart {
    /// The file.
    pub(super) fn svg(&self) -> String {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let ticks = ticks(self.scale, values());
        let up = Up::new(self.scale, &ticks);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, &ticks, &up);
        text
    }

    fn write(&self, out: &mut String, ticks: &[f64], up: &Up) -> std::fmt::Result {
        let title = escaped(&self.title);
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}" font-family="sans-serif" font-size="12">"#
        )?;
        writeln!(out, "<title>{title}</title>\n<style>\n{}</style>", style())?;
        writeln!(out, r#"<text class="ink" x="{LEFT}" y="20" font-size="15">{title}</text>"#)?;
        let end = WIDTH - RIGHT;
        for &tick in ticks {
            let y = up.at(tick);
            writeln!(
                out,
                r#"<line class="grid" x1="{LEFT}" x2="{end}" y1="{y:.1}" y2="{y:.1}"/><text class="ink" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                amount(tick)
            )?;
        }
        let below = HEIGHT - BOTTOM;
        for (place, name) in self.places.iter().enumerate() {
            let (x, name) = (self.x(place), escaped(name));
            writeln!(
                out,
                r#"<text class="ink" x="{x:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
                below + 18.0
            )?;
        }
        writeln!(
            out,
            r#"<text class="ink" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            f64::midpoint(LEFT, end),
            below + 40.0,
            escaped(self.across)
        )?;
        writeln!(out, r#"<text class="ink" x="{LEFT}" y="36">{}</text>"#, escaped(self.up))?;
        for (number, line) in self.lines.iter().enumerate() {
            self.write_line(out, number, line, up)?;
        }
        out.push_str("</svg>\n");
        Ok(())
    }

    fn write_line(
        &self,
        out: &mut String,
        number: usize,
        line: &Line,
        up: &Up,
    ) -> std::fmt::Result {
        let colour = number % COLOURS.len();
        let dashes = if line.dashed { r#" stroke-dasharray="6 4""# } else { "" };
        let places: Vec<(f64, f64)> =
            line.points.iter().map(|&(place, value)| (self.x(place), up.at(value))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(
            out,
            r#"<polyline class="s{colour}" fill="none" stroke-width="2"{dashes} points="{}"/>"#,
            path.join(" ")
        )?;
        if !line.dashed {
            for (x, y) in places {
                writeln!(out, r#"<circle class="f{colour}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#)?;
            }
        }
        let (x, y) = (WIDTH - RIGHT + 20.0, TOP + 8.0 + row(number) * 20.0);
        writeln!(
            out,
            r#"<line class="s{colour}" stroke-width="2"{dashes} x1="{x:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="ink" x="{:.1}" y="{:.1}">{}</text>"#,
            x + 24.0,
            x + 32.0,
            y + 4.0,
            escaped(&line.name)
        )
    }

    fn x(&self, place: usize) -> f64 {
        let width = WIDTH - LEFT - RIGHT;
        let step = width / row(self.places.len().max(1));
        LEFT + step * (row(place) + 0.5)
    }
}

/// From values to heights.
struct Up {
    scale: Scale,
    least: f64,
    most: f64,
}

impl Up {
    fn new(scale: Scale, ticks: &[f64]) -> Self {
        let ends = (ticks.first().copied(), ticks.last().copied());
        let (least, most) = (ends.0.unwrap_or(1.0), ends.1.unwrap_or(10.0));
        Self { scale, least, most }
    }

    fn at(&self, value: f64) -> f64 {
        let along = match self.scale {
            Scale::Linear => (value - self.least) / (self.most - self.least),
            Scale::Log => (value / self.least).ln() / (self.most / self.least).ln(),
        };
        HEIGHT - BOTTOM - along * (HEIGHT - TOP - BOTTOM)
    }
}

/// Round values that enclose all of `values`; two at least.
fn ticks(scale: Scale, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (least, most) = values
        .filter(|value| value.is_finite() && *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    if most == 0.0 {
        return vec![1.0, 10.0];
    }
    match scale {
        Scale::Log => {
            let decades = (most / least).log10();
            let steps: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let all: Vec<f64> = (-6..=12)
                .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
                .collect();
            let first = all.iter().rposition(|tick| *tick <= least * 1.000_001).unwrap_or(0);
            let last =
                all.iter().position(|tick| *tick >= most * 0.999_999).unwrap_or(all.len() - 1);
            all[first..=last.max(first + 1).min(all.len() - 1)].to_vec()
        }
        Scale::Linear => {
            let power = 10_f64.powf((most / 4.0).log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
            let step = step.into_iter().find(|step| step * 5.0 >= most).unwrap_or(most);
            let mut ticks = vec![0.0];
            while ticks.last().is_some_and(|last| *last < most) {
                ticks.push(step * row(ticks.len()));
            }
            ticks
        }
    }
}

/// A small count as a number to calculate with.
fn row(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from)
}

/// `250`, `2.5k`, `10M`.
pub(super) fn amount(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let digits = format!("{value:.2}");
    let digits = if digits.contains('.') { digits.trim_end_matches('0') } else { &digits };
    format!("{}{unit}", digits.trim_end_matches('.'))
}

fn style() -> String {
    let rules = |dark: bool| {
        let mut rules = if dark {
            ".ink{fill:#c9d1d9}.grid{stroke:#8b949e;stroke-opacity:.3}".to_owned()
        } else {
            ".ink{fill:#57606a}.grid{stroke:#57606a;stroke-opacity:.25}".to_owned()
        };
        for (number, (on_light, on_dark)) in COLOURS.iter().enumerate() {
            let colour = if dark { on_dark } else { on_light };
            rules.push_str(&format!(".s{number}{{stroke:{colour}}}.f{number}{{fill:{colour}}}"));
        }
        rules
    };
    format!("{}\n@media (prefers-color-scheme: dark){{{}}}\n", rules(false), rules(true))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale) -> Chart {
        let line = |name: &str, dashed| Line {
            name: name.to_owned(),
            points: vec![(0, 5.0), (1, 250.0)],
            dashed,
        };
        Chart {
            title: "a < b".to_owned(),
            across: "writers",
            places: vec!["1".to_owned(), "4".to_owned()],
            up: "entries a second",
            scale,
            lines: vec![line("ours & theirs", false), line("R", true)],
        }
    }

    #[test]
    fn the_same_chart_is_the_same_file_and_well_formed() {
        let svg = chart(Scale::Log).svg();
        assert_eq!(svg, chart(Scale::Log).svg());
        assert!(svg.contains("a &lt; b") && svg.contains("ours &amp; theirs"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 2, "a dashed line has no dots");
        assert!(svg.contains("prefers-color-scheme: dark") && !svg.contains("NaN"));
        for tag in ["svg", "title", "style", "text"] {
            let opened = svg.matches(&format!("<{tag}")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn values_lie_between_the_ends_of_the_axis() {
        for (scale, values) in [
            (Scale::Log, vec![4_100.0, 291_000.0]),
            (Scale::Log, vec![0.9, 5_000.0]),
            (Scale::Log, vec![100.0]),
            (Scale::Linear, vec![14.0, 29.5]),
            (Scale::Linear, vec![0.3]),
        ] {
            let ticks = ticks(scale, values.iter().copied());
            assert!(ticks.len() >= 2 && ticks.len() < 12, "{ticks:?}");
            assert!(ticks.is_sorted(), "{ticks:?}");
            let up = Up::new(scale, &ticks);
            for value in values {
                let y = up.at(value);
                assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y), "{value} at {y}");
            }
        }
        assert_eq!(ticks(Scale::Linear, [29.5].into_iter()), [0.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn amounts_are_short() {
        let shown = [0.5, 20.0, 100.0, 2_500.0, 200_000.0, 10_000_000.0].map(amount);
        assert_eq!(shown, ["0.5", "20", "100", "2.5k", "200k", "10M"]);
    }
}
