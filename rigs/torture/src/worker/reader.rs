//! Reads until killed: every entry must be complete, every acknowledged entry present, every erased entry absent.

use std::collections::BTreeSet;

use attestry_core::{AuditEntry, Query, StorageBackend, Timestamp};
use attestry_file::FileStorage;
use futures_util::TryStreamExt;

use super::{Worker, pause};
use crate::ledger::{Fate, Ledger};
use crate::notes::Note;
use crate::outcome::{Result, Stop, failed};
use crate::rng::Rng;
use crate::sample;

pub(super) async fn run(worker: &Worker) -> Result {
    let mut rng = Rng::derive(worker.args.seed, worker.args.number as u64 * 100 + 98);
    while !worker.args.folder.exists() {
        pause(2).await;
    }
    loop {
        let storage = FileStorage::builder(&worker.args.folder).read_only(true).open().await?;
        for _ in 0..rng.between(1, 10) {
            let before = Ledger::load(&worker.args.notes)?;
            let (way, entries) = if rng.percent(50) {
                ("scan", storage.scan(Query::new()).try_collect().await?)
            } else {
                ("list", storage.list_entries(Timestamp::MIN, Timestamp::MAX).await?)
            };
            let after = Ledger::load(&worker.args.notes)?;
            check(&entries, &before, &after).map_err(|stop: Stop| stop.within(way))?;
            worker.notes.put(&Note::Read)?;
            pause(rng.below(10) as u64).await;
        }
    }
}

fn check(entries: &[AuditEntry], before: &Ledger, after: &Ledger) -> Result {
    if !entries.is_sorted_by_key(|entry| entry.timestamp) {
        return failed("entries out of order");
    }
    let mut seen = BTreeSet::new();
    for entry in entries {
        let id = entry.id.as_str();
        if *entry != sample::entry(id)? {
            return failed(format!("{id} differs from what was written"));
        }
        if !seen.insert(id) {
            return failed(format!("{id} is present twice"));
        }
        if after.stayed_absent(id, before) {
            return failed(format!("{id} was erased before but is present"));
        }
    }
    let missing = before
        .with_fate(Fate::Present)
        .filter(|id| after.stayed_present(id, before))
        .find(|id| !seen.contains(id));
    match missing {
        Some(id) => failed(format!("{id} was acknowledged before but is absent")),
        None => Ok(()),
    }
}
