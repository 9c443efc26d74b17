//! `count`, and `delete` of one entry: time, syncs and bytes.

use std::time::Instant;

use attestry::file::FileStorage;
use attestry::{EntryId, StorageBackend};

use super::limits::SYNCING;
use crate::Result;
use crate::child;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, to_f64};

/// Calls per round.
const COUNTS: usize = 500;
const DELETES: usize = 10;

/// Limit in kB: many times a line, far less than a segment.
const NO_REWRITE: f64 = 64.0;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let rounds = rig.rounds;
    let trace = rig.path("strace.txt");
    let store = rig.store()?;
    let (path, rotation) = (store.path.clone(), store.rotation);
    crate::store::sync_indexes(&path)?;
    let mut calls = Vec::new();
    for id in store.victims(3)? {
        calls.extend(child::delete_traced(&path, &id, &trace)?);
    }
    let ids: Vec<Vec<EntryId>> =
        (0..rounds).map(|_| store.victims(DELETES)).collect::<Result<_>>()?;
    let (counts, deletes) = rig.run(async move {
        let storage = crate::store::open(&path, rotation).await?;
        let (mut counts, mut deletes) = (Vec::new(), Vec::new());
        for ids in ids {
            counts.push(median(&count_each(&storage, COUNTS).await?));
            deletes.push(median(&delete_each(&storage, &ids).await?));
        }
        storage.close().await?;
        Ok((counts, deletes))
    })?;
    let what = format!("delete of one in {}", grouped(entries));
    let mut rows = vec![
        Row::new(
            "delete",
            format!("count of {}, median", grouped(entries)),
            Figure::of(&counts, "µs"),
        )
        .under(50.0),
        Row::new("delete", format!("{what}, median"), Figure::of(&deletes, "µs"))
            .limit(SYNCING, rig.limit(SYNCING)),
    ];
    if calls.is_empty() {
        rows[1] = rows[1].clone().note("syncs not counted: no strace");
        return Ok(rows);
    }
    let syncs: Vec<f64> = calls.iter().map(|calls| to_f64(calls.syncs)).collect();
    let bytes: Vec<f64> = calls.iter().map(|calls| to_f64(calls.written) / 1e3).collect();
    rows.push(
        Row::new("delete", format!("{what}: syncs"), Figure::of(&syncs, "syncs")).never_above(4.0),
    );
    rows.push(
        Row::new("delete", format!("{what}: written"), Figure::of(&bytes, "kB")).under(NO_REWRITE),
    );
    Ok(rows)
}

/// Microseconds of each of `times` counts.
pub(super) async fn count_each(storage: &FileStorage, times: usize) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        storage.count().await?;
        latencies.push(micros(start.elapsed()));
    }
    Ok(latencies)
}

/// Microseconds of deleting each of `ids`.
pub(super) async fn delete_each(storage: &FileStorage, ids: &[EntryId]) -> Result<Vec<f64>> {
    let before = storage.count().await?;
    let mut latencies = Vec::with_capacity(ids.len());
    for id in ids {
        let start = Instant::now();
        let deleted = storage.delete(id).await?;
        latencies.push(micros(start.elapsed()));
        if !deleted || storage.read(id).await?.is_some() {
            return Err(format!("{id} is not deleted").into());
        }
    }
    if storage.count().await? + ids.len() as u64 == before {
        Ok(latencies)
    } else {
        Err("the count does not follow the deletions".into())
    }
}
