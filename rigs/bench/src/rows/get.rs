//! `get_entry` by random id, warm, compared with a get of the same line from redb and its parse.

use std::hint::black_box;
use std::time::Instant;

use attestry::{AuditLogger, EntryId, Timestamp, line};
use redb::ReadableTable;

use super::limits::PARSING;
use crate::peers::redb::Redb;
use crate::peers::{Peer, Record};
use crate::report::{Row, grouped, short};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, quantile};
use crate::workload::stored_id;
use crate::{Result, remove};

/// Lookups per round.
const COUNT: usize = 5_000;

/// Lookups per turn.
const IN_TURN: usize = 500;

/// Maximum entries in redb: more would not fit on the disk, and fewer favour redb.
const MOST_IN_REDB: u64 = 1_000_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let in_redb = entries.min(MOST_IN_REDB);
    let redb_path = rig.fresh("get.redb")?;
    let redb = fill_redb(rig, &redb_path, in_redb)?;
    let table = redb.table()?;

    let store = rig.store()?;
    let ids = store.sample_ids(COUNT)?;
    let numbers = store.sample.iter().copied().filter(|&number| number < in_redb).take(COUNT);
    let redb_ids: Vec<EntryId> = numbers.map(stored_id).collect::<Result<_>>()?;
    let (path, rotation) = (store.path.clone(), store.rotation);
    let logger = rig.run(async move {
        Ok(AuditLogger::builder(crate::store::open(&path, rotation).await?).build())
    })?;
    // The same number of turns, even if few of the sample are in redb.
    let of_redb = redb_ids.len().div_ceil(ids.len().div_ceil(IN_TURN));
    // The first lookup warms the caches.
    latencies(rig, &logger, &ids)?;
    redb_latencies(&table, &redb_ids)?;
    let (mut ours, mut theirs, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        for (ids, redb_ids) in ids.chunks(IN_TURN).zip(redb_ids.chunks(of_redb)) {
            let turn = latencies(rig, &logger, ids)?;
            ours.push(median(&turn));
            all.extend(turn);
            theirs.push(median(&redb_latencies(&table, redb_ids)?));
        }
    }
    rig.run(async move { Ok(logger.close().await?) })?;
    drop((table, redb));
    remove(&redb_path)?;

    let what = format!("get_entry by random id, {} entries, warm, median", grouped(entries));
    let ours = Figure::of(&ours, "µs");
    let parsing = rig.limit(PARSING);
    Ok(vec![
        Row::new("get", what.clone(), ours.clone())
            .limit(PARSING, parsing)
            .under(20.0)
            .note(format!("p99 {} µs", short(quantile(&all, 0.99)))),
        Row::new("get", what, ours)
            .against("redb: get + parse", Figure::of(&theirs, "µs"))
            .limit(PARSING, parsing)
            .ratio_at_most(3.0)
            .note(format!("redb holds {} entries", grouped(in_redb))),
    ])
}

fn latencies(rig: &Rig, logger: &AuditLogger, ids: &[EntryId]) -> Result<Vec<f64>> {
    rig.run(get_each(logger.clone(), ids.to_vec()))
}

/// Microseconds of sequential lookups.
pub(super) async fn get_each(logger: AuditLogger, ids: Vec<EntryId>) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(ids.len());
    for id in &ids {
        let start = Instant::now();
        let entry = logger.get_entry(id).await?;
        latencies.push(micros(start.elapsed()));
        if entry.is_none_or(|entry| entry.id != *id) {
            return Err(format!("{id} is not found").into());
        }
    }
    Ok(latencies)
}

fn redb_latencies(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    ids: &[EntryId],
) -> Result<Vec<f64>> {
    ids.iter()
        .map(|id| {
            let start = Instant::now();
            let found = table.get(id.as_str())?.ok_or("redb has lost a line")?;
            black_box(line::decode(found.value())?);
            Ok(micros(start.elapsed()))
        })
        .collect()
}

/// redb with the first lines of the store.
fn fill_redb(rig: &Rig, path: &std::path::Path, entries: u64) -> Result<Redb> {
    eprintln!("  making a redb of {} entries", grouped(entries));
    let mut redb = Redb::create(path)?;
    for first in (0..entries).step_by(50_000) {
        let records = (first..(first + 50_000).min(entries)).map(|number| {
            let entry = rig.workload.stored(number, Timestamp::now())?;
            Ok((entry.id.to_string(), line::encode(&entry)?))
        });
        redb.store(&records.collect::<Result<Vec<Record>>>()?)?;
    }
    Ok(redb)
}
