//! Memory of a scan. The only test of its program, because it measures all allocations.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::alloc::System;

use attestry_core::{AuditEntry, Query, StorageBackend};
use attestry_s3::S3Storage;
use futures_util::StreamExt;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{Server, body_of, entry};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ENTRIES: usize = 2_000;
/// Bytes for each entry besides its body, as documented at `S3StorageBuilder::memory_limit`.
const ENTRY_OVERHEAD: usize = 200;
/// Buffers of connections and the like.
const FIXED_OVERHEAD: usize = 100_000;

fn allocated_bytes() -> isize {
    let stats = MEMORY.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// Entries of one day without content, and the total length of their bodies.
fn entries_of_a_day() -> (Vec<AuditEntry>, usize) {
    let entries: Vec<_> = (0..ENTRIES)
        .map(|n| {
            let id = format!("7e153360-d024-4c93-8a15-{n:012}");
            let mut entry = entry(&id, &format!("2026-01-28T09:00:00.{n:06}"));
            entry.provider = Some("openai".to_owned());
            entry.model = Some("gpt-4".to_owned());
            entry.metadata.insert("team".to_owned(), "trust".into());
            entry
        })
        .collect();
    let bytes = entries.iter().map(|entry| body_of(entry).len()).sum();
    (entries, bytes)
}

/// The bytes that a scan holds after its first item.
async fn held_bytes(storage: &S3Storage) -> usize {
    let before = allocated_bytes();
    let mut scan = storage.scan(Query::new());
    scan.next().await.unwrap().unwrap();
    usize::try_from(allocated_bytes() - before).unwrap()
}

#[tokio::test]
async fn scan_memory_is_bounded() {
    let server = Server::start().await;
    let (entries, body_bytes) = entries_of_a_day();
    entries.iter().for_each(|entry| server.put_entry(entry));
    drop(entries);
    let connect = async |limit: usize| {
        let storage = server.direct().concurrency(4).memory_limit(limit as u64);
        let storage = storage.recent_ids(0).connect().await.unwrap();
        held_bytes(&storage).await; // opens the connections
        storage
    };

    let overhead = ENTRIES * ENTRY_OVERHEAD + FIXED_OVERHEAD;
    let no_body_fits = connect(0).await;
    let without_bodies = held_bytes(&no_body_fits).await;
    println!("{without_bodies} bytes without bodies, {} for each", without_bodies / ENTRIES);
    assert!(without_bodies <= overhead, "{without_bodies}");

    let all_bodies_fit = connect(8 * body_bytes).await;
    let with_bodies = held_bytes(&all_bodies_fit).await;
    println!("{with_bodies} bytes with bodies of {body_bytes} bytes");
    assert!(with_bodies <= body_bytes + overhead, "{with_bodies}");
    assert!(with_bodies >= body_bytes, "the bodies were not kept");
}
