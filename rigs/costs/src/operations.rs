//! The operations.

use std::hint::black_box;
use std::path::Path;

use attestry::crypto::EncryptionManager;
use attestry::file::{Durability, FileStorage};
use attestry::memory::MemoryStorage;
use attestry::{
    AuditEntry, AuditLogger, Query, StorageBackend, create_entry_id, hash_content, line,
};
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;

use crate::{Counted, Result, counted, counted_async, sample};

/// Sets up in a new folder and repeats the operation.
type Operation = fn(&Path, u64) -> Result<Counted>;

/// By name.
pub(crate) const OPERATIONS: &[(&str, Operation)] = &[
    ("hash", hash),
    ("serialise", serialise),
    ("parse", parse),
    ("id", id),
    ("encrypt", encrypt),
    ("decrypt", decrypt),
    ("log", log),
    ("memory", memory),
    ("buffered", buffered),
    ("durable", durable),
    ("batch", batch),
    ("get", get),
    ("scan", scan),
    ("delete", delete),
    ("open", open),
];

/// Entries of the stores that are read, in several segments.
const ENTRIES: u64 = 2_000;
const ROTATION: u64 = 256 << 10;

/// Entries of a batch.
const BATCH: u64 = 100;

fn hash(_: &Path, count: u64) -> Result<Counted> {
    let text = sample::text();
    counted(count, |_| {
        black_box(hash_content(black_box(&text)));
        Ok(())
    })
}

fn serialise(_: &Path, count: u64) -> Result<Counted> {
    let entry = sample::entry(1)?;
    let mut buffer = Vec::with_capacity(1_024);
    counted(count, |_| {
        buffer.clear();
        line::encode_into(black_box(&entry), &mut buffer)?;
        black_box(&mut buffer);
        Ok(())
    })
}

fn parse(_: &Path, count: u64) -> Result<Counted> {
    let line = line::encode(&sample::entry(1)?)?;
    counted(count, |_| {
        black_box(line::decode(black_box(&line))?);
        Ok(())
    })
}

fn id(_: &Path, count: u64) -> Result<Counted> {
    counted(count, |_| {
        black_box(create_entry_id());
        Ok(())
    })
}

fn encrypt(_: &Path, count: u64) -> Result<Counted> {
    let (manager, text) = (EncryptionManager::generate(), sample::text());
    counted(count, |_| {
        black_box(manager.encrypt(black_box(&text)));
        Ok(())
    })
}

fn decrypt(_: &Path, count: u64) -> Result<Counted> {
    let manager = EncryptionManager::generate();
    let stored = manager.encrypt(&sample::text());
    counted(count, |_| {
        black_box(manager.decrypt(black_box(&stored))?);
        Ok(())
    })
}

fn log(_: &Path, count: u64) -> Result<Counted> {
    log_each(&runtime()?, &sample::nowhere(), count)
}

fn memory(_: &Path, count: u64) -> Result<Counted> {
    let storage = MemoryStorage::with_max_entries(20);
    log_each(&runtime()?, &AuditLogger::builder(storage).build(), count)
}

fn buffered(folder: &Path, count: u64) -> Result<Counted> {
    log_to_file(folder, Durability::Buffered, count)
}

fn durable(folder: &Path, count: u64) -> Result<Counted> {
    log_to_file(folder, Durability::Sync, count)
}

fn log_to_file(folder: &Path, durability: Durability, count: u64) -> Result<Counted> {
    let runtime = runtime()?;
    let storage = runtime.block_on(FileStorage::builder(folder).durability(durability).open())?;
    let logger = AuditLogger::builder(storage).build();
    let counted = log_each(&runtime, &logger, count)?;
    runtime.block_on(logger.close())?;
    Ok(counted)
}

fn log_each(runtime: &Runtime, logger: &AuditLogger, count: u64) -> Result<Counted> {
    runtime.block_on(counted_async(count, async |number| {
        black_box(logger.log(sample::interaction(number)).await?);
        Ok(())
    }))
}

fn batch(folder: &Path, count: u64) -> Result<Counted> {
    let runtime = runtime()?;
    let storage = runtime.block_on(FileStorage::builder(folder).open())?;
    let logger = AuditLogger::builder(storage).build();
    let counted = runtime.block_on(counted_async(count, async |number| {
        let interactions = (0..BATCH).map(|place| sample::interaction(number * BATCH + place));
        black_box(logger.log_batch(interactions).await?);
        Ok(())
    }))?;
    runtime.block_on(logger.close())?;
    Ok(counted)
}

fn get(folder: &Path, count: u64) -> Result<Counted> {
    let (runtime, storage) = filled(folder)?;
    let counted = runtime.block_on(counted_async(count, async |number| {
        let id = sample::id(number.wrapping_mul(7_919) % ENTRIES)?;
        let entry = storage.read(&id).await?;
        entry.map(drop).ok_or_else(|| "an entry is not found".into())
    }))?;
    runtime.block_on(storage.close())?;
    Ok(counted)
}

fn scan(folder: &Path, count: u64) -> Result<Counted> {
    let (runtime, storage) = filled(folder)?;
    let counted = runtime.block_on(counted_async(count, async |number| {
        if is_enough(number) {
            return Ok(());
        }
        let entries = storage.scan(Query::new());
        let found = entries.try_fold(0, |found, _| async move { Ok(found + 1) }).await?;
        if found == ENTRIES { Ok(()) } else { Err(format!("{found} entries were found").into()) }
    }))?;
    runtime.block_on(storage.close())?;
    Ok(counted)
}

fn delete(folder: &Path, count: u64) -> Result<Counted> {
    let (runtime, storage) = filled(folder)?;
    let counted = runtime.block_on(counted_async(count, async |number| {
        let deleted = storage.delete(&sample::id(number * 3)?).await?;
        if deleted { Ok(()) } else { Err("nothing was deleted".into()) }
    }))?;
    runtime.block_on(storage.close())?;
    Ok(counted)
}

fn open(folder: &Path, count: u64) -> Result<Counted> {
    let (runtime, storage) = filled(folder)?;
    runtime.block_on(storage.close())?;
    runtime.block_on(counted_async(count, async |number| {
        if is_enough(number) {
            return Ok(());
        }
        let storage = FileStorage::builder(folder).rotation_size_bytes(ROTATION).open().await?;
        let found = storage.count().await?;
        storage.close().await?;
        if found == ENTRIES { Ok(()) } else { Err(format!("{found} entries are there").into()) }
    }))
}

/// Whether the warm-up may end at this repetition: operations on all entries are warm after a few.
fn is_enough(number: u64) -> bool {
    (3..crate::WARM_UP).contains(&number)
}

/// A store of [`ENTRIES`] entries, opened a second time so that all index files exist.
fn filled(folder: &Path) -> Result<(Runtime, FileStorage)> {
    let runtime = runtime()?;
    let entries: Vec<AuditEntry> = (0..ENTRIES).map(sample::entry).collect::<Result<_>>()?;
    let open = || FileStorage::builder(folder).rotation_size_bytes(ROTATION).open();
    let storage = runtime.block_on(async {
        let storage = open().await?;
        for entries in entries.chunks(200) {
            storage.append(entries).await?;
        }
        storage.close().await?;
        open().await
    })?;
    Ok((runtime, storage))
}

/// One thread, so that the counts do not depend on scheduling.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?)
}
