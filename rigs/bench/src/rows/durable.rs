//! Durable `log` from many tasks, compared with R and other stores.

use std::sync::Arc;
use std::time::Instant;

use attestry::AuditLogger;
use attestry::file::FileStorage;

use crate::child::log_many;
use crate::group::Group;
use crate::peers::{self, Peer};
use crate::plain;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, rate};
use crate::{Result, remove};

/// Entries per round of Attestry and R, about a second. A multiple of 1,024 tasks, and nearly one of 1,000 lines per
/// batch.
pub(super) const COUNT: usize = 1_024 * 400;

/// Turns of Attestry and R per round, short enough that the speed of the machine, which changes within seconds, is the
/// same for both. The slower stores take one.
const TURNS: usize = 4;
const IN_TURN: usize = COUNT / TURNS;

/// Numbers of tasks, and the required ratios to R.
const LOADS: [(usize, &str, f64); 2] =
    [(256, "durable log, 256 tasks", 0.8), (1_024, "durable log, 1,024 tasks", 1.1)];

/// The name of [`Group`] in tables.
pub(super) const PLAIN_GROUP: &str = "the plainest group commit";

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut ours, mut groups): ([Vec<f64>; 2], [Vec<f64>; 2]) = Default::default();
    let mut limits = Vec::new();
    let mut peers: [(&str, Vec<f64>); 3] =
        ["redb", "fjall", "SQLite"].map(|name| (name, Vec::new()));
    for round in 0..rig.rounds {
        eprintln!("  round {} of {}", round + 1, rig.rounds);
        for turn in 0..TURNS {
            for (load, (tasks, ..)) in LOADS.into_iter().enumerate() {
                // The first affects the disk for the second, so the order alternates.
                for is_group in [turn % 2 == 0, turn % 2 == 1] {
                    if is_group {
                        groups[load].push(group(rig, tasks, IN_TURN)?);
                    } else {
                        ours[load].push(log(rig, tasks, IN_TURN)?);
                    }
                }
            }
            let path = rig.fresh("durable")?;
            let took = plain::durable_batches(&path, &rig.workload, IN_TURN, plain::BATCH)?;
            limits.push(rate(IN_TURN as u64, took));
            remove(&path)?;
        }
        peers[0].1.push(peer::<peers::redb::Redb>(rig)?);
        peers[1].1.push(peer::<peers::fjall::Fjall>(rig)?);
        peers[2].1.push(peer::<peers::sqlite::Sqlite>(rig)?);
    }
    let figure = |samples: &[f64]| Figure::of(samples, "entries/s");
    let limit = figure(&limits);
    let mut rows = Vec::new();
    for (load, (_, what, least)) in LOADS.into_iter().enumerate() {
        let row = Row::new("durable", what, figure(&ours[load])).limit("R", Some(&limit));
        rows.push(row.clone().against("R", limit.clone()).ratio_at_least(least));
        rows.push(row.clone().against(PLAIN_GROUP, figure(&groups[load])));
        for (name, samples) in &peers {
            rows.push(row.clone().against(*name, figure(samples)).ratio_at_least(1.0));
        }
    }
    Ok(rows)
}

/// Lines per second of `tasks` tasks with the simplest group commit; `count` is a multiple of `tasks`.
pub(super) fn group(rig: &Rig, tasks: usize, count: usize) -> Result<f64> {
    let (path, workload) = (rig.fresh("group.jsonl")?, Arc::clone(&rig.workload));
    let group = Group::start(plain::append(&path)?);
    let caller = group.caller();
    let took = rig.run(async move {
        let (before, each) = (plain::warm_up(count / tasks), count / tasks);
        caller.append_many(&workload, tasks, before).await?;
        let start = Instant::now();
        caller.append_many(&workload, tasks, each).await?;
        Ok(start.elapsed())
    })?;
    group.close()?;
    remove(&path)?;
    Ok(rate(count as u64, took))
}

fn peer<P: Peer>(rig: &Rig) -> Result<f64> {
    let path = rig.fresh("durable-peer")?;
    let took = peers::durable_batches::<P>(&path, &rig.workload, IN_TURN)?;
    Ok(rate(IN_TURN as u64, took))
}

/// Entries per second of `tasks` tasks with sequential calls in a new store; `count` is a multiple of `tasks`.
pub(super) fn log(rig: &Rig, tasks: usize, count: usize) -> Result<f64> {
    let (path, workload) = (rig.fresh("durable")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let took = rig.run(async move {
        let logger = AuditLogger::builder(FileStorage::builder(&folder).open().await?).build();
        let (before, each) = (plain::warm_up(count / tasks), count / tasks);
        log_many(&logger, &workload, tasks, before).await?;
        let start = Instant::now();
        log_many(&logger, &workload, tasks, each).await?;
        let took = start.elapsed();
        let (stored, expected) = (logger.storage().count().await?, tasks * (before + each));
        logger.close().await?;
        if stored == expected as u64 {
            Ok(took)
        } else {
            Err(format!("the store has {stored} entries, not {expected}").into())
        }
    })?;
    remove(&path)?;
    Ok(rate(count as u64, took))
}
