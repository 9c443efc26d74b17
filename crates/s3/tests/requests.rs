//! The number of requests of each call, and their concurrency.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::time::Duration;

use attestry_core::{AuditEntry, IdScheme, Query, StorageBackend, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use support::{Fault, Server, at, entry, ids, list_all};

fn one_entry_a_day(days: u32) -> Vec<AuditEntry> {
    (1..=days).map(|n| entry(&format!("e{n:02}"), &format!("2026-01-{n:02}T12:00:00"))).collect()
}

#[tokio::test]
async fn append_and_read_of_a_recent_id_take_one_request() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let entries = one_entry_a_day(20);
    storage.append(&entries).await.unwrap();
    server.take_requests();
    let one = entry("one", "2026-01-28");
    storage.append(std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(server.take_requests(), ["put"]);
    assert_eq!(storage.read(&one.id).await.unwrap(), Some(one));
    assert_eq!(server.take_requests(), ["get"]);
    storage.read(&entries[3].id).await.unwrap().unwrap();
    assert_eq!(server.take_requests(), ["get"]);
}

#[tokio::test]
async fn uuid_v7_or_hint_reads_one_day() {
    let server = Server::start().await;
    one_entry_a_day(20).iter().for_each(|entry| server.put_entry(entry));
    let mut new = entry("new", "2026-01-28");
    (new.id, new.timestamp) = (IdScheme::V7.create(), Timestamp::now());
    server.put_entry(&new);
    let storage = server.builder().recent_ids(0).connect().await.unwrap();
    server.take_requests();
    assert_eq!(storage.read(&new.id).await.unwrap(), Some(new));
    assert_eq!(server.take_requests(), ["get"]);

    let stored = &one_entry_a_day(20)[6];
    let found = storage.read_near(&stored.id, at("2026-01-07T23:00:00")).await.unwrap();
    assert_eq!(found.as_ref(), Some(stored));
    assert_eq!(server.take_requests(), ["get"]);
    // The hint is one day off.
    let found = storage.read_near(&stored.id, at("2026-01-08T00:30:00")).await.unwrap();
    assert_eq!(found.as_ref(), Some(stored));
    let requests = server.take_requests();
    assert!(requests.len() <= 3 && requests.iter().all(|name| name == "get"), "{requests:?}");
}

#[tokio::test]
async fn unknown_id_reads_each_day_once() {
    let server = Server::start().await;
    one_entry_a_day(20).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.take_requests();
    assert_eq!(storage.read(&"nowhere".parse().unwrap()).await.unwrap(), None);
    let requests = server.take_requests();
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 20);
    assert_eq!(requests.len(), 21);
}

#[tokio::test]
async fn newest_days_are_searched_first() {
    let server = Server::start().await;
    one_entry_a_day(20).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.builder().concurrency(1).connect().await.unwrap();
    server.take_requests();
    assert!(storage.read(&"e18".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(server.take_requests(), ["list", "get", "get", "get"]);
}

#[tokio::test]
async fn range_lists_only_its_days() {
    let server = Server::start().await;
    let entries = one_entry_a_day(28);
    entries.iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.take_requests();
    let found = storage.list_entries(at("2026-01-05"), at("2026-01-07T23:00:00")).await.unwrap();
    assert_eq!(ids(&found), ["e05", "e06", "e07"]);
    let requests = server.take_requests();
    assert_eq!(requests.iter().filter(|name| *name == "list").count(), 4, "{requests:?}");
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 3, "{requests:?}");
}

#[tokio::test]
async fn count_reads_no_body() {
    let server = Server::start().await;
    one_entry_a_day(28).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.take_requests();
    assert_eq!(storage.count().await.unwrap(), 28);
    assert!(server.take_requests().iter().all(|name| name == "list"));
}

#[tokio::test]
async fn expired_days_are_deleted_without_reading_them() {
    let server = Server::start().await;
    one_entry_a_day(28).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.take_requests();
    assert_eq!(storage.delete_at_or_before(at("2026-01-20T23:59:59.999999")).await.unwrap(), 20);
    let requests = server.take_requests();
    assert!(!requests.iter().any(|name| name == "get"), "{requests:?}");
    assert_eq!(requests.iter().filter(|name| *name == "delete many").count(), 1, "{requests:?}");
    // On the day of the cutoff the timestamps decide, so each entry of that day is read.
    assert_eq!(storage.delete_at_or_before(at("2026-01-21T12:00:00")).await.unwrap(), 1);
    let requests = server.take_requests();
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 1, "{requests:?}");
    assert_eq!(storage.delete_at_or_before(at("2026-01-22T11:59:59")).await.unwrap(), 0);
    assert_eq!(storage.count().await.unwrap(), 7);
}

