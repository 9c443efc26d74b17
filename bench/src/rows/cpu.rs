//! What `log` costs in CPU beside its hash and its line, which nobody can spare it.

use std::hint::black_box;
use std::sync::Arc;

use attestry::{
    AppendFuture, AuditEntry, AuditLogger, EntryId, FileStorage, StorageBackend, StorageError,
    Timestamp, line,
};

use crate::child::log_many;
use crate::report::{Row, short};
use crate::rig::Rig;
use crate::stats::{Figure, median};
use crate::{Result, machine, plain, remove};

/// A multiple of the tasks.
const COUNT: usize = 256 * 800;
const TASKS: usize = 256;

/// The project asks for this.
const MOST: f64 = 1.5;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut bare, mut lone, mut stored, mut system) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        bare.push(hash_and_serialise(rig)?);
        lone.push(log_to_nowhere(rig)?);
        let (user, kernel) = log_durably(rig)?;
        stored.push(user);
        system.push(kernel);
    }
    let bare = Figure::of(&bare, "µs");
    let kernel =
        format!("{} µs more in the kernel, for writing and syncing", short(median(&system)));
    let row = |what: &str, samples: &[f64]| {
        Row::new("cpu", what, Figure::of(samples, "µs"))
            .against("hash and serialise", bare.clone())
            .ratio_at_most(MOST)
    };
    Ok(vec![
        row("CPU of log, to a backend that serialises and drops the line", &lone),
        row("CPU of durable log, 256 tasks, all threads, in user space", &stored).note(kernel),
    ])
}

/// The microseconds of CPU of hashing both texts and making the line, for one entry.
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

/// The same of `log`, when nothing is kept. It never waits, so all the time is CPU.
fn log_to_nowhere(rig: &Rig) -> Result<f64> {
    let workload = Arc::clone(&rig.workload);
    rig.run(async move {
        let logger = AuditLogger::builder(Nowhere).build();
        let start = std::time::Instant::now();
        for number in 0..COUNT {
            black_box(logger.log(workload.interaction(number)).await?);
        }
        Ok(crate::stats::micros(start.elapsed()) / crate::stats::to_f64(COUNT as u64))
    })
}

/// The microseconds of CPU, in user space and in the kernel, that the whole process spends on one
/// durable entry.
fn log_durably(rig: &Rig) -> Result<(f64, f64)> {
    let (path, workload) = (rig.fresh("cpu")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let (user, kernel) = rig.run(async move {
        let logger = AuditLogger::builder(FileStorage::builder(&folder).open().await?).build();
        let before = machine::cpu_micros()?;
        log_many(&logger, &workload, TASKS, COUNT / TASKS).await?;
        let after = machine::cpu_micros()?;
        logger.close().await?;
        Ok((after.0 - before.0, after.1 - before.1))
    })?;
    remove(&path)?;
    let count = crate::stats::to_f64(COUNT as u64);
    Ok((user / count, kernel / count))
}

/// A backend that does with an entry what a store of lines does before it writes.
#[derive(Debug)]
struct Nowhere;

#[attestry::async_trait]
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
