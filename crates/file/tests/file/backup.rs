//! A copy of a store that programs write to, made as `docs/operations.md` says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::evidence::{verify, with_evidence};
use crate::common::{self, all, entry, folder, open_read_only, skip};
use attestry_core::StorageBackend;
use attestry_file::{BackupError, BackupOptions, FileStorage};

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

/// Entries are written, erased, rotated, expired, compacted and signed while the copies are made.
#[tokio::test(flavor = "multi_thread")]
async fn backup_beside_writers_is_the_store_at_one_moment() {
    let (_temporary, path) = folder();
    let builder = || with_evidence(FileStorage::builder(&path).rotation_size_bytes(4_000));
    let storage = Arc::new(builder().open().await.unwrap());
    let other = Arc::new(builder().open().await.unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = [Arc::clone(&storage), other]
        .into_iter()
        .enumerate()
        .map(|(writer, storage)| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    let next = entry(&format!("w{writer}-{number}"), number);
                    storage.append(std::slice::from_ref(&next)).await.unwrap();
                    match number % 40 {
                        7 | 9 => drop(storage.delete(&next.id).await.unwrap()),
                        20 => drop(storage.compact().await.unwrap()),
                        25 => {
                            let cutoff = entry("any", number - 100).timestamp;
                            storage.delete_at_or_before(cutoff).await.unwrap();
                        }
                        30 => drop(storage.checkpoint().await.unwrap()),
                        _ => {}
                    }
                    number += 1;
                }
            })
        })
        .collect();
    let reader = open_read_only(&path).await;
    for number in 0..40 {
        let backup = tempfile::tempdir().unwrap();
        let to = backup.path().join("copy");
        let last = entry(&format!("last-{number}"), i64::MAX / 1_000_000);
        storage.append(std::slice::from_ref(&last)).await.unwrap();
        let from = if number % 2 == 0 { &reader } else { &*storage };
        let made = from.backup(&to, BackupOptions::new()).await.unwrap();
        assert_eq!((made.linked, &made.path), (0, &to));
        let names: Vec<_> =
            fs::read_dir(backup.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
        assert_eq!(names, ["copy"]);
        // As it is, and after it was opened for writing.
        let copy = open_read_only(&to).await;
        let found = verify(&copy, &[]).await;
        assert!(found.is_clean() && found.not_covered == 0, "{found:?}");
        assert_eq!(copy.read(&last.id).await.unwrap(), Some(last.clone()));
        let restored = with_evidence(FileStorage::builder(&to)).open().await.unwrap();
        assert!(restored.recovery().is_clean(), "{}", restored.recovery());
        restored.append(&[entry("later", 1)]).await.unwrap();
        restored.checkpoint().await.unwrap();
        let found = verify(&restored, &[]).await;
        assert!(found.is_clean(), "{:?}", found.problems);
        restored.close().await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(verify(&storage, &[]).await.is_clean());
}

#[tokio::test]
async fn backup_replaces_nothing() {
    let (temporary, path) = folder();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    storage.append(&[entry("a", 1)]).await.unwrap();
    let backup = |to: std::path::PathBuf| storage.backup(to, BackupOptions::new());
    let existing = temporary.path().join("existing");
    fs::create_dir(&existing).unwrap();
    assert!(
        matches!(backup(existing.clone()).await, Err(BackupError::Exists { path }) if path == existing)
    );
    let dangling = temporary.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    assert!(matches!(backup(dangling).await, Err(BackupError::Exists { .. })));
    for inside in [path.join("copy"), path.join("new/folder/copy"), path.join(".attestry/copy")] {
        let error = backup(inside.clone()).await.unwrap_err();
        assert!(matches!(&error, BackupError::InsideStore { path } if *path == inside), "{error}");
    }
    let interrupted = temporary.path().join("copy.incomplete");
    fs::create_dir(&interrupted).unwrap();
    let copy = temporary.path().join("copy");
    let error = backup(copy.clone()).await.unwrap_err();
    assert!(matches!(&error, BackupError::Incomplete { path } if *path == interrupted), "{error}");
    assert!(!copy.exists());
    fs::remove_dir(&interrupted).unwrap();
    backup(copy.clone()).await.unwrap();
    assert!(verify(&open_read_only(&copy).await, &[]).await.lines == 1);
    // Neither is a disk filled with holes.
    let sparse = path.join(".attestry/checkpoints/20990101");
    fs::File::create(&sparse).unwrap().set_len(1 << 42).unwrap();
    let error = backup(temporary.path().join("full")).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("never written"), "{error:?}");
    fs::remove_file(&sparse).unwrap();
    // Nothing that a link in the store leads to is copied.
    std::os::unix::fs::symlink("/etc/passwd", path.join(".attestry/tree/link")).unwrap();
    let error = backup(temporary.path().join("other")).await.unwrap_err();
    assert!(error.to_string().contains("tree/link"), "{error}");
}

#[tokio::test]
async fn sealed_segments_are_linked_on_request() {
    let (temporary, path) = folder();
    let builder = with_evidence(FileStorage::builder(&path).rotation_size_bytes(4_000));
    let storage = builder.open().await.unwrap();
    storage.append(&common::entries(0..30)).await.unwrap();
    let copy = temporary.path().join("copy");
    let made = storage.backup(&copy, BackupOptions::new().hard_links(true)).await.unwrap();
    assert!(made.segments > 2 && made.linked == made.segments - 1, "{made:?}");
    let found = verify(&open_read_only(&copy).await, &[]).await;
    assert!(found.is_clean() && found.lines == 30, "{found:?}");
    // What is appended to the store is not in the copy.
    storage.append(&[entry("later", 99)]).await.unwrap();
    assert_eq!(open_read_only(&copy).await.count().await.unwrap(), 30);
    assert_eq!(storage.count().await.unwrap(), 31);
}
