//! The summaries as a table, JSON or CSV.

use attestry::stats::{Percentile, Statistics, Summary};
use serde_json::Value;

use crate::csv_file::CsvWriter;
use crate::errors::Failure;
use crate::output::Stdout;
use crate::table::{Align, Table};
use crate::text::{counted, escaped, thousands};
use crate::times::Zone;

pub(super) struct Report {
    pub(super) statistics: Statistics,
    pub(super) total: Summary,
    pub(super) percentiles: Vec<Percentile>,
    pub(super) zone: Zone,
}

impl Report {
    pub(super) fn print_table(&self, out: &mut Stdout) -> Result<(), Failure> {
        let total = &self.total;
        out.line(format_args!(
            "{}, {}",
            counted(total.entries, "entry", "entries"),
            counted(total.safety_failed, "safety failure", "safety failures")
        ))?;
        let Some((first, last)) = total.span else { return Ok(()) };
        out.line(format_args!("from {} to {}\n", self.zone.show(first), self.zone.show(last)))?;
        let keys = self.statistics.keys().iter();
        let columns = keys
            .map(|key| (escaped(&key.to_string().to_uppercase()), Align::Left, 40))
            .chain([
                ("ENTRIES".into(), Align::Right, 20),
                ("FAILED".into(), Align::Right, 20),
                ("TOKENS IN".into(), Align::Right, 28),
                ("TOKENS OUT".into(), Align::Right, 28),
            ])
            .chain(self.percentiles.iter().map(|p| (format!("P{p} MS"), Align::Right, 12)))
            .chain([("MAX MS".into(), Align::Right, 12)]);
        let mut table = Table::new(columns);
        for (group, summary) in self.statistics.groups() {
            let names =
                group.iter().map(|name| name.as_deref().map_or_else(|| "-".into(), escaped));
            table.row(names.chain(self.cells(summary)).collect(), out)?;
        }
        let mut names = vec![String::new(); self.statistics.keys().len()];
        if let Some(first) = names.first_mut() {
            *first = "total".to_owned();
        }
        table.row(names.into_iter().chain(self.cells(total)).collect(), out)?;
        table.finish(out)
    }

    fn cells<'a>(&'a self, summary: &'a Summary) -> impl Iterator<Item = String> + 'a {
        let milliseconds =
            |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
        let counts = [
            thousands(summary.entries),
            thousands(summary.safety_failed),
            thousands(summary.input_tokens),
            thousands(summary.output_tokens),
        ];
        let percentiles = self.percentiles.iter().map(|p| summary.latency.percentile(*p));
        let latencies = percentiles.chain([summary.latency.max()]);
        counts.into_iter().chain(latencies.map(milliseconds))
    }

    /// A row for each group. The total is left out, so that sums of a column are right.
    pub(super) fn print_csv(&self, safe: bool, out: &mut Stdout) -> Result<(), Failure> {
        let csv = CsvWriter::new(safe);
        let counts = ["entries", "safety_failed", "input_tokens", "output_tokens", "measured"];
        let names = self.statistics.keys().iter().map(ToString::to_string);
        let names = names.chain(["first".into(), "last".into()]);
        let names = names.chain(counts.map(str::to_owned));
        let names = names.chain(self.percentiles.iter().map(|p| format!("p{p}_ms")));
        csv.record(names.chain(["max_ms".into()]), out)?;
        for (group, summary) in self.statistics.groups() {
            let time = |time| self.zone.show(time).to_string();
            let span = summary.span.map(|(first, last)| [time(first), time(last)]);
            let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            let counts = [
                summary.entries.to_string(),
                summary.safety_failed.to_string(),
                summary.input_tokens.to_string(),
                summary.output_tokens.to_string(),
                summary.latency.count().to_string(),
            ];
            let percentiles = self.percentiles.iter().map(|p| summary.latency.percentile(*p));
            let latencies = percentiles.chain([summary.latency.max()]).map(number);
            let names = group.iter().map(|name| name.clone().unwrap_or_default());
            let row = names.chain(span.unwrap_or_default()).chain(counts).chain(latencies);
            csv.record(row, out)?;
        }
        Ok(())
    }

    pub(super) fn as_json(&self) -> Value {
        self.statistics.to_json(&self.percentiles, |time| self.zone.show(time).to_string())
    }
}
