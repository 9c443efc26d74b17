//! Writing what was written before, as a client does that has had no answer.
//!
//! An equal entry must succeed and be there once, whatever became of it the first time; another one
//! under an id that is taken must be refused; one that was erased may be written again, and stays.

use attestry_core::{EntryId, StorageBackend};
use attestry_file::FileStorage;

use super::Worker;
use super::calls::Way;
use crate::ledger::{Fate, Ledger};
use crate::outcome::Result;
use crate::rng::Rng;
use crate::sample;

/// So many entries that were under way are written again at once, when a worker begins.
const MOST_AT_ONCE: usize = 120;

/// Writes again what was under way when others were killed, before anything else.
pub(super) async fn what_was_left(worker: &Worker, storage: &FileStorage, rng: &mut Rng) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    all_of(worker, storage, ledger.left(), rng).await
}

/// The same of those entries only that the dead have written: as none is added, nothing is synced
/// but what it takes to acknowledge these.
pub(super) async fn what_was_left_and_is_there(
    worker: &Worker,
    storage: &FileStorage,
    rng: &mut Rng,
) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    let mut there = Vec::new();
    for id in ledger.left() {
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

/// Writes again some entries that are there, that were erased, or that were left in doubt, in one
/// call; or another one under an id that is taken.
pub(super) async fn some(worker: &Worker, storage: &FileStorage, rng: &mut Rng) -> Result {
    let ledger = Ledger::load(&worker.args.notes)?;
    let there: Vec<&str> = ledger.with_fate(Fate::There).collect();
    if rng.percent(30) {
        let lasting: Vec<&str> =
            there.into_iter().filter(|id| sample::lasts(id).unwrap_or(false)).collect();
        let Some(id) = rng.pick(&lasting) else { return Ok(()) };
        let mut beside = chosen(&[&lasting], rng);
        beside.retain(|other| other != id && rng.percent(50));
        return worker.differ(storage, id, &beside).await;
    }
    let gone: Vec<&str> = ledger.with_fate(Fate::Gone).collect();
    let ids = chosen(&[&there, &gone, &ledger.left()], rng);
    if ids.is_empty() { Ok(()) } else { worker.write(storage, &ids, Way::Checked).await }
}

/// A few ids, each once.
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