/// Other days are searched with one HEAD for each id, or by listing, whichever takes fewer requests.
#[tokio::test]
async fn batch_finds_its_ids_on_other_days() {
    let server = Server::start().await;
    let stored: Vec<_> =
        (0..40).map(|n| entry(&format!("s{n:03}"), "2026-01-05T10:00:00")).collect();
    stored.iter().for_each(|entry| server.put_entry(entry));
    server.set_page_size(7);
    let storage = server.connect().await;
    server.take_requests();
    let new = |count: usize| -> Vec<AuditEntry> {
        (0..count).map(|n| entry(&format!("n{n:03}"), "2026-01-06T10:00:00")).collect()
    };
    storage.write_batch(&new(3)).await.unwrap();
    let requests = server.take_requests();
    assert_eq!(requests.iter().filter(|name| *name == "head").count(), 3, "{requests:?}");
    storage.write_batch(&new(200)).await.unwrap();
    let requests = server.take_requests();
    assert!(!requests.iter().any(|name| name == "head"), "{requests:?}");
    assert!(requests.iter().filter(|name| *name == "list").count() <= 3 + 40 / 7 + 1);

    for stored in [0, 6, 7, 39] {
        let mut batch = new(50);
        batch.push(entry(&format!("s{stored:03}"), "2026-01-06T10:00:00"));
        let error = storage.write_batch(&batch).await.unwrap_err();
        assert!(error.to_string().contains(&format!("s{stored:03}")), "{error}");
    }
    assert_eq!(storage.count().await.unwrap(), 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrency_is_used_and_limited() {
    let server = Server::start().await;
    let entries = one_entry_a_day(28);
    server.inject("put", 28, Fault::Delay(Duration::from_millis(50)));
    let storage = server.builder().concurrency(5).connect().await.unwrap();
    storage.append(&entries).await.unwrap();
    server.inject("get", 28, Fault::Delay(Duration::from_millis(20)));
    assert_eq!(ids(&list_all(&storage).await.unwrap()), ids(&entries));
    assert_eq!(server.max_concurrent_requests(), 5);
}

/// A scan that is not polled holds no request permit, even with a concurrency of 1.
#[tokio::test(flavor = "multi_thread")]
async fn idle_scan_holds_no_permit() {
    let server = Server::start().await;
    let storage = server.builder().concurrency(1).memory_limit(1).connect().await.unwrap();
    let entries: Vec<_> = (0..600)
        .map(|n| entry(&format!("e{n:03}"), &format!("2026-01-28T09:00:00.{n:06}")))
        .collect();
    entries.iter().for_each(|entry| server.put_entry(entry));
    let mut open = storage.scan(Query::new());
    let mut found = vec![open.next().await.unwrap().unwrap()];
    storage.append(&[entry("other", "2026-01-29")]).await.unwrap();
    found.extend(open.try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(ids(&found[..600]), ids(&entries));
}

#[tokio::test]
async fn day_beyond_the_memory_limit_is_read_twice() {
    let server = Server::start().await;
    let mut entries: Vec<_> = (0..50)
        .map(|n| entry(&format!("e{n:02}"), &format!("2026-01-28T09:00:00.{n:06}")))
        .collect();
    for entry in &mut entries {
        entry.input_content = Some("x".repeat(2_000));
        server.put_entry(entry);
    }
    let storage = server.builder().memory_limit(8 * 20_000).connect().await.unwrap();
    server.take_requests();
    assert_eq!(list_all(&storage).await.unwrap(), entries);
    let gets = server.take_requests().iter().filter(|name| *name == "get").count();
    assert_eq!(gets, 100);
}

/// Among 500 entries of a day, on a connection that knows nothing of them.
#[tokio::test]
async fn stored_line_of_an_entry_takes_one_get() {
    let server = Server::start().await;
    let entries: Vec<_> =
        (0..500).map(|n| entry(&format!("e{n:03}"), "2026-01-28T12:00:00")).collect();
    entries.iter().for_each(|entry| server.put_entry(entry));
    // As another program may write it: pretty-printed.
    let body = serde_json::to_vec_pretty(&entries[250]).unwrap();
    server.put("audit/2026-01-28/e250.json", body.clone());
    let storage = server.connect().await;
    server.take_requests();
    let line = storage.read_line(&entries[250].id).await.unwrap().unwrap();
    assert_eq!(line, body.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect::<Vec<_>>());
    // The days are listed to find the one of the entry.
    assert_eq!(server.take_requests(), ["list", "get"]);
    storage.read_line(&entries[250].id).await.unwrap().unwrap();
    assert_eq!(server.take_requests(), ["get"]);
}
