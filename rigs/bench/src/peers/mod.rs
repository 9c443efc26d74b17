//! Other stores doing the same job: hash both texts, serialise, store the line under its id, a
//! thousand to a durable transaction, on one thread.

pub(crate) mod appender;
pub(crate) mod fjall;
pub(crate) mod redb;
pub(crate) mod sqlite;

use std::path::Path;
use std::time::{Duration, Instant};

use attestry::line;

use crate::plain::{BATCH, warm_up};
use crate::workload::Workload;
use crate::{Result, remove};

/// One line and its id.
pub(crate) type Record = (String, Vec<u8>);

/// A store under a key that a batch goes to durably.
pub(crate) trait Peer: Sized {
    /// What it is called.
    const NAME: &'static str;

    /// Makes one that is not there yet.
    fn create(path: &Path) -> Result<Self>;

    /// Stores the records; they are on stable storage when it returns.
    fn store(&mut self, records: &[Record]) -> Result<()>;

    /// How many records there are.
    fn count(&mut self) -> Result<u64>;
}

/// How long the peer takes for `count` interactions in a store of its own.
pub(crate) fn durable_batches<P: Peer>(
    path: &Path,
    workload: &Workload,
    count: usize,
) -> Result<Duration> {
    remove(path)?;
    let mut peer = P::create(path)?;
    let mut records: Vec<Record> = Vec::with_capacity(BATCH);
    let mut store = |count: usize| -> Result<Duration> {
        let start = Instant::now();
        for first in (0..count).step_by(BATCH) {
            records.clear();
            for number in first..(first + BATCH).min(count) {
                let entry = workload.entry(number);
                records.push((entry.id.to_string(), line::encode(&entry)?));
            }
            peer.store(&records)?;
        }
        Ok(start.elapsed())
    };
    let before = warm_up(count);
    store(before)?;
    let took = store(count)?;
    let (stored, expected) = (peer.count()?, before + count);
    if stored != expected as u64 {
        return Err(format!("{} holds {stored} records, not {expected}", P::NAME).into());
    }
    drop(peer);
    remove(path)?;
    Ok(took)
}
