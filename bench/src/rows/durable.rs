//! Durable `log` from many tasks, beside R and stores of others.

use std::sync::Arc;
use std::time::Instant;

use attestry::{AuditLogger, FileStorage};

use crate::child::log_many;
use crate::peers::{self, Peer};
use crate::plain;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, rate};
use crate::{Result, remove};

/// What takes ours and R a second. A multiple of 1,024 (tasks), and close to one of 1,000 (lines to a
/// batch).
pub(super) const COUNT: usize = 1_024 * 400;

/// Ours and R take so many turns in a round, so short that the machine keeps its pace, which it
/// changes within a second. The others, which take longer, take one.
const TURNS: usize = 4;
const IN_TURN: usize = COUNT / TURNS;

const NAMES: [&str; 6] = ["256 tasks", "1,024 tasks", "R", "redb", "fjall", "SQLite"];

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let mut samples: [Vec<f64>; 6] = Default::default();
    for round in 0..rig.rounds {
        eprintln!("  round {} of {}", round + 1, rig.rounds);
        for _ in 0..TURNS {
            samples[0].push(log(rig, 256, IN_TURN)?);
            samples[1].push(log(rig, 1_024, IN_TURN)?);
            let path = rig.fresh("durable")?;
            let took = plain::durable_batches(&path, &rig.workload, IN_TURN, plain::BATCH)?;
            samples[2].push(rate(IN_TURN as u64, took));
            remove(&path)?;
        }
        samples[3].push(peer::<peers::redb::Redb>(rig)?);
        samples[4].push(peer::<peers::fjall::Fjall>(rig)?);
        samples[5].push(peer::<peers::sqlite::Sqlite>(rig)?);
    }
    let figures = samples.map(|samples| Figure::of(&samples, "entries/s"));
    let mut rows = Vec::new();
    for (ours, least) in [(0, 0.8), (1, 1.1)] {
        for other in 2..NAMES.len() {
            let what = format!("durable log, {}", NAMES[ours]);
            let row = Row::new("durable", what, figures[ours].clone())
                .against(NAMES[other], figures[other].clone());
            let row = row.limit("R", Some(&figures[2]));
            rows.push(row.ratio_at_least(if other == 2 { least } else { 1.0 }));
        }
    }
    Ok(rows)
}

fn peer<P: Peer>(rig: &Rig) -> Result<f64> {
    let path = rig.fresh("durable-peer")?;
    let took = peers::durable_batches::<P>(&path, &rig.workload, IN_TURN)?;
    Ok(rate(IN_TURN as u64, took))
}

/// How many entries a second `tasks` tasks store, each one after another, in a store that was just
/// begun; `count` is a multiple of them.
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
