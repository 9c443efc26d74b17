//! Repeats writes, as a client does that got no response.
//!
//! An equal entry must succeed and be present once, whatever the first write did; a conflicting entry must be refused; an
//! erased entry may be written again and stays.

use attestry_core::{EntryId, StorageBackend};
use attestry_file::FileStorage;

use super::Worker;
use super::calls::Way;
use crate::ledger::{Fate, Ledger};
use crate::outcome::Result;
use crate::rng::Rng;
use crate::sample;

/// Number of pending entries that a starting worker retries per call.
const MOST_AT_ONCE: usize = 120;

/// Retries the pending writes of killed workers.
pub(super) async fn pending_writes(
    worker: &Worker,
    storage: &FileStorage,
    rng: &mut Rng,
) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    all_of(worker, storage, ledger.to_retry(), rng).await
}

/// Retries only those that reached the store: no entry is added, so nothing is synced but what the acknowledgement needs.
pub(super) async fn pending_writes_and_is_there(
    worker: &Worker,
    storage: &FileStorage,
    rng: &mut Rng,
) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    let mut there = Vec::new();
    for id in ledger.to_retry() {
        if storage.read(&EntryId::new_unchecked(id)).await?.is_some() {
            there.push(id);
        }
    }
    all_of(worker, storage, there, rng).await
}

async fn all_of(
    worker: &Worker,
    storage: &FileStorage,
    mut left: Vec<&str>,
    rng: &mut Rng,
) -> Result {
    while left.len() > MOST_AT_ONCE {
        left.swap_remove(rng.below(left.len()));
    }
    while !left.is_empty() {
        let count = if rng.percent(50) { 1 } else { rng.between(2, 21) };
        let ids: Vec<String> = (0..count.min(left.len()))
            .map(|_| left.swap_remove(rng.below(left.len())).to_owned())
            .collect();
        worker.write(storage, &ids, Way::Checked).await?;
    }
    Ok(())
}

/// Writes some present, erased or unknown entries again in one call, or a conflicting entry.
pub(super) async fn some(worker: &Worker, storage: &FileStorage, rng: &mut Rng) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    let there: Vec<&str> = ledger.with_fate(Fate::Present).collect();
    if rng.percent(30) {
        let lasting: Vec<&str> =
            there.into_iter().filter(|id| sample::lasts(id).unwrap_or(false)).collect();
        let Some(id) = rng.pick(&lasting) else { return Ok(()) };
        let mut beside = chosen(&[&lasting], rng);
        beside.retain(|other| other != id && rng.percent(50));
        return worker.differ(storage, id, &beside).await;
    }
    let gone: Vec<&str> = ledger.with_fate(Fate::Absent).collect();
    let ids = chosen(&[&there, &gone, &ledger.to_retry()], rng);
    if ids.is_empty() { Ok(()) } else { worker.write(storage, &ids, Way::Checked).await }
}

/// A few distinct ids.
fn chosen(of: &[&[&str]], rng: &mut Rng) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..rng.between(1, 6) {
        let id = rng.pick(of).and_then(|group| rng.pick(group));
        ids.extend(
            id.filter(|id| !ids.iter().any(|other| other == *id)).map(|id| (*id).to_owned()),
        );
    }
    ids
}
