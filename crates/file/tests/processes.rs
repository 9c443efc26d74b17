//! Several owners and readers of one folder. Each owner here has its own lock file handle, thread
//! and indexes, as another process would.
#![allow(clippy::unwrap_used)] // helpers of a test

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use attestry_core::{StorageBackend, StorageError, Timestamp};
use attestry_file::{Durability, FileStorage};
use common::{all, entries, entry, folder, open, open_read_only};

#[tokio::test]
async fn a_reader_sees_what_a_writer_writes_rotates_and_erases() {
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
async fn two_owners_take_turns_and_see_each_other() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).rotation_size_bytes(2_000);
    let owners = [builder.clone().open().await.unwrap(), builder.open().await.unwrap()];
    let mut expected = Vec::new();
    for n in 0..60usize {
        let entry = entry(&format!("e{n:03}"), n as i64);
        owners[n % 2].write(&entry).await.unwrap();
        // Stored already, whoever is asked.
        owners[(n + 1) % 2].write(&entry).await.unwrap();
        expected.push(entry);
        if n % 7 == 6 {
            let gone = expected.remove(n / 14);
            assert!(owners[n / 7 % 2].delete(&gone.id).await.unwrap());
        }
        for owner in &owners {
            assert!(all(owner).await.unwrap() == expected, "after {n}");
            assert_eq!(owner.count().await.unwrap(), expected.len() as u64);
        }
    }
    let cutoff = expected[10].timestamp;
    assert_eq!(owners[0].delete_at_or_before(cutoff).await.unwrap(), 11);
    for owner in &owners {
        assert!(all(owner).await.unwrap() == expected[11..]);
        assert_eq!(owner.read(&expected[3].id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_that_write_at_once_lose_nothing() {
    let (_guard, path) = folder();
    let mut tasks = Vec::new();
    for owner in 0..4 {
        let path = path.clone();
        tasks.push(tokio::spawn(async move {
            let builder = FileStorage::builder(&path).rotation_size_bytes(3_000);
            let storage = builder.open().await.unwrap();
            let mut outcomes = Vec::new();
            for n in 0..50i64 {
                // Half of the ids are every owner's, with contents that differ.
                let id =
                    if n % 2 == 0 { format!("own-{owner}-{n}") } else { format!("shared-{n}") };
                let mut entry = entry(&id, n);
                entry.provider = Some(owner.to_string());
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
    assert_eq!(stored.len(), 4 * 25 + 25, "each shared id was won by one");
    let storage = open(&path).await;
    assert!(storage.recovery().is_clean());
    assert_eq!(storage.count().await.unwrap(), 125);
    for entry in stored {
        assert_eq!(storage.read(&entry.id).await.unwrap(), Some(entry));
    }
}

/// Many buffered appends share a turn of the lock, but not with another owner that waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_gets_its_turn_while_another_appends_without_a_pause() {
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
    // Each call here waits for a turn; were none given, the first would fail after two minutes.
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
    for owner in [&*busy, &other] {
        assert_eq!(owner.count().await.unwrap() as i64, expected);
        assert_eq!(all(owner).await.unwrap().len() as i64, expected);
    }
}

#[tokio::test]
async fn an_owner_that_stops_appending_gives_the_lock_back() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).durability(Durability::Buffered);
    let busy = builder.clone().open().await.unwrap();
    for entry in entries(0..200) {
        busy.append(&[entry]).await.unwrap();
    }
    // It stays open. Had it kept the lock, this would fail after two minutes.
    let other = builder.open().await.unwrap();
    assert!(other.delete(&entry("e00007", 7).id).await.unwrap());
    assert_eq!(busy.count().await.unwrap(), 199);
    busy.append(&[entry("again", 1)]).await.unwrap();
    assert_eq!(other.count().await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_miss_what_was_acknowledged() {
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
