//! What is checked on more than one server.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use attestry_conformance::Fresh;
use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id};
use attestry_s3::S3Storage;
use futures_util::{FutureExt, StreamExt, stream};

use super::{Fault, Proxy, all, at, entry};

/// Whether a case writes no ids of 255 bytes. Where a key is a path to the server, `ID.json` must be
/// shorter than the longest name of a file.
pub(crate) fn has_no_longest_ids(case: &str) -> bool {
    const LONGEST_IDS: [&str; 2] =
        ["content::all_valid_ids_round_trip", "writing::limit_values_are_accepted"];
    !LONGEST_IDS.contains(&case)
}

/// Those cases of the suite that are wanted, each on a store of its own.
pub(crate) async fn cases(wanted: impl Fn(&str) -> bool, fresh: impl AsyncFn() -> Fresh) {
    let mut cases = attestry_conformance::cases();
    let all = cases.len();
    cases.retain(|case| wanted(case.name()));
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

pub(crate) async fn more_than_one_page_is_counted_listed_and_deleted(storage: &S3Storage) {
    let day = at("2026-01-31T00:00:00").unix_micros();
    let entries: Vec<_> = (0..2_345)
        .map(|n| {
            let moment = Timestamp::from_unix_micros(day + n * 1_000_000).unwrap();
            AuditEntry { timestamp: moment, ..entry(create_entry_id().as_str(), "2026-01-31") }
        })
        .collect();
    storage.append(&entries).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 2_345);
    assert!(all(storage).await.unwrap() == entries);
    assert_eq!(storage.delete_at_or_before(entries[99].timestamp).await.unwrap(), 100);
    assert!(all(storage).await.unwrap() == entries[100..]);
    assert_eq!(storage.delete_at_or_before(at("2026-02-01T00:00:00")).await.unwrap(), 2_245);
    assert_eq!(storage.count().await.unwrap(), 0);
}

/// Each kind of request is cut off on its way there, in its answer, or with its answer.
pub(crate) async fn broken_connections_are_survived(storage: &S3Storage, proxy: &Proxy) {
    let operations = ["put", "get", "list", "delete", "delete many"];
    for fault in [Fault::ResetRequest, Fault::ResetAnswer, Fault::HalfAnswer, Fault::DoneButFailed]
    {
        // Half of an object is one that is damaged, and named.
        let hits = |name: &&str| *name != "get" || !matches!(fault, Fault::HalfAnswer);
        let again = || {
            proxy.heal();
            operations.into_iter().filter(hits).for_each(|name| proxy.fail(name, 2, fault));
        };
        let entries: Vec<_> = (0..12)
            .map(|n| entry(create_entry_id().as_str(), &format!("2026-01-28T09:00:00.{n:06}")))
            .collect();
        again();
        storage.write_batch(&entries).await.unwrap();
        again();
        assert_eq!(all(storage).await.unwrap(), entries, "{fault:?}");
        again();
        assert_eq!(storage.count().await.unwrap(), 12, "{fault:?}");
        again();
        assert!(storage.delete(&entries[0].id).await.unwrap(), "{fault:?}");
        again();
        assert_eq!(storage.delete_at_or_before(at("2026-01-30")).await.unwrap(), 11, "{fault:?}");
        proxy.heal();
        assert_eq!(storage.count().await.unwrap(), 0, "{fault:?}");
    }
}

/// Faults of all kinds in any order, more of them than the retries allow for: some calls fail.
pub(crate) async fn acknowledged_is_there(storage: S3Storage, proxy: &Proxy) {
    let storage = Arc::new(storage);
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    let mut random: u64 = 42;
    let mut below = |end: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    for round in 0..12 {
        for _ in 0..30 {
            let operation = ["put", "put", "get", "head", "list"][below(5) as usize];
            let fault = match below(8) {
                0 => Fault::Refuse("SlowDown", 503),
                1 => Fault::Refuse("InternalError", 500),
                2 => Fault::Refuse("ConditionalRequestConflict", 409),
                3 => Fault::ResetAnswer,
                4 => Fault::ResetRequest,
                5 if operation == "list" => Fault::HalfAnswer,
                6 => Fault::Late(Duration::from_millis(20)),
                _ => Fault::DoneButFailed,
            };
            proxy.fail(operation, 1 + below(3) as usize, fault);
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
            if written.is_ok() { &mut acknowledged } else { &mut refused }.push(entry);
        }
    }
    proxy.heal();
    assert!(!acknowledged.is_empty() && !refused.is_empty(), "{} refused", refused.len());
    for entry in &acknowledged {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    let mut missing = acknowledged;
    for entry in all(&storage).await.unwrap() {
        missing.retain(|acknowledged| *acknowledged != entry);
        refused.retain(|refused| *refused != entry);
    }
    assert!(missing.is_empty(), "{missing:?}");
    // What failed is there or not, and can be repeated either way.
    storage.write_batch(&refused).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 240);
}
