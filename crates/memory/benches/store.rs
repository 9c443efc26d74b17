//! Look-up, scan, and append to a full store.
#![allow(missing_docs)] // criterion's macros generate undocumented functions

use std::hint::black_box;

use attestry_core::{AuditEntry, Query, StorageBackend, Timestamp, create_entry_id, hash_content};
use attestry_memory::MemoryStorage;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;

const ENTRIES: usize = 10_000;

fn entry() -> AuditEntry {
    let hash = hash_content("text");
    AuditEntry::new(create_entry_id(), Timestamp::now(), hash.clone(), hash)
}

fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let storage = MemoryStorage::with_max_entries(ENTRIES);
    let entries: Vec<AuditEntry> = (0..ENTRIES).map(|_| entry()).collect();
    runtime.block_on(storage.append(&entries)).expect("memory takes any entry");

    let mut group = c.benchmark_group("memory, 10,000 entries");
    let mut index = 0;
    group.bench_function("get", |b| {
        b.iter(|| {
            index = (index + 7_919) % ENTRIES;
            runtime.block_on(storage.read(black_box(&entries[index].id)))
        });
    });
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("scan", |b| {
        b.iter(|| runtime.block_on(storage.scan(Query::new()).count()));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("append with eviction", |b| {
        b.iter_batched(
            entry,
            |entry| runtime.block_on(storage.append(std::slice::from_ref(&entry))),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(memory_benches, benches);
criterion_main!(memory_benches);
