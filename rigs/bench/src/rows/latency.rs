//! Latency of durable `log` with random arrivals, at fractions of the peak rate.

use std::sync::Arc;
use std::time::Duration;

use attestry::file::FileStorage;
use attestry::{AuditLogger, line};

use super::durable;
use crate::group::Group;
use crate::load::{self, Outcome};
use crate::report::{Point, Row, Scale, grouped};
use crate::rig::Rig;
use crate::rng::Rng;
use crate::stats::{Figure, median, quantile};
use crate::{Result, child, plain, remove};

const TASKS: usize = 256;

/// Warm-up calls per task: the first calls create a segment and cause page faults, about ten milliseconds that a store
/// spends once a day.
const WARM_UP: usize = 40;

/// Bare syncs per round.
const SYNCS: usize = 200;

/// Fractions of the peak, with their names.
const LOADS: [(f64, &str); 3] =
    [(0.25, "a quarter of the peak"), (0.5, "half of the peak"), (0.75, "three quarters")];

/// Percentiles in the plot.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 100.0];

/// The contender that only writes and syncs due lines: the latency of the disk alone.
const PLAIN_LOOP: &str = "the plain loop";

/// The required ratio, at this fraction of the peak.
const MOST_SYNCS: f64 = 4.0;
const OF_ASKED: f64 = 0.5;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let peaks: Vec<f64> =
        (0..3).map(|_| durable::log(rig, TASKS, durable::COUNT)).collect::<Result<_>>()?;
    let peak = median(&peaks);
    let mut rng = Rng::new(7);
    let (mut syncs, mut within, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut bare: [Vec<f64>; 3] = Default::default();
    let mut rounds: [Vec<f64>; 3] = Default::default();
    let mut all: [Vec<f64>; 3] = Default::default();
    for round in 0..rig.rounds {
        let path = rig.fresh("latency.jsonl")?;
        let mut file = plain::append(&path)?;
        syncs.push(median(&plain::synced_lines(&mut file, &rig.workload, SYNCS)?));
        for (bare, (share, _)) in bare.iter_mut().zip(LOADS) {
            let due = about_a_second(peak * share, &mut rng);
            bare.push(quantile(&plain::synced_when_due(&mut file, &rig.workload, &due)?, 0.99));
        }
        remove(&path)?;
        for (load, (share, _)) in LOADS.into_iter().enumerate() {
            // The first affects the disk for the second, so the order alternates.
            for of_group in [round % 2 == 0, round % 2 == 1] {
                if !of_group {
                    let outcome = log_at(rig, peak * share, &mut rng)?;
                    rounds[load].push(quantile(&outcome.latencies, 0.99));
                    all[load].extend(outcome.latencies);
                    if share == OF_ASKED {
                        within.push(quantile(&outcome.within, 0.99));
                    }
                } else if share == OF_ASKED {
                    let outcome = group_at(rig, peak * share, &mut rng)?;
                    groups.push(quantile(&outcome.latencies, 0.99));
                }
            }
        }
    }
    let (sync, groups) = (Figure::of(&syncs, "µs"), Figure::of(&groups, "µs"));
    let bare = bare.map(|bare| Figure::of(&bare, "µs"));
    let mut rows = Vec::new();
    for (load, (share, name)) in LOADS.into_iter().enumerate() {
        let (p99, all, bare) = (&rounds[load], &all[load], &bare[load]);
        let points = PERCENTILES.map(|at| Point { at, value: quantile(all, at / 100.0) });
        let what =
            format!("durable log, 256 tasks, p99 at {name}, {} a second", rounded(peak * share));
        let row = Row::new("latency", &what, Figure::of(p99, "µs"))
            .against("write + fdatasync", sync.clone())
            .limit(PLAIN_LOOP, Some(bare))
            .series(name, Scale::Percentile, points.to_vec());
        if share == OF_ASKED {
            rows.push(row.ratio_at_most(MOST_SYNCS));
            let against = |what: &str, ours: &[f64], name: &str, figure: &Figure| {
                Row::new("latency", what, Figure::of(ours, "µs")).against(name, figure.clone())
            };
            let group = against(&what, p99, durable::PLAIN_GROUP, &groups);
            rows.push(group.limit(PLAIN_LOOP, Some(bare)));
            // The plain loop has no such time.
            let what = format!("{what}: from when a task took the call up");
            rows.push(against(&what, &within, "write + fdatasync", &sync));
        } else {
            rows.push(row);
        }
    }
    Ok(rows)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above 0, far below 2^53
fn rounded(rate: f64) -> String {
    grouped((rate / 1_000.0).round() as u64 * 1_000)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // above 0, far below 2^53
fn about_a_second(per_second: f64, rng: &mut Rng) -> Vec<Duration> {
    load::at_random(per_second, per_second as usize, rng)
}

/// About a second of calls at this rate through the simplest group commit.
fn group_at(rig: &Rig, per_second: f64, rng: &mut Rng) -> Result<Outcome<()>> {
    let path = rig.fresh("latency.jsonl")?;
    let group = Group::start(plain::append(&path)?);
    let (caller, workload) = (group.caller(), Arc::clone(&rig.workload));
    let (of_tasks, lines) = (caller.clone(), Arc::clone(&workload));
    rig.run(async move { of_tasks.append_many(&lines, TASKS, WARM_UP).await })?;
    let due = about_a_second(per_second, rng);
    let outcome = load::offer(rig.runtime(), TASKS, due, move |number| {
        let (caller, workload) = (caller.clone(), Arc::clone(&workload));
        async move {
            let line = line::encode(&workload.entry(number))?;
            caller.append(&line).await
        }
    })?;
    group.close()?;
    remove(&path)?;
    Ok(outcome)
}

/// About a second of calls at this rate in a new store.
fn log_at(rig: &Rig, per_second: f64, rng: &mut Rng) -> Result<Outcome<()>> {
    let path = rig.fresh("latency")?;
    let folder = path.clone();
    let workload = Arc::clone(&rig.workload);
    let logger = rig.run(async move {
        let logger = AuditLogger::builder(FileStorage::builder(&folder).open().await?).build();
        child::log_many(&logger, &workload, TASKS, WARM_UP).await?;
        Ok(logger)
    })?;
    let due = about_a_second(per_second, rng);
    let (of_calls, workload) = (logger.clone(), Arc::clone(&rig.workload));
    let outcome = load::offer(rig.runtime(), TASKS, due, move |number| {
        let (logger, workload) = (of_calls.clone(), Arc::clone(&workload));
        // The ids are dropped: they would touch ten megabytes of new memory.
        async move {
            logger.log(workload.interaction(number)).await?;
            Ok(())
        }
    })?;
    let expected = (outcome.answers.len() + TASKS * WARM_UP) as u64;
    rig.run(async move {
        let stored = logger.storage().count().await?;
        logger.close().await?;
        if stored == expected {
            Ok(())
        } else {
            Err(format!("the store has {stored} entries, not {expected}").into())
        }
    })?;
    remove(&path)?;
    Ok(outcome)
}
