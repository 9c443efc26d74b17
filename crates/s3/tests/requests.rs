//! How many requests a call takes, and how many are under way at once.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use std::time::Duration;

use attestry_core::{AuditEntry, IdScheme, Query, StorageBackend, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use support::{Fault, Server, all, at, entry, ids};

fn days(count: u32) -> Vec<AuditEntry> {
    (1..=count).map(|n| entry(&format!("e{n:02}"), &format!("2026-01-{n:02}T12:00:00"))).collect()
}

#[tokio::test]
async fn append_is_one_request_and_reading_it_again_too() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let entries = days(20);
    storage.append(&entries).await.unwrap();
    server.requests();
    let one = entry("one", "2026-01-28");
    storage.append(std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(server.requests(), ["put"]);
    assert_eq!(storage.read(&one.id).await.unwrap(), Some(one));
    assert_eq!(server.requests(), ["get"]);
    storage.read(&entries[3].id).await.unwrap().unwrap();
    assert_eq!(server.requests(), ["get"]);
}

#[tokio::test]
async fn an_id_of_version_7_or_a_hint_leads_to_the_day() {
    let server = Server::start().await;
    days(20).iter().for_each(|entry| server.put_entry(entry));
    let mut new = entry("new", "2026-01-28");
    (new.id, new.timestamp) = (IdScheme::V7.create(), Timestamp::now());
    server.put_entry(&new);
    let storage = server.builder().recent_ids(0).connect().await.unwrap();
    server.requests();
    assert_eq!(storage.read(&new.id).await.unwrap(), Some(new));
    assert_eq!(server.requests(), ["get"]);

    let known = &days(20)[6];
    let found = storage.read_near(&known.id, at("2026-01-07T23:00:00")).await.unwrap();
    assert_eq!(found.as_ref(), Some(known));
    assert_eq!(server.requests(), ["get"]);
    // One day off.
    let found = storage.read_near(&known.id, at("2026-01-08T00:30:00")).await.unwrap();
    assert_eq!(found.as_ref(), Some(known));
    let requests = server.requests();
    assert!(requests.len() <= 3 && requests.iter().all(|name| name == "get"), "{requests:?}");
}

#[tokio::test]
async fn an_unknown_id_is_looked_for_once_in_each_day() {
    let server = Server::start().await;
    days(20).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.requests();
    assert_eq!(storage.read(&"nowhere".parse().unwrap()).await.unwrap(), None);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 20);
    assert_eq!(requests.len(), 21);
}

#[tokio::test]
async fn the_newest_days_are_searched_first() {
    let server = Server::start().await;
    days(20).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.builder().concurrency(1).connect().await.unwrap();
    server.requests();
    assert!(storage.read(&"e18".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(server.requests(), ["list", "get", "get", "get"]);
}

#[tokio::test]
async fn a_range_touches_its_days_only() {
    let server = Server::start().await;
    let entries = days(28);
    entries.iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.requests();
    let found = storage.list_entries(at("2026-01-05"), at("2026-01-07T23:00:00")).await.unwrap();
    assert_eq!(ids(&found), ["e05", "e06", "e07"]);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|name| *name == "list").count(), 4, "{requests:?}");
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 3, "{requests:?}");
}

#[tokio::test]
async fn counting_reads_no_body() {
    let server = Server::start().await;
    days(28).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.requests();
    assert_eq!(storage.count().await.unwrap(), 28);
    assert!(server.requests().iter().all(|name| name == "list"));
}

#[tokio::test]
async fn whole_days_are_deleted_without_reading_them() {
    let server = Server::start().await;
    days(28).iter().for_each(|entry| server.put_entry(entry));
    let storage = server.connect().await;
    server.requests();
    assert_eq!(storage.delete_at_or_before(at("2026-01-20T23:59:59.999999")).await.unwrap(), 20);
    let requests = server.requests();
    assert!(!requests.iter().any(|name| name == "get"), "{requests:?}");
    assert_eq!(requests.iter().filter(|name| *name == "delete many").count(), 1, "{requests:?}");
    // Within a day the times decide, so each entry of that day is read.
    assert_eq!(storage.delete_at_or_before(at("2026-01-21T12:00:00")).await.unwrap(), 1);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|name| *name == "get").count(), 1, "{requests:?}");
    assert_eq!(storage.delete_at_or_before(at("2026-01-22T11:59:59")).await.unwrap(), 0);
    assert_eq!(storage.count().await.unwrap(), 7);
}

/// Other days are searched by asking for each id, or by listing, whichever takes less.
#[tokio::test]
async fn a_batch_finds_its_ids_on_other_days() {
    let server = Server::start().await;
    let stored: Vec<_> =
        (0..40).map(|n| entry(&format!("s{n:03}"), "2026-01-05T10:00:00")).collect();
    stored.iter().for_each(|entry| server.put_entry(entry));
    server.page_size(7);
    let storage = server.connect().await;
    server.requests();
    let new = |count: usize| -> Vec<AuditEntry> {
        (0..count).map(|n| entry(&format!("n{n:03}"), "2026-01-06T10:00:00")).collect()
    };
    storage.write_batch(&new(3)).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|name| *name == "head").count(), 3, "{requests:?}");
    storage.write_batch(&new(200)).await.unwrap();
    let requests = server.requests();
    assert!(!requests.iter().any(|name| name == "head"), "{requests:?}");
    assert!(requests.iter().filter(|name| *name == "list").count() <= 3 + 40 / 7 + 1);

    for taken in [0, 6, 7, 39] {
        let mut batch = new(50);
        batch.push(entry(&format!("s{taken:03}"), "2026-01-06T10:00:00"));
        let error = storage.write_batch(&batch).await.unwrap_err();
        assert!(error.to_string().contains(&format!("s{taken:03}")), "{error}");
    }
    assert_eq!(storage.count().await.unwrap(), 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_run_at_once_up_to_the_limit() {
    let server = Server::start().await;
    let entries = days(28);
    server.fail("put", 28, Fault::Late(Duration::from_millis(50)));
    let storage = server.builder().concurrency(5).connect().await.unwrap();
    storage.append(&entries).await.unwrap();
    server.fail("get", 28, Fault::Late(Duration::from_millis(20)));
    assert_eq!(ids(&all(&storage).await.unwrap()), ids(&entries));
    assert_eq!(server.most_at_once(), 5);
}

/// An open scan that nobody reads keeps no writer waiting, though only one request may be made at
/// a time.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_scan_keeps_nobody_waiting() {
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

/// A day that is larger than the memory is read twice, and comes complete and in order.
#[tokio::test]
async fn a_day_beyond_the_memory_is_read_twice() {
    let server = Server::start().await;
    let mut entries: Vec<_> = (0..50)
        .map(|n| entry(&format!("e{n:02}"), &format!("2026-01-28T09:00:00.{n:06}")))
        .collect();
    for entry in &mut entries {
        entry.input_content = Some("x".repeat(2_000));
        server.put_entry(entry);
    }
    let storage = server.builder().memory_limit(8 * 20_000).connect().await.unwrap();
    server.requests();
    assert_eq!(all(&storage).await.unwrap(), entries);
    let gets = server.requests().iter().filter(|name| *name == "get").count();
    assert_eq!(gets, 100);
}
