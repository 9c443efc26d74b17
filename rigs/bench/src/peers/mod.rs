//! Other stores with the same job: hash both texts, serialise, store the line under its id, 1,000 per durable transaction,
//! on one thread. And other receivers of OTLP.

pub(crate) mod appender;
pub(crate) mod fjall;
pub(crate) mod receivers;
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

/// A key-value store with durable batches.
pub(crate) trait Peer: Sized {
    /// Its name.
    const NAME: &'static str;

    /// Creates a new store.
    fn create(path: &Path) -> Result<Self>;

    /// Stores the records durably.
    fn store(&mut self, records: &[Record]) -> Result<()>;

    /// Number of records.
    fn count(&mut self) -> Result<u64>;
}

/// The time for `count` interactions in a new store.
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
