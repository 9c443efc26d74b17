//! Reads until killed: every entry must be complete, every acknowledged entry present, every erased entry absent.

use std::collections::BTreeSet;

use attestry_core::{AuditEntry, Query, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;
use futures_util::StreamExt;

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
                ("scan", scan(&storage).await?)
            } else {
                ("list", list(&storage).await?)
            };
            let after = Ledger::load(&worker.args.notes)?;
            check(&entries, &before, &after).map_err(|stop: Stop| stop.within(way))?;
            worker.notes.put(&Note::Read)?;
            pause(rng.below(10) as u64).await;
        }
    }
}

async fn list(storage: &FileStorage) -> Result<Vec<AuditEntry>> {
    match storage.list_entries(Timestamp::MIN, Timestamp::MAX).await {
        Err(error) if is_torn_tail(&error) => scan(storage).await,
        listed => Ok(listed?),
    }
}

/// All entries that can be read.
async fn scan(storage: &FileStorage) -> Result<Vec<AuditEntry>> {
    let mut entries = Vec::new();
    let mut found = storage.scan(Query::new());
    while let Some(entry) = found.next().await {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) if is_torn_tail(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

/// A signal that kills a process during a write may cut the write short, on ext4 at the end of a page. Until a
/// writer opens the store, readers report the rest of the line. It was never acknowledged: [`check`] requires all
/// acknowledged entries.
fn is_torn_tail(error: &StorageError) -> bool {
    matches!(error, StorageError::Corrupt(record) if record.reason.starts_with("the last line is torn"))
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
