//! Several writers and readers of one folder. Each open store has its own lock file handle, writer
//! thread and indexes, as in another process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{all, entries, entry, folder, open, open_read_only};
use attestry_core::{StorageBackend, StorageError, Timestamp};
use attestry_file::{Durability, FileStorage};

#[tokio::test]
async fn reader_sees_writes_rotations_and_erasures() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(600).open().await.unwrap();
    storage.write(&entry("a", 1)).await.unwrap();
    let reader = open_read_only(&path).await;
    assert_eq!(reader.count().await.unwrap(), 1);
    for n in 2..9 {
        storage.write(&entry(&format!("e{n}"), n)).await.unwrap();
        assert_eq!(all(&reader).await.unwrap().len() as i64, n);
    }
    assert!(storage.delete(&entry("a", 1).id).await.unwrap());
    assert!(storage.delete(&entry("e8", 8).id).await.unwrap());
    assert_eq!(reader.read(&entry("a", 1).id).await.unwrap(), None);
    assert_eq!(reader.read(&entry("e8", 8).id).await.unwrap(), None);
    assert_eq!(reader.count().await.unwrap(), 6);
    assert_eq!(all(&reader).await.unwrap().len(), 6);
    storage.delete_at_or_before(Timestamp::MAX).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), 0);
}

#[tokio::test]
async fn two_writers_alternate_and_see_each_other() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).rotation_size_bytes(2_000);
    let stores = [builder.clone().open().await.unwrap(), builder.open().await.unwrap()];
    let mut expected = Vec::new();
    for n in 0..60usize {
        let entry = entry(&format!("e{n:03}"), n as i64);
        stores[n % 2].write(&entry).await.unwrap();
        // A write of the same entry through the other store is idempotent.
        stores[(n + 1) % 2].write(&entry).await.unwrap();
        expected.push(entry);
        if n % 7 == 6 {
            let gone = expected.remove(n / 14);
            assert!(stores[n / 7 % 2].delete(&gone.id).await.unwrap());
        }
        for store in &stores {
            assert!(all(store).await.unwrap() == expected, "after {n}");
            assert_eq!(store.count().await.unwrap(), expected.len() as u64);
        }
    }
    let cutoff = expected[10].timestamp;
    assert_eq!(stores[0].delete_at_or_before(cutoff).await.unwrap(), 11);
    for store in &stores {
        assert!(all(store).await.unwrap() == expected[11..]);
        assert_eq!(store.read(&expected[3].id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_nothing() {
    let (_guard, path) = folder();
    let mut tasks = Vec::new();
    for store in 0..4 {
        let path = path.clone();
        tasks.push(tokio::spawn(async move {
            let builder = FileStorage::builder(&path).rotation_size_bytes(3_000);
            let storage = builder.open().await.unwrap();
            let mut outcomes = Vec::new();
            for n in 0..50i64 {
                // Half of the ids are shared by all stores, with differing contents.
                let id =
                    if n % 2 == 0 { format!("own-{store}-{n}") } else { format!("shared-{n}") };
                let mut entry = entry(&id, n);
                entry.provider = Some(store.to_string());
                outcomes.push((entry.clone(), storage.write(&entry).await));
            }
            storage.close().await.unwrap();
            outcomes
        }));
    }
    let mut stored = Vec::new();
    for task in tasks {
        for (entry, outcome) in task.await.unwrap() {
            match outcome {
                Ok(_) => stored.push(entry),
                Err(StorageError::AlreadyExists { .. }) => {
                    assert!(entry.id.as_str().starts_with("shared"));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(stored.len(), 4 * 25 + 25, "each shared id was stored by one");
    let storage = open(&path).await;
    assert!(storage.recovery().is_clean());
    assert_eq!(storage.count().await.unwrap(), 125);
    for entry in stored {
        assert_eq!(storage.read(&entry.id).await.unwrap(), Some(entry));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_is_not_starved_by_continuous_appends() {
    let (_guard, path) = folder();
    let builder =
        FileStorage::builder(&path).rotation_size_bytes(60_000).durability(Durability::Buffered);
    let busy = Arc::new(builder.clone().open().await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let appending = {
        let (busy, stop) = (Arc::clone(&busy), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut appended = 0;
            while !stop.load(Ordering::SeqCst) {
                let entry = entry(&format!("busy-{appended}"), appended);
                busy.append(&[entry]).await.unwrap();
                appended += 1;
            }
            appended
        })
    };
    // Each call waits for the store lock; starved, the first would time out after two minutes.
    let other = builder.open().await.unwrap();
    for n in 0..40 {
        let entry = entry(&format!("other-{n}"), n);
        other.write(&entry).await.unwrap();
        assert!(busy.read(&entry.id).await.unwrap().is_some(), "{n}");
        if n % 4 == 0 {
            assert!(other.delete(&entry.id).await.unwrap());
            assert!(busy.read(&entry.id).await.unwrap().is_none(), "{n}");
        }
    }
    stop.store(true, Ordering::SeqCst);
    let expected = appending.await.unwrap() + 30;
    for store in [&*busy, &other] {
        assert_eq!(store.count().await.unwrap() as i64, expected);
        assert_eq!(all(store).await.unwrap().len() as i64, expected);
    }
}

#[tokio::test]
async fn idle_writer_does_not_hold_the_lock() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).durability(Durability::Buffered);
    let busy = builder.clone().open().await.unwrap();
    for entry in entries(0..200) {
        busy.append(&[entry]).await.unwrap();
    }
    // `busy` stays open. If it kept the lock, this call would time out after two minutes.
    let other = builder.open().await.unwrap();
    assert!(other.delete(&entry("e00007", 7).id).await.unwrap());
    assert_eq!(busy.count().await.unwrap(), 199);
    busy.append(&[entry("again", 1)]).await.unwrap();
    assert_eq!(other.count().await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_every_acknowledged_entry() {
    let (_guard, path) = folder();
    let storage =
        Arc::new(FileStorage::builder(&path).rotation_size_bytes(40_000).open().await.unwrap());
    let written = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (storage, written) = (storage.clone(), written.clone());
            tokio::spawn(async move {
                loop {
                    let acknowledged = written.load(Ordering::SeqCst);
                    let counted = storage.count().await.unwrap();
                    assert!(
                        counted >= acknowledged,
                        "{counted} counted, {acknowledged} acknowledged"
                    );
                    if acknowledged == 600 {
                        break;
                    }
                    if let Some(last) = acknowledged.checked_sub(1) {
                        let id = format!("e{last:05}").parse().unwrap();
                        assert!(storage.read(&id).await.unwrap().is_some(), "{id}");
                    }
                }
            })
        })
        .collect();
    for entry in entries(0..600) {
        storage.append(&[entry]).await.unwrap();
        written.fetch_add(1, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}
