//! `scan` of 1 % of the time span, compared with parsing those lines.

use std::time::{Duration, Instant};

use attestry::{AuditLogger, Query, StorageBackend};
use futures_util::TryStreamExt;

use crate::Result;
use crate::plain;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, rate};

/// Minimum scans per round; small results are scanned more often.
const ENTRIES: u64 = 20_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let store = rig.store()?;
    let (path, rotation, query) = (store.path.clone(), store.rotation, store.query());
    let expected = store.in_range;
    let wanted = query.clone();
    let (logger, lines) = rig.run(async move {
        let storage = crate::store::open(&path, rotation).await?;
        let lines: Vec<Vec<u8>> = storage.scan_lines(wanted).try_collect().await?;
        Ok((AuditLogger::builder(storage).build(), lines))
    })?;
    if lines.len() as u64 != expected {
        return Err(format!("the range has {expected} entries, not {}", lines.len()).into());
    }
    let repeat = (ENTRIES / expected.max(1)).clamp(1, 100);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        for _ in 0..repeat {
            let (logger, query) = (logger.clone(), query.clone());
            ours.push(rate(expected, rig.run(scan(logger, query, expected))?));
            theirs.push(rate(expected, plain::parse(&lines)?));
        }
    }
    rig.run(async move { Ok(logger.close().await?) })?;
    let what = format!("scan of 1 % of {} entries", grouped(entries));
    let theirs = Figure::of(&theirs, "entries/s");
    Ok(vec![
        Row::new("scan", what, Figure::of(&ours, "entries/s"))
            .against("parse in memory", theirs.clone())
            .limit("that", Some(&theirs))
            .ratio_at_least(0.7)
            .note(format!("{} entries in the range", grouped(expected))),
    ])
}

/// The time of the query, which must yield `expected` entries in order.
pub(super) async fn scan(logger: AuditLogger, query: Query, expected: u64) -> Result<Duration> {
    let start = Instant::now();
    let mut found = 0;
    let mut last = None;
    let mut entries = logger.query(query);
    while let Some(entry) = entries.try_next().await? {
        if last > Some(entry.timestamp) {
            return Err("the scan is out of order".into());
        }
        last = Some(entry.timestamp);
        found += 1;
    }
    let took = start.elapsed();
    if found == expected {
        Ok(took)
    } else {
        Err(format!("the scan yields {found} entries, not {expected}").into())
    }
}
