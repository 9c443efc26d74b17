//! Writing and deleting until killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use attestry_core::{AuditEntry, EntryId, StorageBackend};
use attestry_file::FileStorage;

use super::{Role, Worker, patiently, pause};
use crate::ledger::{Fate, Ledger};
use crate::notes::Note;
use crate::outcome::{Result, failed};
use crate::rng::Rng;
use crate::sample;

const TASKS: usize = 8;

pub(super) async fn run(worker: &Arc<Worker>) -> Result {
    let storage = Arc::new(worker.open().await?);
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    if worker.args.role != Role::Cleaner {
        for task in 0..TASKS {
            let (worker, storage, next) =
                (Arc::clone(worker), Arc::clone(&storage), Arc::clone(&next));
            tasks.spawn(async move { write(&worker, &storage, &next, task as u64).await });
        }
    }
    if worker.args.role != Role::Writer {
        let (worker, storage) = (Arc::clone(worker), Arc::clone(&storage));
        tasks.spawn(async move { clean(&worker, &storage).await });
    }
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

async fn write(worker: &Worker, storage: &FileStorage, next: &AtomicUsize, task: u64) -> Result {
    let mut rng = Rng::derive(worker.args.seed, worker.args.number as u64 * 100 + task);
    loop {
        let count = if rng.percent(50) { 1 } else { rng.between(2, 21) };
        let first = next.fetch_add(count, Ordering::Relaxed);
        let ids: Vec<String> =
            (first..first + count).map(|number| sample::id(worker.args.number, number)).collect();
        let entries: Vec<AuditEntry> =
            ids.iter().map(|id| sample::entry(id)).collect::<Result<_>>()?;
        worker.notes.put(&Note::Write(ids.clone()))?;
        if count == 1 {
            patiently(|| storage.write(&entries[0])).await?;
        } else if rng.percent(50) {
            patiently(|| storage.write_batch(&entries)).await?;
        } else {
            // Refused because of a lock, none was written, and it may be called again.
            patiently(|| storage.append(&entries)).await?;
        }
        worker.notes.put(&Note::Wrote(ids))?;
        if rng.percent(20) {
            pause(rng.below(10) as u64).await;
        }
        if rng.percent(5) && storage.read(&entries[0].id).await?.as_ref() != Some(&entries[0]) {
            let ledger = Ledger::load(&worker.args.notes)?;
            if ledger.fate(entries[0].id.as_str()) == Some(Fate::There) {
                return failed(format!("{} was written and is not read", entries[0].id));
            }
        }
    }
}

async fn clean(worker: &Worker, storage: &FileStorage) -> Result {
    let mut rng = Rng::derive(worker.args.seed, worker.args.number as u64 * 100 + 99);
    let mut expiries = 0;
    loop {
        pause(rng.below(20) as u64).await;
        let ledger = Ledger::load(&worker.args.notes)?;
        let there = ledger.by_time(Fate::There);
        if rng.percent(5) {
            // Moves what is left of segments; nothing comes or goes by it.
            patiently(|| storage.compact()).await?;
            continue;
        }
        if rng.percent(10) {
            let Some(id) = rng.pick(&there[..there.len() / 4]) else { continue };
            let until = sample::timestamp(id)?;
            let name = format!("{}-{expiries}", worker.args.number);
            expiries += 1;
            worker.notes.put(&Note::Expire(name.clone(), until))?;
            patiently(|| storage.delete_until(until)).await?;
            worker.notes.put(&Note::Expired(name))?;
            continue;
        }
        let chosen: BTreeSet<&str> =
            (0..rng.between(1, 10)).filter_map(|_| rng.pick(&there).copied()).collect();
        for id in chosen {
            worker.notes.put(&Note::Erase(id.to_owned()))?;
            let wanted = EntryId::from_stored(id);
            let was_there = patiently(|| storage.delete(&wanted)).await?;
            worker.notes.put(&Note::Erased(id.to_owned()))?;
            if !was_there {
                return failed(format!("delete says that {id} is not there"));
            }
        }
    }
}
