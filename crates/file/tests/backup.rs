//! A copy of a store that programs write to, made as `docs/operations.md` says.
#![allow(clippy::unwrap_used)] // test helpers

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use attestry_core::StorageBackend;
use attestry_file::FileStorage;
use common::evidence::{verify, with_evidence};
use common::{all, entry, folder, skip};

/// Copies under the store lock.
fn copy(store: &Path, to: &Path) {
    let mut command = Command::new("flock");
    command.arg(store.join(".attestry/lock")).args(["cp", "-a"]).arg(store).arg(to);
    assert!(command.status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_under_the_lock_is_a_whole_store() {
    if Command::new("flock").arg("--version").output().is_err() {
        return skip("flock is not installed");
    }
    let (_temporary, path) = folder();
    let builder = || with_evidence(FileStorage::builder(&path).rotation_size_bytes(20_000));
    let storage = Arc::new(builder().open().await.unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (storage, done) = (Arc::clone(&storage), Arc::clone(&done));
        async move {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                let next = entry(&format!("e{number}"), number);
                storage.append(std::slice::from_ref(&next)).await.unwrap();
                match number % 50 {
                    7 => drop(storage.delete(&next.id).await.unwrap()),
                    20 => drop(storage.compact().await.unwrap()),
                    30 => drop(storage.checkpoint().await.unwrap()),
                    _ => {}
                }
                number += 1;
            }
        }
    });
    for number in 0..10 {
        let backup = tempfile::tempdir().unwrap();
        let acknowledged = storage.count().await.unwrap();
        let to = backup.path().join(number.to_string());
        let from = path.clone();
        let copied = to.clone();
        tokio::task::spawn_blocking(move || copy(&from, &copied)).await.unwrap();
        let restored = with_evidence(FileStorage::builder(&to)).open().await.unwrap();
        assert!(restored.recovery().is_clean(), "{}", restored.recovery());
        let entries = all(&restored).await.unwrap();
        assert!(entries.len() as u64 + 1 >= acknowledged, "nothing acknowledged before is lost");
        let mut ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), entries.len(), "no entry is there twice");
        let found = verify(&restored, &[]).await;
        assert!(found.is_clean(), "{:?}", found.problems);
        restored.close().await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    storage.close().await.unwrap();
}
