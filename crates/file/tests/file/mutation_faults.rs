//! Every mutation when the folder is gone, the disk is full, the file system turns read-only, or the
//! store is opened read-only: it fails with the matching error, changes nothing, and succeeds once the
//! cause is removed.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::common::mount::{Disk, Mount};
use crate::common::{all, entries, entry, folder, open_read_only};
use attestry_core::{AuditEntry, Query, StorageBackend, StorageError};
use attestry_file::{FileStorage, FileStorageBuilder};
use futures_util::TryStreamExt;

/// A mutation of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Write,
    WriteBatch,
    Append,
    Delete,
    /// Erases some lines of a segment.
    DeleteAtOrBefore,
    Compact,
}

const ALL_CHANGES: [Change; 6] = [
    Change::Write,
    Change::WriteBatch,
    Change::Append,
    Change::Delete,
    Change::DeleteAtOrBefore,
    Change::Compact,
];

impl Change {
    async fn apply(self, storage: &FileStorage, stored: &[AuditEntry]) -> Result<(), StorageError> {
        // More than the rest of a page has room for.
        let new = [("new", 1_000), ("newer", 1_001)].map(|(id, moment)| AuditEntry {
            input_content: Some("text ".repeat(2_000)),
            ..entry(id, moment)
        });
        match self {
            Self::Write => storage.write(&new[0]).await.map(drop),
            Self::WriteBatch => storage.write_batch(&new).await,
            Self::Append => storage.append(&new).await,
            Self::Delete => storage.delete(&stored[9].id).await.map(drop),
            Self::DeleteAtOrBefore => {
                storage.delete_at_or_before(stored[0].timestamp).await.map(drop)
            }
            Self::Compact => storage.compact().await.map(drop),
        }
    }
}

/// A store of several segments, with an erased line in the first, and its entries.
async fn filled(path: &Path) -> (FileStorage, Vec<AuditEntry>) {
    filled_by(builder(path)).await
}

fn builder(path: &Path) -> FileStorageBuilder {
    FileStorage::builder(path).rotation_size_bytes(20_000)
}

#[cfg(feature = "evidence")]
fn evidence_builder(path: &Path) -> FileStorageBuilder {
    crate::common::evidence::with_evidence(builder(path))
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

/// Every way to read returns `expected`.
async fn assert_holds(storage: &FileStorage, expected: &[AuditEntry], change: Change) {
    assert!(all(storage).await.unwrap() == expected, "{change:?}");
    let scanned: Vec<_> = storage.scan(Query::new()).try_collect().await.unwrap();
    assert!(scanned == expected, "{change:?}");
    assert_eq!(storage.count().await.unwrap(), expected.len() as u64, "{change:?}");
    for entry in expected.iter().step_by(40) {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry), "{change:?}");
    }
    assert_eq!(storage.read(&"absent".parse().unwrap()).await.unwrap(), None, "{change:?}");
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
async fn every_change_fails_without_the_folder() {
    for change in ALL_CHANGES {
        let (_guard, path) = folder();
        let (storage, stored) = filled(&path).await;
        let moved = path.with_file_name("moved");
        fs::rename(&path, &moved).unwrap();
        let before = content(&moved);
        let error = change.apply(&storage, &stored).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::NotFound, "{change:?}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{change:?}: {error}");
        assert!(!path.exists(), "{change:?} created the folder");
        assert!(content(&moved) == before, "{change:?}");
        // Reads fail, too: the store does not look empty.
        assert!(all(&storage).await.is_err());
        assert!(storage.count().await.is_err());
        assert!(storage.read(&"absent".parse().unwrap()).await.is_err());
        assert!(storage.scan(Query::new()).try_collect::<Vec<_>>().await.is_err());

        fs::rename(&moved, &path).unwrap();
        assert_holds(&storage, &stored, change).await;
        change.apply(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn every_change_fails_on_a_full_disk() {
    for change in ALL_CHANGES {
        let Some(mount) = Mount::new("size=512k") else { return };
        let (storage, stored) = filled(&mount.path()).await;
        mount.fill();
        let error = change.apply(&storage, &stored).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::StorageFull, "{change:?}: {error}");
        assert_holds(&storage, &stored, change).await;
        // A new open recovers and reads the same.
        storage.close().await.unwrap();
        let storage = FileStorage::builder(mount.path()).open().await.unwrap();
        assert_holds(&storage, &stored, change).await;
        assert!(change.apply(&storage, &stored).await.is_err(), "{change:?}");
        mount.free();
        change.apply(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

/// The change fails with `ReadOnlyFilesystem`, with files that are open and after a new open, and has no
/// other effect.
async fn assert_refused(
    change: Change,
    storage: &FileStorage,
    stored: &[AuditEntry],
    builder: FileStorageBuilder,
) {
    let path = storage.path();
    let before = content(path);
    let error = change.apply(storage, stored).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{change:?}: {error}");
    assert!(!error.is_retryable(), "{change:?}");
    assert_holds(storage, stored, change).await;
    assert!(change.apply(storage, stored).await.is_err(), "{change:?}");
    assert_holds(storage, stored, change).await;
    assert_holds(&open_read_only(path).await, stored, change).await;
    let error = builder.open().await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
    assert!(content(path) == before, "{change:?}");
}

/// A read-only remount, which the kernel permits while no file is open for writing. The store works
/// again after a remount with `rw`.
#[tokio::test]
async fn every_change_fails_after_a_read_only_remount() {
    for change in ALL_CHANGES {
        let Some(mount) = Mount::new("size=2m") else { return };
        let (storage, stored) = filled(&mount.path()).await;
        assert!(!mount.remount("ro"), "the active segment is open for writing");
        storage.close().await.unwrap();
        let storage = builder(&mount.path()).open().await.unwrap();
        assert_holds(&storage, &stored, change).await;
        assert!(mount.remount("ro"));
        assert_refused(change, &storage, &stored, builder(&mount.path())).await;
        storage.flush().await.unwrap();

        assert!(mount.remount("rw"));
        assert_holds(&storage, &stored, change).await;
        change.apply(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

/// A file system error, which ignores open files. The repair needs an unmount, and that a closed store.
#[tokio::test]
async fn every_change_fails_after_a_file_system_error() {
    let builders = [
        builder,
        #[cfg(feature = "evidence")]
        evidence_builder,
    ];
    for (change, builder) in
        ALL_CHANGES.iter().flat_map(|&change| builders.map(|builder| (change, builder)))
    {
        let Some(mut disk) = Disk::new() else { return };
        let (storage, stored) = filled_by(builder(&disk.path())).await;
        disk.fail();
        assert_refused(change, &storage, &stored, builder(&disk.path())).await;
        let error = storage.close().await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{change:?}: {error}");
        drop(storage);

        disk.repair();
        let storage = builder(&disk.path()).open().await.unwrap();
        assert!(storage.recovery().is_clean(), "{change:?}");
        assert_holds(&storage, &stored, change).await;
        change.apply(&storage, &stored).await.unwrap();
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn every_change_fails_on_a_read_only_store() {
    for change in ALL_CHANGES {
        let (_guard, path) = folder();
        let (storage, stored) = filled(&path).await;
        storage.close().await.unwrap();
        let before = content(&path);
        let storage = open_read_only(&path).await;
        let error = change.apply(&storage, &stored).await.unwrap_err();
        assert!(error.to_string().contains("read"), "{change:?}: {error}");
        assert_holds(&storage, &stored, change).await;
        storage.close().await.unwrap();
        assert!(content(&path) == before, "{change:?}");
    }
}
