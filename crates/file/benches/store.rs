//! Commit, index look-up and scan, through the public API.
#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;
use std::path::Path;

use attestry_core::{
    AuditEntry, EntryId, Query, StorageBackend, Timestamp, create_entry_id, hash_content,
};
use attestry_file::{Durability, FileStorage};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use tokio::runtime::Runtime;

/// Enough for ten sealed segments of this size.
const ENTRIES: usize = 20_000;
const ROTATION: u64 = 1 << 20;

fn entry() -> AuditEntry {
    AuditEntry {
        provider: Some("openai".into()),
        model: Some("gpt-4o-2024-05-13".into()),
        conversation_id: Some("conversation-0001".into()),
        latency_ms: 250.5,
        input_tokens: Some(374),
        output_tokens: Some(44),
        ..AuditEntry::new(
            create_entry_id(),
            Timestamp::now(),
            hash_content("in"),
            hash_content("out"),
        )
    }
}

fn entries(count: usize) -> Vec<AuditEntry> {
    (0..count).map(|_| entry()).collect()
}

fn open(runtime: &Runtime, path: &Path, durability: Durability) -> FileStorage {
    let builder = FileStorage::builder(path).rotation_size_bytes(ROTATION).durability(durability);
    runtime.block_on(builder.open()).expect("a store")
}

fn commit(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = c.benchmark_group("append");
    for (name, durability, count) in [
        ("one, buffered", Durability::Buffered, 1),
        ("one, durable", Durability::Sync, 1),
        ("1,000, durable", Durability::Sync, 1_000),
    ] {
        let storage = open(&runtime, &folder.path().join(name.replace([',', ' '], "")), durability);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                || entries(count),
                |entries| runtime.block_on(storage.append(black_box(&entries))),
                BatchSize::LargeInput,
            );
        });
        runtime.block_on(storage.close()).expect("closing");
    }
    group.finish();
}

fn find(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let storage = open(&runtime, &path, Durability::Buffered);
    let mut ids: Vec<EntryId> = Vec::with_capacity(ENTRIES);
    for _ in 0..ENTRIES / 1_000 {
        let entries = entries(1_000);
        runtime.block_on(storage.append(&entries)).expect("appending");
        ids.extend(entries.into_iter().map(|entry| entry.id));
    }
    runtime.block_on(storage.close()).expect("closing");

    let mut group = c.benchmark_group("store of 20,000");
    group.bench_function("open", |b| b.iter(|| open(&runtime, &path, Durability::Buffered)));
    let storage = open(&runtime, &path, Durability::Buffered);
    let mut place = 0;
    group.bench_function("get", |b| {
        b.iter(|| {
            place = (place + 7_919) % ENTRIES;
            runtime.block_on(storage.read(black_box(&ids[place])))
        });
    });
    group.bench_function("get, not there", |b| {
        let id = create_entry_id();
        b.iter(|| runtime.block_on(storage.read(black_box(&id))));
    });
    group.bench_function("count", |b| b.iter(|| runtime.block_on(storage.count())));
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.sample_size(20);
    group.bench_function("scan", |b| {
        b.iter(|| runtime.block_on(storage.scan(Query::new()).count()));
    });
    group.bench_function("scan_lines", |b| {
        b.iter(|| runtime.block_on(storage.scan_lines(Query::new()).count()));
    });
    group.finish();
}

/// Each new id is looked up in every segment.
fn write_new(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("write_new of 100");
    group.throughput(Throughput::Elements(100));
    for segments in [10, 1_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let builder = || FileStorage::builder(&path).durability(Durability::Buffered);
        // Eight entries each.
        let storage = runtime.block_on(builder().rotation_size_bytes(4_000).open());
        let storage = storage.expect("a store");
        runtime.block_on(storage.append(&entries(segments * 8))).expect("appending");
        runtime.block_on(storage.close()).expect("closing");
        let storage = runtime.block_on(builder().open()).expect("a store");
        group.bench_function(format!("{segments} segments"), |b| {
            b.iter_batched(
                || entries(100),
                |entries| runtime.block_on(storage.write_new(black_box(&entries))),
                BatchSize::LargeInput,
            );
        });
        runtime.block_on(storage.close()).expect("closing");
    }
    group.finish();
}

criterion_group!(store_benches, commit, find, write_new);
criterion_main!(store_benches);
