//! Durable `log` from one caller, compared with a bare write and sync of one line.

use std::sync::Arc;
use std::time::Instant;

use attestry::AuditLogger;
use attestry::file::FileStorage;

use crate::plain;
use crate::report::{Row, short};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, quantile};
use crate::workload::Workload;
use crate::{Result, remove};

/// Calls per turn, few enough that the speed of the disk is the same for all contenders of a round.
const COUNT: usize = 40;

/// Turns per round.
const TURNS: usize = 10;

/// The required ratio.
const MOST: f64 = 1.3;

/// Where the caller runs. A task costs more: the runtime thread woken for it first wakes another thread to search for
/// work.
const CALLERS: [&str; 2] = ["in main", "in a task"];

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (store, raw) = (rig.fresh("single")?, rig.fresh("single.jsonl")?);
    let folder = store.clone();
    let logger = rig.run(async move {
        Ok(AuditLogger::builder(FileStorage::builder(&folder).open().await?).build())
    })?;
    let mut file = plain::append(&raw)?;
    let mut take_turns = |turns: usize| -> Result<[Vec<f64>; 3]> {
        let mut latencies: [Vec<f64>; 3] = Default::default();
        for _ in 0..turns {
            let calls = || log_each(logger.clone(), Arc::clone(&rig.workload), COUNT);
            latencies[0].extend(rig.runtime().block_on(calls())?);
            latencies[1].extend(rig.run(calls())?);
            latencies[2].extend(plain::synced_lines(&mut file, &rig.workload, COUNT)?);
        }
        Ok(latencies)
    };
    // Every contender starts with an existing file of a few blocks.
    take_turns(2)?;
    let mut medians: [Vec<f64>; 3] = Default::default();
    let mut all: [Vec<f64>; 3] = Default::default();
    for _ in 0..rig.rounds {
        for (contender, latencies) in take_turns(TURNS)?.into_iter().enumerate() {
            medians[contender].push(median(&latencies));
            all[contender].extend(latencies);
        }
    }
    rig.run(async move { Ok(logger.close().await?) })?;
    remove(&store)?;
    remove(&raw)?;
    let p99 = all.map(|all| short(quantile(&all, 0.99)));
    let [.., bare] = medians.each_ref().map(|medians| Figure::of(medians, "µs"));
    let row = |(place, caller): (usize, &str)| {
        let what = format!("durable log, one caller {caller}, median");
        Row::new("single", what, Figure::of(&medians[place], "µs"))
            .against("write + fdatasync", bare.clone())
            .limit("that", Some(&bare))
            .ratio_at_most(MOST)
            .note(format!("p99 {} µs, the bare calls {} µs", p99[place], p99[2]))
    };
    Ok(CALLERS.into_iter().enumerate().map(row).collect())
}

/// Microseconds of `count` sequential calls.
pub(super) async fn log_each(
    logger: AuditLogger,
    workload: Arc<Workload>,
    count: usize,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(count);
    for number in 0..count {
        let start = Instant::now();
        logger.log(workload.interaction(number)).await?;
        latencies.push(micros(start.elapsed()));
    }
    Ok(latencies)
}
