//! `attestry stats`: summarises entries by provider and model.

use std::collections::BTreeMap;

use attestry::{AuditEntry, Timestamp};
use serde_json::{Map, Value, json};

use crate::args::{StatsArgs, StatsFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::histogram::Histogram;
use crate::output::Stdout;
use crate::store::Settings;
use crate::table::{Align, Table};
use crate::text::{counted, escaped, thousands};

pub(super) async fn run(
    args: StatsArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let query = args.selection.query()?;
    let logger = store.open_reader(Settings::default()).await?;
    // Memory grows with the number of models, not with the number of entries.
    let mut groups: BTreeMap<Group, Summary> = BTreeMap::new();
    let status = super::for_each(logger.query(query), |entry| {
        let group = Group { provider: entry.provider.clone(), model: entry.model.clone() };
        groups.entry(group).or_default().add(entry);
        Ok(())
    })
    .await?;
    match args.format {
        StatsFormat::Json => out.json(&as_json(&groups))?,
        StatsFormat::Table => print_table(&groups, out)?,
    }
    logger.close().await?;
    Ok(status)
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    provider: Option<String>,
    model: Option<String>,
}

#[derive(Debug, Default)]
struct Summary {
    entries: u64,
    span: Option<(Timestamp, Timestamp)>,
    safety_failed: u64,
    input_tokens: i128,
    output_tokens: i128,
    latency: Histogram,
}

impl Summary {
    fn add(&mut self, entry: &AuditEntry) {
        self.entries += 1;
        self.widen(entry.timestamp, entry.timestamp);
        self.safety_failed += u64::from(!entry.safety_passed);
        self.input_tokens += i128::from(entry.input_tokens.unwrap_or(0));
        self.output_tokens += i128::from(entry.output_tokens.unwrap_or(0));
        self.latency.add(entry.latency_ms);
    }

    fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        if let Some((first, last)) = other.span {
            self.widen(first, last);
        }
        self.safety_failed += other.safety_failed;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.latency.merge(&other.latency);
    }

    fn widen(&mut self, from: Timestamp, to: Timestamp) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    fn total(groups: &BTreeMap<Group, Self>) -> Self {
        let mut total = Self::default();
        groups.values().for_each(|summary| total.merge(summary));
        total
    }

    fn as_json(&self) -> Map<String, Value> {
        // Few JSON parsers accept integers of more than 64 bits.
        let limit = |sum: i128| i64::try_from(sum.clamp(i64::MIN.into(), i64::MAX.into()));
        let [p50, p90, p99] = PERCENTS.map(|percent| self.latency.percentile(percent));
        let object = json!({
            "entries": self.entries,
            "safety_failed": self.safety_failed,
            "input_tokens": limit(self.input_tokens).unwrap_or_default(),
            "output_tokens": limit(self.output_tokens).unwrap_or_default(),
            "latency_ms": {
                "measured": self.latency.count(),
                "p50": p50,
                "p90": p90,
                "p99": p99,
                "max": self.latency.max(),
            },
        });
        object.as_object().cloned().unwrap_or_default()
    }
}

/// The reported percentiles.
const PERCENTS: [u64; 3] = [50, 90, 99];

fn print_table(groups: &BTreeMap<Group, Summary>, out: &mut Stdout) -> Result<(), Failure> {
    let total = Summary::total(groups);
    out.line(format_args!(
        "{}, {}",
        counted(total.entries, "entry", "entries"),
        counted(total.safety_failed, "safety failure", "safety failures")
    ))?;
    let Some((first, last)) = total.span else { return Ok(()) };
    out.line(format_args!("from {first} to {last} UTC\n"))?;
    let mut table = Table::new([
        ("PROVIDER", Align::Left, 30),
        ("MODEL", Align::Left, 40),
        ("ENTRIES", Align::Right, 20),
        ("FAILED", Align::Right, 20),
        ("TOKENS IN", Align::Right, 28),
        ("TOKENS OUT", Align::Right, 28),
        ("P50 MS", Align::Right, 12),
        ("P90 MS", Align::Right, 12),
        ("P99 MS", Align::Right, 12),
        ("MAX MS", Align::Right, 12),
    ]);
    for (group, summary) in groups {
        let name = |name: &Option<String>| name.as_deref().map_or_else(|| "-".into(), escaped);
        table.row(row(name(&group.provider), name(&group.model), summary), out)?;
    }
    table.row(row("total".into(), String::new(), &total), out)?;
    table.finish(out)
}

fn row(provider: String, model: String, summary: &Summary) -> [String; 10] {
    let milliseconds =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1}"));
    let [p50, p90, p99] = PERCENTS.map(|p| milliseconds(summary.latency.percentile(p)));
    [
        provider,
        model,
        thousands(summary.entries),
        thousands(summary.safety_failed),
        thousands(summary.input_tokens),
        thousands(summary.output_tokens),
        p50,
        p90,
        p99,
        milliseconds(summary.latency.max()),
    ]
}

fn as_json(groups: &BTreeMap<Group, Summary>) -> Value {
    let total = Summary::total(groups);
    let by_model = groups.iter().map(|(group, summary)| {
        let mut object = Map::new();
        object.insert("provider".into(), group.provider.as_deref().into());
        object.insert("model".into(), group.model.as_deref().into());
        object.extend(summary.as_json());
        Value::from(object)
    });
    json!({
        "first": total.span.map(|span| span.0),
        "last": total.span.map(|span| span.1),
        "total": Value::from(total.as_json()),
        "by_model": by_model.collect::<Vec<_>>(),
    })
}
