//! Replays recorded interactions at their times, sped up, through a durable logger with encryption.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attestry::crypto::EncryptionManager;
use attestry::file::FileStorage;
use attestry::{AuditLogger, EntryId, Interaction, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Args;
use crate::load::{self, Outcome};
use crate::report::{Point, Row, Scale, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, quantile, rate, to_f64};
use crate::{Result, remove};

/// The reported percentiles.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 100.0];

/// The percentiles with a row.
const SHOWN: [(f64, &str); 3] = [(50.0, "p50"), (99.0, "p99"), (99.9, "p99.9")];

/// Replays the file; returns the conditions and rows.
pub(crate) fn run(rig: &Rig, args: &Args, file: &Path) -> Result<(Vec<Row>, Value)> {
    let trace = Trace::read(file)?;
    let due = trace.due(args.speed, args.times);
    let (count, span) = (due.len() as u64, due.last().copied().unwrap_or_default());
    eprintln!("replaying {} interactions in {:.1} s", grouped(count), span.as_secs_f64());
    let outcome = replay(rig, usize::try_from(args.tasks)?, trace, due)?;
    let of_run = json!({
        "kind": "replay",
        "file": file.file_name().map(|name| name.to_string_lossy()),
        "speed": args.speed,
        "times": args.times,
        "tasks": args.tasks,
        "entries": count,
        "span_seconds": span.as_secs_f64(),
    });
    Ok((rows(args, count, span, &outcome), of_run))
}

fn rows(args: &Args, count: u64, span: Duration, outcome: &Outcome<EntryId>) -> Vec<Row> {
    let at = |percent: f64| quantile(&outcome.latencies, percent / 100.0);
    let sustained = Figure::one(rate(count, outcome.took), "entries/s");
    let what = format!("durable log, encrypted, {} tasks", args.tasks);
    let mut rows = vec![
        Row::new("replay", what.clone(), sustained)
            .against("the trace", Figure::one(rate(count, span), "entries/s"))
            .note(format!(
                "{} times as fast as it came; all {} acknowledged entries are there and decrypt \
                 to what their hashes say",
                args.speed,
                grouped(count)
            )),
    ];
    rows.extend(SHOWN.map(|(percent, name)| {
        Row::new("replay", format!("{what}, {name}"), Figure::one(at(percent), "µs"))
    }));
    let points = PERCENTILES.map(|percent| Point { at: percent, value: at(percent) });
    rows[1] = rows[1].clone().series("replay", Scale::Percentile, points.to_vec());
    rows
}

/// Logs everything when due and checks the store.
fn replay(rig: &Rig, tasks: usize, trace: Trace, due: Vec<Duration>) -> Result<Outcome<EntryId>> {
    let path = rig.fresh("replay")?;
    let manager = EncryptionManager::generate();
    let logger = rig.run(open(path.clone(), manager.clone()))?;
    let (of_calls, interactions) = (logger.clone(), Arc::new(trace.interactions));
    let outcome = load::offer(rig.runtime(), tasks, due, move |number| {
        let (logger, interactions) = (of_calls.clone(), Arc::clone(&interactions));
        async move {
            let interaction = interactions[number % interactions.len()].clone();
            Ok(logger.log(interaction).await?)
        }
    })?;
    let ids = outcome.answers.clone();
    rig.run(async move {
        logger.close().await?;
        check(&open(path.clone(), manager).await?, &ids).await?;
        remove(&path)
    })?;
    Ok(outcome)
}

async fn open(path: std::path::PathBuf, manager: EncryptionManager) -> Result<AuditLogger> {
    let storage = FileStorage::builder(&path).open().await?;
    Ok(AuditLogger::builder(storage).encryption(manager).store_content(true).build())
}

/// Checks that exactly the acknowledged entries are present, with the original texts.
async fn check(logger: &AuditLogger, ids: &[EntryId]) -> Result<()> {
    for id in ids {
        let entry = logger.get_entry(id).await?;
        let entry = entry.ok_or_else(|| format!("{id} was acknowledged and is not there"))?;
        let content = logger.decrypt_entry(&entry)?;
        if content.input.is_none() || content.output.is_none() {
            return Err(format!("{id} has lost its texts").into());
        }
    }
    let stored = logger.storage().count().await?;
    logger.close().await?;
    if stored == ids.len() as u64 {
        Ok(())
    } else {
        Err(format!("the store has {stored} entries, not {}", ids.len()).into())
    }
}

/// Interactions and their times.
#[derive(Debug)]
struct Trace {
    interactions: Vec<Interaction<'static>>,
    /// Microseconds since the first.
    came: Vec<u64>,
}

/// The time of a line; `Interaction` does not expose it.
#[derive(Deserialize)]
struct Came {
    timestamp: Timestamp,
}

impl Trace {
    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// Lines in any order; they are replayed by time.
    fn parse(text: &str) -> Result<Self> {
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let parsed = serde_json::from_str::<Came>(line)
                .and_then(|came| Ok((came.timestamp.unix_micros(), serde_json::from_str(line)?)));
            found.push(parsed.map_err(|error| format!("line {}: {error}", number + 1))?);
        }
        found.sort_by_key(|(came, _)| *came);
        let first = found.first().map(|(came, _)| *came).ok_or("there are no interactions")?;
        let came = found.iter().map(|(came, _)| came.abs_diff(first)).collect();
        Ok(Self { interactions: found.into_iter().map(|(_, given)| given).collect(), came })
    }

    /// The due times. Replays follow each other after the mean gap.
    fn due(&self, speed: f64, times: u32) -> Vec<Duration> {
        let span = self.came.last().copied().unwrap_or_default();
        let pause = span / (self.came.len() as u64 - 1).max(1);
        let at = |time: u32, came: u64| {
            let micros = u64::from(time) * (span + pause) + came;
            Duration::from_secs_f64(to_f64(micros) / 1e6 / speed)
        };
        (0..times).flat_map(|time| self.came.iter().map(move |&came| at(time, came))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32) -> String {
        format!(r#"{{"timestamp": "2026-01-26T08:00:{second:02}Z", "input": "a", "output": "b"}}"#)
    }

    #[test]
    fn times_are_sped_up_evenly() {
        let text = format!("{}\n\n{}\n{}\n", line(4), line(0), line(2));
        let due = Trace::parse(&text).unwrap().due(2.0, 2);
        let seconds: Vec<f64> = due.iter().map(Duration::as_secs_f64).collect();
        assert_eq!(seconds, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Trace::parse(&line(7)).unwrap().due(1.0, 1), [Duration::ZERO]);
    }

    #[test]
    fn an_invalid_line_is_named() {
        let error = Trace::parse(&format!("{}\n{{}}\n", line(1))).unwrap_err().to_string();
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(Trace::parse("\n").is_err());
    }

    #[test]
    fn the_samples_can_be_replayed() {
        let trace = Trace::parse(include_str!("../../../samples/interactions.jsonl")).unwrap();
        assert!(trace.interactions.len() > 10 && trace.came.is_sorted());
    }
}
