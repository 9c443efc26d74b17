//! `cleanup_expired` of half of the store, compared with `DELETE` of half of the rows in SQLite.

use std::sync::Arc;
use std::time::Instant;

use attestry::AuditLogger;

use crate::Result;
use crate::peers::sqlite;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, rate};

/// Rows in SQLite; more would make it slower.
const MOST_IN_SQLITE: u64 = 1_000_000;

/// Up to this size the store is recreated in each round.
const MOST_IN_ROUNDS: u64 = 1_000_000;

/// A ratio is required from this size: for small stores, opening and closing files dominates.
const ASKED_OF: u64 = 10_000_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let in_sqlite = entries.min(MOST_IN_SQLITE);
    let rounds = if entries > MOST_IN_ROUNDS { 1 } else { rig.rounds.min(3) };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut took_ms = 0.0;
    for _ in 0..rounds {
        let store = rig.store()?;
        let (path, rotation, before) = (store.path.clone(), store.rotation, store.remaining());
        let (took, deleted) = rig.run(async move {
            let storage = crate::store::open(&path, rotation).await?;
            let logger =
                AuditLogger::builder(storage).retention_days(365).allow_large_cleanup(true).build();
            let held = logger.storage().count().await?;
            let start = Instant::now();
            let deleted = logger.cleanup_expired().await?;
            let took = start.elapsed();
            let left = logger.storage().count().await?;
            logger.close().await?;
            if left + deleted != held || held < before {
                return Err(format!("{deleted} of {held} were deleted, and {left} are left").into());
            }
            Ok((took, deleted))
        })?;
        if deleted.abs_diff(entries / 2) > entries / 50 {
            return Err(format!("{deleted} entries of {entries} are no half").into());
        }
        ours.push(rate(deleted, took));
        took_ms = took.as_secs_f64() * 1e3;
        rig.forget_store()?;
        let (path, workload) = (rig.fresh("sqlite")?, Arc::clone(&rig.workload));
        let (took, deleted) = sqlite::delete_half(&path, &workload, in_sqlite)?;
        theirs.push(rate(deleted, took));
    }
    let row = Row::new(
        "cleanup",
        format!("cleanup_expired of half of {}", grouped(entries)),
        Figure::of(&ours, "entries/s"),
    )
    .against("SQLite DELETE", Figure::of(&theirs, "entries/s"))
    .note(format!("took {took_ms:.0} ms; SQLite holds {} entries", grouped(in_sqlite)));
    Ok(vec![if entries >= ASKED_OF { row.ratio_at_least(100.0) } else { row }])
}
