//! Eviction by a limit, and promises of this backend beyond the trait's.
#![allow(clippy::unwrap_used)] // test helpers

use attestry_core::{
    AuditEntry, Cursor, EntryId, Order, Query, StorageBackend, StorageError, Timestamp,
};
use attestry_memory::MemoryStorage;
use futures_util::{StreamExt, TryStreamExt};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros).unwrap()
}

fn entry(n: i64) -> AuditEntry {
    AuditEntry::new(id(n), at(n), "i".into(), "o".into())
}

fn id(n: i64) -> EntryId {
    format!("e{n}").parse().unwrap()
}

async fn stored(storage: &MemoryStorage) -> Vec<String> {
    let entries = storage.list_entries(Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), entries.len() as u64);
    entries.iter().map(|entry| entry.id.to_string()).collect()
}

#[tokio::test]
async fn first_written_is_evicted_first() {
    let storage = MemoryStorage::with_max_entries(3);
    assert_eq!(storage.max_entries(), Some(3));
    for n in [9, 1, 5] {
        storage.write(&entry(n)).await.unwrap();
    }
    assert_eq!(stored(&storage).await, ["e1", "e5", "e9"]);
    storage.write(&entry(3)).await.unwrap();
    assert_eq!(stored(&storage).await, ["e1", "e3", "e5"]);
    storage.write(&entry(4)).await.unwrap();
    assert_eq!(stored(&storage).await, ["e3", "e4", "e5"]);
    assert_eq!(storage.read(&id(9)).await.unwrap(), None);
}

#[tokio::test]
async fn equal_rewrite_evicts_nothing_and_does_not_renew() {
    let storage = MemoryStorage::with_max_entries(2);
    storage.write_batch(&[entry(1), entry(2)]).await.unwrap();
    storage.write(&entry(1)).await.unwrap();
    storage.write_batch(&[entry(2), entry(1)]).await.unwrap();
    assert_eq!(stored(&storage).await, ["e1", "e2"]);
    storage.write(&entry(3)).await.unwrap();
    assert_eq!(stored(&storage).await, ["e2", "e3"], "e1 was written first, twice or not");
}

#[tokio::test]
async fn rejected_write_evicts_nothing() {
    let storage = MemoryStorage::with_max_entries(2);
    storage.write_batch(&[entry(1), entry(2)]).await.unwrap();
    let different = AuditEntry { latency_ms: 1.0, ..entry(1) };
    let refused = storage.write(&different).await;
    assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })));
    let invalid = AuditEntry { latency_ms: f64::NAN, ..entry(3) };
    storage.write_batch(&[entry(4), invalid]).await.unwrap_err();
    assert_eq!(stored(&storage).await, ["e1", "e2"]);
}

#[tokio::test]
async fn deleted_entry_frees_its_slot() {
    let storage = MemoryStorage::with_max_entries(2);
    storage.write_batch(&[entry(1), entry(2)]).await.unwrap();
    assert!(storage.delete(&id(1)).await.unwrap());
    storage.write(&entry(3)).await.unwrap();
    assert_eq!(stored(&storage).await, ["e2", "e3"]);
    storage.write(&entry(1)).await.unwrap();
    assert_eq!(stored(&storage).await, ["e1", "e3"]);
}

#[tokio::test]
async fn batch_beyond_the_limit_keeps_its_last_entries() {
    let batch: Vec<_> = (0..100).map(entry).collect();
    for append in [false, true] {
        let storage = MemoryStorage::with_max_entries(3);
        if append {
            storage.append(&batch).await.unwrap();
        } else {
            storage.write_batch(&batch).await.unwrap();
        }
        assert_eq!(stored(&storage).await, ["e97", "e98", "e99"]);
    }
}

#[tokio::test]
async fn zero_means_no_limit() {
    for storage in
        [MemoryStorage::with_max_entries(0), MemoryStorage::new(), MemoryStorage::default()]
    {
        assert_eq!(storage.max_entries(), None);
        storage.append(&(0..1_000).map(entry).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(storage.count().await.unwrap(), 1_000);
    }
}

#[tokio::test]
async fn batch_with_an_invalid_entry_writes_none() {
    let storage = MemoryStorage::new();
    let invalid = AuditEntry { latency_ms: f64::INFINITY, ..entry(2) };
    storage.write_batch(&[entry(1), invalid]).await.unwrap_err();
    assert_eq!(storage.count().await.unwrap(), 0);
}

#[tokio::test]
async fn scan_ends_while_its_reader_writes() {
    let storage = MemoryStorage::new();
    storage.append(&(0..600).map(entry).collect::<Vec<_>>()).await.unwrap();
    let mut scan = storage.scan(Query::new());
    let mut next = 1_000;
    while let Some(found) = scan.next().await {
        found.unwrap();
        storage.write(&entry(next)).await.unwrap();
        next += 1;
    }
    assert_eq!(next, 1_600);
}

#[tokio::test]
async fn scan_skips_entries_evicted_meanwhile() {
    let storage = MemoryStorage::with_max_entries(600);
    storage.append(&(0..600).map(entry).collect::<Vec<_>>()).await.unwrap();
    let mut scan = storage.scan(Query::new());
    assert_eq!(scan.next().await.unwrap().unwrap().id, id(0));
    storage.append(&(600..900).map(entry).collect::<Vec<_>>()).await.unwrap();
    let rest: Vec<_> = scan.map_ok(|entry| entry.id).try_collect().await.unwrap();
    // The first page, then the entries of the start that are still stored.
    let expected: Vec<_> = (1..256).chain(300..600).map(id).collect();
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn evicted_cursor_resumes_at_its_timestamp() {
    let storage = MemoryStorage::with_max_entries(3);
    let tie = |name: &str| AuditEntry { id: name.parse().unwrap(), ..entry(5) };
    storage.write_batch(&[tie("a"), tie("b"), tie("c"), tie("d")]).await.unwrap();
    for (order, expected) in
        [(Order::Ascending, ["b", "c", "d"]), (Order::Descending, ["d", "c", "b"])]
    {
        let query = Query::new().order(order).after(Cursor::from(&tie("a")));
        let found: Vec<_> = storage.scan(query).try_collect().await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn debug_shows_the_count_and_no_content() {
    let storage = MemoryStorage::with_max_entries(7);
    let secret = AuditEntry { input_content: Some("my PIN is 1234".into()), ..entry(1) };
    storage.write(&secret).await.unwrap();
    assert_eq!(format!("{storage:?}"), "MemoryStorage { entries: 1, max_entries: Some(7) }");
}
