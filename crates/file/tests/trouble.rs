//! What each operation does where the folder is gone, the disk is full, the file system becomes read-only,
//! or the store is opened only to be read: it fails with an error that says so, changes nothing, and succeeds once the trouble is over.
#![allow(clippy::unwrap_used)] // helpers of a test

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, Query, StorageBackend, StorageError};
use attestry_file::{FileStorage, FileStorageBuilder};
use common::mount::{Disk, Mount};
use common::{all, entries, entry, folder, open_read_only};
use futures_util::TryStreamExt;

/// Every operation that changes a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Write,
    WriteBatch,
    Append,
    Delete,
    /// Of lines in a segment that has others, too.
    DeleteUntil,
    Compact,
}

const CHANGES: [Change; 6] = [
    Change::Write,
    Change::WriteBatch,
    Change::Append,
    Change::Delete,
    Change::DeleteUntil,
    Change::Compact,
];

impl Change {
    async fn of(self, storage: &FileStorage, stored: &[AuditEntry]) -> Result<(), StorageError> {
        // More than fits in what is left of a page.
        let new = [("new", 1_000), ("newer", 1_001)].map(|(id, moment)| AuditEntry {
            input_content: Some("text ".repeat(2_000)),
            ..entry(id, moment)
        });
        match self {
            Self::Write => storage.write(&new[0]).await.map(drop),
            Self::WriteBatch => storage.write_batch(&new).await,
            Self::Append => storage.append(&new).await,
            Self::Delete => storage.delete(&stored[9].id).await.map(drop),
            Self::DeleteUntil => storage.delete_at_or_before(stored[0].timestamp).await.map(drop),
            Self::Compact => storage.compact().await.map(drop),
        }
    }
}

/// A store of several segments, the first with a line that was erased; and what is in it.
async fn filled(path: &Path) -> (FileStorage, Vec<AuditEntry>) {
    filled_by(builder(path)).await
}

fn builder(path: &Path) -> FileStorageBuilder {
    FileStorage::builder(path).rotation_size_bytes(20_000)
}

#[cfg(feature = "evidence")]
fn keeping_evidence(path: &Path) -> FileStorageBuilder {
    common::evidence::kept(builder(path))
}

async fn filled_by(builder: FileStorageBuilder) -> (FileStorage, Vec<AuditEntry>) {
    let storage = builder.open().await.unwrap();
    let mut stored = entries(0..200);
    for part in stored.chunks(50) {
        storage.write_batch(part).await.unwrap();
    }
    assert!(storage.delete(&stored.remove(1).id).await.unwrap());
    (storage, stored)
}

/// Every way to read tells the same.
async fn assert_holds(storage: &FileStorage, expected: &[AuditEntry], what: Change) {
    assert!(all(storage).await.unwrap() == expected, "{what:?}");
    let scanned: Vec<_> = storage.scan(Query::new()).try_collect().await.unwrap();
    assert!(scanned == expected, "{what:?}");
    assert_eq!(storage.count().await.unwrap(), expected.len() as u64, "{what:?}");
    for entry in expected.iter().step_by(40) {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry), "{what:?}");
    }
    assert_eq!(storage.read(&"absent".parse().unwrap()).await.unwrap(), None, "{what:?}");
}

fn kind(error: &StorageError) -> ErrorKind {
    match error {
        StorageError::Io { source, .. } => source.kind(),
        other => panic!("{other:?}"),
    }
}

