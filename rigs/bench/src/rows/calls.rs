//! Durable calls that are recorded at their start and at their end, compared with `log` of whole calls.

use std::sync::Arc;
use std::time::Instant;

use attestry::AuditLogger;
use attestry::file::FileStorage;

use super::durable;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, rate};
use crate::workload::Workload;
use crate::{Result, remove};

const TASKS: usize = 256;
/// Calls of each kind a turn. A multiple of the tasks.
const COUNT: usize = TASKS * 200;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut whole, mut in_parts) = (Vec::new(), Vec::new());
    for round in 0..rig.rounds {
        // The first affects the disk for the second, so the order alternates.
        for is_whole in [round % 2 == 0, round % 2 == 1] {
            if is_whole {
                whole.push(durable::log(rig, TASKS, COUNT)?);
            } else {
                in_parts.push(start_and_finish(rig)?);
            }
        }
    }
    let row = Row::new("calls", "start and finish, 256 tasks", Figure::of(&in_parts, "calls/s"));
    Ok(vec![row.against("log", Figure::of(&whole, "calls/s")).ratio_at_least(0.45)])
}

/// Calls per second.
fn start_and_finish(rig: &Rig) -> Result<f64> {
    let (path, workload) = (rig.fresh("calls")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let took = rig.run(async move {
        let logger = AuditLogger::builder(FileStorage::builder(&folder).open().await?).build();
        let start = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (logger, workload) = (logger.clone(), Arc::clone(&workload));
                tokio::spawn(async move { calls_of(&logger, &workload, task).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let took = start.elapsed();
        let stored = logger.count().await?;
        logger.close().await?;
        match stored == 2 * COUNT as u64 {
            true => Ok(took),
            false => Err(format!("the store has {stored} entries, not two a call").into()),
        }
    })?;
    remove(&path)?;
    Ok(rate(COUNT as u64, took))
}

/// The calls of one task, one after the other.
async fn calls_of(logger: &AuditLogger, workload: &Workload, task: usize) -> Result<()> {
    for number in (task..COUNT).step_by(TASKS) {
        // Its output counts as the output so far: the start entry has none, the end entry has it.
        logger.start(workload.interaction(number)).await?.finish().await?;
    }
    Ok(())
}
