//! Buffered `log` from one caller, compared with a plain loop that hashes, serialises and writes, and with the same loop
//! through tracing-appender.

use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry::AuditLogger;
use attestry::file::{Durability, FileStorage};

use crate::peers::appender;
use crate::plain;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, rate};
use crate::{Result, remove};

const COUNT: usize = 100_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut on_a_thread, mut rolling) = (Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        ours.push(rate(COUNT as u64, log(rig, COUNT)?));
        let path = rig.fresh("buffered.jsonl")?;
        theirs.push(rate(COUNT as u64, plain::buffered(&path, &rig.workload, COUNT)?));
        remove(&path)?;
        let folder = rig.fresh("appender")?;
        for (samples, how) in [
            (&mut on_a_thread, appender::on_a_thread as appender::Run),
            (&mut rolling, appender::rolling),
        ] {
            samples.push(rate(COUNT as u64, how(&folder, &rig.workload, COUNT)?));
        }
    }
    let limit = Figure::of(&theirs, "entries/s");
    let row = |name: &str, theirs: &[f64]| {
        Row::new("buffered", "buffered log, one caller", Figure::of(&ours, "entries/s"))
            .against(name, Figure::of(theirs, "entries/s"))
            .limit("hash, serialise, write", Some(&limit))
    };
    Ok(vec![
        row("hash, serialise, write", &theirs).ratio_at_least(0.5),
        row("tracing-appender, non_blocking", &on_a_thread),
        row("tracing-appender, rolling file", &rolling),
    ])
}

/// The time for `count` sequential calls in a new store.
pub(super) fn log(rig: &Rig, count: usize) -> Result<Duration> {
    let (path, workload) = (rig.fresh("buffered")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let took = rig.run(async move {
        let storage = FileStorage::builder(&folder).durability(Durability::Buffered).open().await?;
        let logger = AuditLogger::builder(storage).build();
        let start = Instant::now();
        for number in 0..count {
            logger.log(workload.interaction(number)).await?;
        }
        let took = start.elapsed();
        let stored = logger.storage().count().await?;
        logger.close().await?;
        if stored == count as u64 {
            Ok(took)
        } else {
            Err(format!("the store has {stored} entries, not {count}").into())
        }
    })?;
    remove(&path)?;
    Ok(took)
}