/// Every file below a folder with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[tokio::test]
async fn where_the_folder_is_gone() {
    for change in CHANGES {
        let (_guard, path) = folder();
        let (storage, stored) = filled(&path).await;
        let moved = path.with_file_name("moved");
        fs::rename(&path, &moved).unwrap();
        let before = content(&moved);
        let error = change.of(&storage, &stored).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::NotFound, "{change:?}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{change:?}: {error}");
        assert!(!path.exists(), "{change:?} made it anew");
        assert!(content(&moved) == before, "{change:?}");
        // It is not said to be empty.
        assert!(all(&storage).await.is_err());
        assert!(storage.count().await.is_err());
        assert!(storage.read(&"absent".parse().unwrap()).await.is_err());
        assert!(storage.scan(Query::new()).try_collect::<Vec<_>>().await.is_err());

        fs::rename(&moved, &path).unwrap();
        assert_holds(&storage, &stored, change).await;
        change.of(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_disk_is_full() {
    for change in CHANGES {
        let Some(mount) = Mount::new("size=512k") else { return };
        let (storage, stored) = filled(&mount.path()).await;
        mount.fill();
        let error = change.of(&storage, &stored).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::StorageFull, "{change:?}: {error}");
        assert_holds(&storage, &stored, change).await;
        // So does one who opens it now.
        storage.close().await.unwrap();
        let storage = FileStorage::builder(mount.path()).open().await.unwrap();
        assert_holds(&storage, &stored, change).await;
        assert!(change.of(&storage, &stored).await.is_err(), "{change:?}");
        mount.free();
        change.of(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

/// The change fails, by files that are open and by those that are not, and nothing but that.
async fn assert_refused(
    change: Change,
    storage: &FileStorage,
    stored: &[AuditEntry],
    builder: FileStorageBuilder,
) {
    let path = storage.path();
    let before = content(path);
    let error = change.of(storage, stored).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{change:?}: {error}");
    assert!(!error.is_retryable(), "{change:?}");
    assert_holds(storage, stored, change).await;
    assert!(change.of(storage, stored).await.is_err(), "{change:?}");
    assert_holds(storage, stored, change).await;
    assert_holds(&open_read_only(path).await, stored, change).await;
    let error = builder.open().await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
    assert!(content(path) == before, "{change:?}");
}

/// By somebody, which the system allows while no file is open to be written. The store goes on once it
/// can be written again.
#[tokio::test]
async fn where_the_file_system_becomes_read_only() {
    for change in CHANGES {
        let Some(mount) = Mount::new("size=2m") else { return };
        let (storage, stored) = filled(&mount.path()).await;
        assert!(!mount.remount("ro"), "the segment that grows is open");
        storage.close().await.unwrap();
        let storage = builder(&mount.path()).open().await.unwrap();
        assert_holds(&storage, &stored, change).await;
        assert!(mount.remount("ro"));
        assert_refused(change, &storage, &stored, builder(&mount.path())).await;
        storage.flush().await.unwrap();

        assert!(mount.remount("rw"));
        assert_holds(&storage, &stored, change).await;
        change.of(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

/// By an error of its own, whatever is open. It has to be unmounted and mended, for which the store has
/// to be closed.
#[tokio::test]
async fn where_an_error_makes_the_file_system_read_only() {
    let builders = [
        builder,
        #[cfg(feature = "evidence")]
        keeping_evidence,
    ];
    for (change, builder) in
        CHANGES.iter().flat_map(|&change| builders.map(|builder| (change, builder)))
    {
        let Some(mut disk) = Disk::new() else { return };
        let (storage, stored) = filled_by(builder(&disk.path())).await;
        disk.fail();
        assert_refused(change, &storage, &stored, builder(&disk.path())).await;
        let error = storage.close().await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
        drop(storage);

        disk.mend();
        let storage = builder(&disk.path()).open().await.unwrap();
        assert!(storage.recovery().is_clean(), "{change:?}");
        assert_holds(&storage, &stored, change).await;
        change.of(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_store_is_opened_to_be_read_only() {
    for change in CHANGES {
        let (_guard, path) = folder();
        let (storage, stored) = filled(&path).await;
        storage.close().await.unwrap();
        let before = content(&path);
        let storage = open_read_only(&path).await;
        let error = change.of(&storage, &stored).await.unwrap_err();
        assert!(error.to_string().contains("read"), "{change:?}: {error}");
        assert_holds(&storage, &stored, change).await;
        storage.close().await.unwrap();
        assert!(content(&path) == before, "{change:?}");
    }
}
