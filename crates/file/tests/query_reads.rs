//! A query on an indexed key reads only what it selects. The only test of its program: it counts what the
//! process reads.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // also outside of tests

#[allow(dead_code)] // a part of the helpers of the other program
#[path = "file/common/mod.rs"]
mod common;

use std::fs;

use attestry_core::{AuditEntry, Order, Query, StorageBackend};
use attestry_file::FileStorage;
use common::{entry, folder, segments, skip};
use futures_util::TryStreamExt;

const ENTRIES: i64 = 6_000;

/// Each 1,000th entry has the rare value of both keys.
fn entries() -> Vec<AuditEntry> {
    let made = (0..ENTRIES).map(|number| {
        let mut entry = entry(&format!("e{number:05}"), number);
        entry.conversation_id = Some(format!("conversation-{}", number % 10));
        for key in ["user.id", "ticket"] {
            let rare = if number % 1_000 == 0 { "rare" } else { "other" };
            entry.metadata.insert(key.to_owned(), rare.into());
        }
        entry
    });
    made.collect()
}

/// How many bytes this process has read with system calls; `None` if the system does not tell.
fn bytes_read() -> Option<u64> {
    let counters = fs::read_to_string("/proc/self/io").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

#[tokio::test]
async fn indexed_conditions_read_only_what_they_select() {
    if bytes_read().is_none() {
        return skip("the system does not count what a process reads");
    }
    let (_guard, path) = folder();
    let open = |read_only| {
        FileStorage::builder(&path).rotation_size_bytes(500_000).read_only(read_only).open()
    };
    let writer = open(false).await.unwrap();
    writer.append(&entries()).await.unwrap();
    writer.close().await.unwrap();
    assert!(segments(&path).len() > 5);
    let all: u64 = segments(&path).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let reader = open(true).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), ENTRIES.unsigned_abs());
    for order in [Order::Ascending, Order::Descending] {
        let read_by = async |query: Query| {
            let before = bytes_read().unwrap();
            let found: Vec<_> = reader.scan(query.order(order)).try_collect().await.unwrap();
            (found.len(), bytes_read().unwrap() - before)
        };
        let user = || Query::new().metadata_equals("user.id", "rare");
        let conversation = |id: &str| Query::new().conversation_id(id);
        for (query, count) in [
            (user(), 6),
            (user().conversation_id("conversation-0"), 6),
            (user().limit(2), 2),
            (conversation("none"), 0),
            (conversation("conversation-3").metadata_equals("user.id", "none"), 0),
        ] {
            let (found, read) = read_by(query.clone()).await;
            assert_eq!(found, count, "{query:?}");
            assert!(read < all / 10, "{read} of {all} bytes: {query:?}");
        }
        // It is not indexed.
        let (found, read) = read_by(Query::new().metadata_equals("ticket", "rare")).await;
        assert_eq!(found, 6);
        assert!(read > all / 2, "{read} of {all} bytes");
    }
}
