//! How much memory a scan holds. Alone in its program, since it counts what all of that takes.
#![allow(clippy::unwrap_used)] // helpers of a test

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
/// What `S3StorageBuilder::memory_limit` says that a scan holds for an entry besides its body.
const BESIDE_BODY: usize = 200;
/// Buffers of connections and the like.
const OTHERS: usize = 100_000;

fn taken() -> isize {
    let stats = MEMORY.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// A day of entries as they are without content; and how many bytes their bodies have.
fn day() -> (Vec<AuditEntry>, usize) {
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

/// What a scan holds that has handed out the first entry of a day.
async fn held(storage: &S3Storage) -> usize {
    let before = taken();
    let mut scan = storage.scan(Query::new());
    scan.next().await.unwrap().unwrap();
    usize::try_from(taken() - before).unwrap()
}

#[tokio::test]
async fn a_scan_holds_bodies_within_the_limit_and_little_beside_them() {
    let server = Server::start().await;
    let (entries, bodies) = day();
    entries.iter().for_each(|entry| server.put_entry(entry));
    drop(entries);
    let connect = async |limit: usize| {
        let storage = server.direct().concurrency(4).memory_limit(limit as u64);
        let storage = storage.recent_ids(0).connect().await.unwrap();
        held(&storage).await; // makes the connections
        storage
    };

    let none_fits = connect(0).await;
    let beside = held(&none_fits).await;
    println!("{beside} bytes beside the bodies, {} for each", beside / ENTRIES);
    assert!(beside <= ENTRIES * BESIDE_BODY + OTHERS, "{beside}");

    let all_fit = connect(8 * bodies).await;
    let with_bodies = held(&all_fit).await;
    println!("{with_bodies} bytes with the bodies, which are {bodies}");
    assert!(with_bodies <= bodies + ENTRIES * BESIDE_BODY + OTHERS, "{with_bodies}");
    assert!(with_bodies >= bodies, "they were not kept");
}
