//! Checks that run on more than one server.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use attestry_conformance::Fresh;
use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id};
use attestry_s3::S3Storage;
use futures_util::{FutureExt, StreamExt, stream};

use super::{Fault, Proxy, at, entry, list_all};

/// Whether a case of the suite writes no ids of 255 bytes. Servers that map keys to paths limit the file
/// name `ID.json` to that length.
pub(crate) fn has_no_longest_ids(case: &str) -> bool {
    const LONGEST_IDS: [&str; 2] =
        ["content::all_valid_ids_round_trip", "writing::limit_values_are_accepted"];
    !LONGEST_IDS.contains(&case)
}

/// Runs the selected cases of the suite, each on a fresh store.
pub(crate) async fn run_cases(select: impl Fn(&str) -> bool, fresh: impl AsyncFn() -> Fresh) {
    let mut cases = attestry_conformance::cases();
    let all = cases.len();
    cases.retain(|case| select(case.name()));
    assert!(!cases.is_empty() && cases.len() < all, "cases were renamed");
    let runs = cases.into_iter().map(async |case| {
        let store = fresh().await;
        tokio::spawn(async move {
            let name = case.name();
            let run = AssertUnwindSafe(case.run(store.store())).catch_unwind().await;
            run.is_err().then_some(name)
        })
        .await
        .unwrap()
    });
    let failed: Vec<_> =
        stream::iter(runs).buffer_unordered(4).filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// 2,345 entries of one day, on three pages of keys.
pub(crate) async fn several_pages_are_counted_listed_and_deleted(storage: &S3Storage) {
    let day = at("2026-01-31T00:00:00").unix_micros();
    let entries: Vec<_> = (0..2_345)
        .map(|n| {
            let timestamp = Timestamp::from_unix_micros(day + n * 1_000_000).unwrap();
            AuditEntry { timestamp, ..entry(create_entry_id().as_str(), "2026-01-31") }
        })
        .collect();
    storage.append(&entries).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 2_345);
    assert!(list_all(storage).await.unwrap() == entries);
    assert_eq!(storage.delete_at_or_before(entries[99].timestamp).await.unwrap(), 100);
    assert!(list_all(storage).await.unwrap() == entries[100..]);
    assert_eq!(storage.delete_at_or_before(at("2026-02-01T00:00:00")).await.unwrap(), 2_245);
    assert_eq!(storage.count().await.unwrap(), 0);
}

/// Each operation breaks twice at each point: while the request is sent, in the response, after it.
pub(crate) async fn broken_connections_are_retried(storage: &S3Storage, proxy: &Proxy) {
    let operations = ["put", "get", "list", "delete", "delete many"];
    for fault in
        [Fault::ResetRequest, Fault::ResetResponse, Fault::TruncatedBody, Fault::LostResponse]
    {
        // A truncated object is corrupt and reported, not retried.
        let applies =
            |operation: &&str| *operation != "get" || !matches!(fault, Fault::TruncatedBody);
        let break_each_operation_twice = || {
            proxy.clear_faults();
            let broken = operations.into_iter().filter(applies);
            broken.for_each(|operation| proxy.inject(operation, 2, fault));
        };
        let entries: Vec<_> = (0..12)
            .map(|n| entry(create_entry_id().as_str(), &format!("2026-01-28T09:00:00.{n:06}")))
            .collect();
        break_each_operation_twice();
        storage.write_batch(&entries).await.unwrap();
        break_each_operation_twice();
        assert_eq!(list_all(storage).await.unwrap(), entries, "{fault:?}");
        break_each_operation_twice();
        assert_eq!(storage.count().await.unwrap(), 12, "{fault:?}");
        break_each_operation_twice();
        assert!(storage.delete(&entries[0].id).await.unwrap(), "{fault:?}");
        break_each_operation_twice();
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 11, "{fault:?}");
        proxy.clear_faults();
        assert_eq!(storage.count().await.unwrap(), 0, "{fault:?}");
    }
}

/// Injects random faults, more than the retries of `storage` cover: some calls fail. Every acknowledged
/// entry must be stored, and every failed one repeatable.
pub(crate) async fn acknowledged_entries_survive_faults(storage: S3Storage, proxy: &Proxy) {
    let storage = Arc::new(storage);
    let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
    let mut seed: u64 = 42;
    let mut random_below = |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    for round in 0..12 {
        for _ in 0..30 {
            let operation = ["put", "put", "get", "head", "list"][random_below(5) as usize];
            let fault = match random_below(8) {
                0 => Fault::ErrorResponse("SlowDown", 503),
                1 => Fault::ErrorResponse("InternalError", 500),
                2 => Fault::ErrorResponse("ConditionalRequestConflict", 409),
                3 => Fault::ResetResponse,
                4 => Fault::ResetRequest,
                5 if operation == "list" => Fault::TruncatedBody,
                6 => Fault::Delay(Duration::from_millis(20)),
                _ => Fault::LostResponse,
            };
            proxy.inject(operation, 1 + random_below(3) as usize, fault);
        }
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let (id, day) = (format!("e{round:02}-{number:02}"), 1 + (round + number) % 28);
                let entry = entry(&id, &format!("2026-01-{day:02}"));
                let storage = Arc::clone(&storage);
                tokio::spawn(async move {
                    let written = if number % 4 == 0 {
                        storage.write(&entry).await.map(drop)
                    } else {
                        storage.append(std::slice::from_ref(&entry)).await
                    };
                    (entry, written)
                })
            })
            .collect();
        for call in calls {
            let (entry, written) = call.await.unwrap();
            if written.is_ok() { &mut acknowledged } else { &mut failed }.push(entry);
        }
    }
    proxy.clear_faults();
    assert!(!acknowledged.is_empty() && !failed.is_empty(), "{} failed", failed.len());
    for entry in &acknowledged {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    let mut missing = acknowledged;
    for stored in list_all(&storage).await.unwrap() {
        missing.retain(|entry| *entry != stored);
        failed.retain(|entry| *entry != stored);
    }
    assert!(missing.is_empty(), "{missing:?}");
    // A failed write may have been stored; repeating it succeeds in both cases.
    storage.write_batch(&failed).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 240);
}
