//! CPU time of `log`, compared with the hashes and the line that are unavoidable.

use std::hint::black_box;
use std::sync::Arc;

use attestry::backend::AppendFuture;
use attestry::file::FileStorage;
use attestry::{AuditEntry, AuditLogger, EntryId, StorageBackend, StorageError, Timestamp, line};

use crate::child::log_many;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, to_f64};
use crate::{Result, machine, plain, remove};

/// Entries; a multiple of the number of tasks.
const COUNT: usize = 256 * 800;
const TASKS: usize = 256;

/// The required ratio.
const MOST: f64 = 1.5;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut bare, mut lone, mut stored, mut batches) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        bare.push(hash_and_serialise(rig)?);
        lone.push(log_to_nowhere(rig)?);
        stored.push(log_durably(rig)?);
        batches.push(store_in_batches(rig)?);
    }
    let figure = |samples: &[f64]| Figure::of(samples, "µs");
    let what = "CPU of log, to a backend that serialises and drops the line";
    let bare = figure(&bare);
    let lone = Row::new("cpu", what, figure(&lone))
        .against("hash and serialise", bare.clone())
        .limit("hash and serialise", Some(&bare));
    let what = "CPU of durable log, 256 tasks, all threads, in user space and the kernel";
    let batches = figure(&batches);
    let stored = Row::new("cpu", what, figure(&stored))
        .against("R", batches.clone())
        .limit("R", Some(&batches));
    Ok(vec![lone.ratio_at_most(MOST), stored])
}

/// CPU microseconds per entry of hashing both texts and making the line.
fn hash_and_serialise(rig: &Rig) -> Result<f64> {
    let entries: Vec<AuditEntry> = (0..2_048).map(|number| rig.workload.entry(number)).collect();
    let mut buffer = Vec::with_capacity(1 << 10);
    plain::each(COUNT, |number| {
        plain::hash(&rig.workload, number);
        buffer.clear();
        line::encode_into(black_box(&entries[number % entries.len()]), &mut buffer)?;
        black_box(&mut buffer);
        Ok(())
    })
}

/// The same for `log` to a null backend. It never waits, so elapsed time is CPU time.
fn log_to_nowhere(rig: &Rig) -> Result<f64> {
    let workload = Arc::clone(&rig.workload);
    rig.run(async move {
        let logger = AuditLogger::builder(Nowhere).build();
        let start = std::time::Instant::now();
        for number in 0..COUNT {
            black_box(logger.log(workload.interaction(number)).await?);
        }
        Ok(crate::stats::micros(start.elapsed()) / to_f64(COUNT as u64))
    })
}

/// CPU microseconds of the whole process per durable entry.
fn log_durably(rig: &Rig) -> Result<f64> {
    let (path, workload) = (rig.fresh("cpu")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let spent = rig.run(async move {
        let logger = AuditLogger::builder(FileStorage::builder(&folder).open().await?).build();
        let before = machine::cpu_micros()?;
        log_many(&logger, &workload, TASKS, COUNT / TASKS).await?;
        let spent = machine::cpu_micros()? - before;
        logger.close().await?;
        Ok(spent)
    })?;
    remove(&path)?;
    Ok(spent / to_f64(COUNT as u64))
}

/// The same for the plain loop.
fn store_in_batches(rig: &Rig) -> Result<f64> {
    let path = rig.fresh("cpu")?;
    let before = machine::cpu_micros()?;
    plain::durable_batches(&path, &rig.workload, COUNT, plain::BATCH)?;
    let spent = machine::cpu_micros()? - before;
    remove(&path)?;
    Ok(spent / to_f64((COUNT + plain::warm_up(COUNT)) as u64))
}

/// A backend that serialises the entry and drops the line.
#[derive(Debug)]
struct Nowhere;

#[attestry::backend::async_trait]
impl StorageBackend for Nowhere {
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let lines = entries.iter().try_for_each(|entry| {
            entry.validate()?;
            black_box(line::encode(entry)?);
            Ok(())
        });
        Box::pin(std::future::ready(lines))
    }

    async fn write(&self, entry: &AuditEntry) -> std::result::Result<EntryId, StorageError> {
        self.append(std::slice::from_ref(entry)).await?;
        Ok(entry.id.clone())
    }

    async fn read(&self, _: &EntryId) -> std::result::Result<Option<AuditEntry>, StorageError> {
        Ok(None)
    }

    async fn list_entries(
        &self,
        _: Timestamp,
        _: Timestamp,
    ) -> std::result::Result<Vec<AuditEntry>, StorageError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &EntryId) -> std::result::Result<bool, StorageError> {
        Ok(false)
    }

    async fn count(&self) -> std::result::Result<u64, StorageError> {
        Ok(0)
    }
}
