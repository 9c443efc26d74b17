//! Writes and deletes until killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use attestry_core::StorageBackend;
use attestry_file::FileStorage;

use super::calls::Way;
use super::{Role, Worker, again, pause, retry_locked};
use crate::anchors;
use crate::ledger::{Fate, Ledger};
use crate::outcome::{Result, failed};
use crate::rng::Rng;
use crate::sample;

const TASKS: u64 = 8;

pub(super) async fn run(worker: &Arc<Worker>) -> Result {
    let storage = Arc::new(worker.open().await?);
    let anchors = &worker.args.anchors;
    let anchors =
        (!anchors.is_empty()).then(|| anchors::dispatcher(anchors, &storage)).transpose()?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let rng = |task| Rng::derive(worker.args.seed, worker.args.number as u64 * 100 + task);
    if worker.args.role != Role::Cleaner {
        let mut rng_again = rng(97);
        if worker.args.role == Role::Retrier {
            loop {
                again::pending_writes_and_is_there(worker, &storage, &mut rng_again).await?;
                pause(5).await;
            }
        }
        again::pending_writes(worker, &storage, &mut rng_again).await?;
        for task in 0..TASKS {
            let (worker, storage, next) =
                (Arc::clone(worker), Arc::clone(&storage), Arc::clone(&next));
            let rng = rng(task);
            tasks.spawn(async move { write(&worker, &storage, &next, rng).await });
        }
        let (worker, storage, rng) = (Arc::clone(worker), Arc::clone(&storage), rng(96));
        tasks.spawn(async move { rewrite(&worker, &storage, rng).await });
    }
    if worker.args.role != Role::Writer {
        let (worker, storage, rng) = (Arc::clone(worker), Arc::clone(&storage), rng(99));
        tasks.spawn(async move { clean(&worker, &storage, rng).await });
    }
    let ended = match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    };
    drop(anchors);
    ended
}

async fn write(worker: &Worker, storage: &FileStorage, next: &AtomicUsize, mut rng: Rng) -> Result {
    loop {
        let count = if rng.percent(50) { 1 } else { rng.between(2, 21) };
        let first = next.fetch_add(count, Ordering::Relaxed);
        let ids: Vec<String> =
            (first..first + count).map(|number| sample::id(worker.args.number, number)).collect();
        let way = if count > 1 && rng.percent(50) { Way::Appended } else { Way::Checked };
        if rng.percent(5) {
            // A timeout drops the pending call; the entries are written again.
            let patience = Duration::from_micros(rng.below(3_000) as u64);
            let answer = tokio::time::timeout(patience, worker.write(storage, &ids, way)).await;
            if let Ok(answered) = answer {
                answered?;
            }
            worker.write(storage, &ids, Way::Checked).await?;
        } else {
            worker.write(storage, &ids, way).await?;
        }
        if worker.args.buffered {
            pause(rng.between(1, 10) as u64).await; // limits the rate
        } else if rng.percent(20) {
            pause(rng.below(10) as u64).await;
        }
        if rng.percent(5) {
            let before = Ledger::load(&worker.args.notes)?;
            let entry = sample::entry(&ids[0])?;
            if storage.read(&entry.id).await? != Some(entry) {
                let after = Ledger::load(&worker.args.notes)?;
                if after.stayed_present(&ids[0], &before) {
                    return failed(format!("{} was written but is not read", ids[0]));
                }
            }
        }
    }
}

async fn rewrite(worker: &Worker, storage: &FileStorage, mut rng: Rng) -> Result {
    loop {
        pause(rng.below(20) as u64).await;
        again::some(worker, storage, &mut rng).await?;
    }
}

async fn clean(worker: &Worker, storage: &FileStorage, mut rng: Rng) -> Result {
    loop {
        pause(rng.below(20) as u64).await;
        let ledger = Ledger::load(&worker.args.notes)?;
        let mut there = ledger.by_time(Fate::Present);
        there.retain(|id| !sample::lasts(id).unwrap_or(false));
        if rng.percent(5) {
            // Compaction moves lines but neither adds nor removes entries.
            retry_locked(|| storage.compact()).await?;
            continue;
        }
        if rng.percent(10) {
            let Some(id) = rng.pick(&there[..there.len() / 4]) else { continue };
            worker.expire(storage, sample::timestamp(id)?).await?;
            continue;
        }
        let chosen: BTreeSet<&str> =
            (0..rng.between(1, 10)).filter_map(|_| rng.pick(&there).copied()).collect();
        for id in chosen {
            if !worker.erase(storage, id).await? {
                return failed(format!("delete returns false for {id}, which is present"));
            }
        }
    }
}
