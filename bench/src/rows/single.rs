//! Durable `log` from one caller, beside the bare write and sync of one line.

use std::sync::Arc;
use std::time::Instant;

use attestry::{AuditLogger, FileStorage};

use crate::plain;
use crate::report::{Row, short};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, quantile};
use crate::workload::Workload;
use crate::{Result, remove};

/// Calls in one round.
const COUNT: usize = 400;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (store, raw) = (rig.fresh("single")?, rig.fresh("single.jsonl")?);
    let folder = store.clone();
    let logger = rig.run(async move {
        Ok(AuditLogger::builder(FileStorage::builder(&folder).open().await?).build())
    })?;
    let mut file = plain::append(&raw)?;
    // Both begin with a file that is there and has a few blocks.
    latencies(rig, &logger, COUNT / 4)?;
    plain::synced_lines(&mut file, &rig.workload, COUNT / 4)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..rig.rounds {
        let round = latencies(rig, &logger, COUNT)?;
        ours.push(median(&round));
        all[0].extend(round);
        let round = plain::synced_lines(&mut file, &rig.workload, COUNT)?;
        theirs.push(median(&round));
        all[1].extend(round);
    }
    rig.run(async move { Ok(logger.close().await?) })?;
    remove(&store)?;
    remove(&raw)?;
    let p99 = all.map(|all| short(quantile(&all, 0.99)));
    Ok(vec![
        Row::new("single", "durable log, one caller, median", Figure::of(&ours, "µs"))
            .against("write + fdatasync", Figure::of(&theirs, "µs"))
            .ratio_at_most(1.3)
            .note(format!("p99 {} µs, the bare calls {} µs", p99[0], p99[1])),
    ])
}

fn latencies(rig: &Rig, logger: &AuditLogger, count: usize) -> Result<Vec<f64>> {
    let (logger, workload) = (logger.clone(), Arc::clone(&rig.workload));
    rig.run(log_each(logger, workload, count))
}

/// The microseconds of each of `count` calls, one after another.
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
