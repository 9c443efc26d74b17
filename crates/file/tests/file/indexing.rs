//! A process that writes leaves every segment indexed: no reader has to read one as a whole.

use crate::common::indexes::{assert_holds, assert_indexed, indexes, shuffled, store};
use crate::common::{folder, open, open_read_only, segments};
use attestry_core::{StorageBackend, Timestamp};
use attestry_file::FileStorage;

#[tokio::test]
async fn writer_leaves_every_segment_indexed() {
    for rotation in [20_000, 200_000, 4_000_000, 100_000_000] {
        let (_temporary, path) = folder();
        let entries = shuffled(14_000);
        let storage = FileStorage::builder(&path).rotation_size_bytes(rotation);
        let storage = storage.open().await.unwrap();
        for batch in entries.chunks(500) {
            storage.append(batch).await.unwrap();
        }
        storage.close().await.unwrap();
        assert_indexed(&path, entries.len() as u64).await;
        assert_holds(&open_read_only(&path).await, &entries).await;
        let next = open(&path).await;
        assert_eq!(next.recovery().indexes_made, 0);
        next.close().await.unwrap();
    }
}

#[tokio::test]
async fn sealed_segment_is_indexed_while_the_store_is_open() {
    let (_temporary, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(4_000_000).open().await.unwrap();
    for batch in shuffled(10_000).chunks(500) {
        storage.append(batch).await.unwrap();
    }
    assert_eq!(segments(&path).len(), 2);
    // No call wakes the writer thread.
    while !indexes(&path).iter().any(|path| path.extension().is_some_and(|idx| idx == "idx")) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    storage.close().await.unwrap();
    assert_indexed(&path, 10_000).await;
}

#[tokio::test]
async fn interleaved_writers_leave_every_segment_indexed() {
    let (_temporary, path) = folder();
    let open = || FileStorage::builder(&path).rotation_size_bytes(300_000).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let entries = shuffled(3_000);
    for (number, batch) in entries.chunks(100).enumerate() {
        let storage = if number % 3 == 0 { &one } else { &other };
        storage.append(batch).await.unwrap();
    }
    one.close().await.unwrap();
    other.close().await.unwrap();
    assert_indexed(&path, 3_000).await;
    assert_holds(&open_read_only(&path).await, &entries).await;
}

#[tokio::test]
async fn entries_erased_before_the_seal_are_not_indexed() {
    let (_temporary, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(4_000_000).open().await.unwrap();
    let mut entries = shuffled(14_000);
    let erased = entries[100].id.clone();
    for (number, batch) in entries.chunks(500).enumerate() {
        storage.append(batch).await.unwrap();
        if number == 1 {
            assert!(storage.delete(&erased).await.unwrap());
        }
    }
    storage.close().await.unwrap();
    entries.remove(100);
    assert_indexed(&path, entries.len() as u64).await;
    let reader = open_read_only(&path).await;
    assert_eq!(reader.read(&erased).await.unwrap(), None);
    assert_holds(&reader, &entries).await;
}

/// Each process appends a few entries, as the command does.
#[tokio::test]
async fn many_short_processes_leave_sealed_segments_indexed() {
    let (_temporary, path) = folder();
    let entries = shuffled(600);
    for batch in entries.chunks(20) {
        let storage =
            FileStorage::builder(&path).rotation_size_bytes(100_000).open().await.unwrap();
        storage.append(batch).await.unwrap();
        storage.close().await.unwrap();
    }
    assert!(segments(&path).len() > 2);
    assert_indexed(&path, 600).await;
}

#[tokio::test]
async fn estimate_of_expired_entries_is_exact_if_none_is_erased() {
    let (_temporary, path) = folder();
    let entries = shuffled(3_000);
    store(&path, &entries).await;
    let storage = open_read_only(&path).await;
    for cutoff in [-1, 0, 300, 1_008, 9_999] {
        let cutoff = Timestamp::from_unix_micros(cutoff).unwrap();
        let expected = entries.iter().filter(|entry| entry.timestamp <= cutoff).count() as u64;
        assert_eq!(storage.estimate_at_or_before(cutoff).await.unwrap(), expected);
    }
    assert_eq!(storage.estimate_at_or_before(Timestamp::MAX).await.unwrap(), 3_000);
}
