//! Metrics of a file store: what was written and synced, what was refused, and checkpoints.

use std::fs;

use crate::common::{entries, folder, line_of, only_segment, open, open_read_only, segments};
use attestry_core::metrics::StorageMetrics;
use attestry_core::{ErrorKind, StorageBackend};
use attestry_file::{Durability, FileStorage};

fn metrics(storage: &FileStorage) -> StorageMetrics {
    storage.metrics().expect("file stores count")
}

#[tokio::test]
async fn lines_batches_and_syncs_are_counted() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    assert_eq!(metrics(&storage), StorageMetrics::default());
    let written = entries(0..5);
    storage.append(&written).await.unwrap();
    storage.write(&written[0]).await.unwrap();
    let found = metrics(&storage);
    assert_eq!((found.entries, found.batches, found.refused), (5, 1, 0));
    assert_eq!(found.bytes, fs::metadata(only_segment(&path)).unwrap().len());
    assert_eq!(found.syncs.count(), 1);
    assert!(found.syncs.max() <= found.syncs.sum());
    assert_eq!((found.queue_depth, found.retries, found.last_error), (0, 0, None));

    let other = FileStorage::builder(path.with_extension("buffered"))
        .durability(Durability::Buffered)
        .open()
        .await
        .unwrap();
    other.append(&written).await.unwrap();
    other.append(&entries(5..7)).await.unwrap(); // on this thread
    let found = metrics(&other);
    assert_eq!((found.entries, found.batches, found.syncs.count()), (7, 2, 0));
    let segment = only_segment(&path.with_extension("buffered"));
    assert_eq!(found.bytes, fs::metadata(segment).unwrap().len());
}

#[tokio::test]
async fn rotated_batch_counts_once_for_each_segment() {
    let (_guard, path) = folder();
    let written = entries(0..4);
    let rotation = line_of(&written[0]).len() as u64;
    let storage = FileStorage::builder(&path).rotation_size_bytes(rotation).open().await.unwrap();
    storage.append(&written).await.unwrap();
    assert_eq!(segments(&path).len(), 4);
    let found = metrics(&storage);
    assert_eq!((found.entries, found.batches, found.syncs.count()), (4, 4, 4));
}

#[tokio::test]
async fn failures_are_counted_with_their_kind() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..2)).await.unwrap();
    // The name of the active segment is taken by a folder.
    let segment = only_segment(&path);
    fs::rename(&segment, segment.with_extension("moved")).unwrap();
    fs::create_dir(&segment).unwrap();
    storage.append(&entries(2..5)).await.unwrap_err();
    let found = metrics(&storage);
    assert_eq!((found.entries, found.refused, found.queue_depth), (2, 3, 0));
    assert_eq!(found.last_error.unwrap().kind, ErrorKind::Io);

    storage.close().await.unwrap();
    storage.delete(&entries(0..1)[0].id).await.unwrap_err();
    let found = metrics(&storage);
    assert_eq!((found.refused, found.last_error.unwrap().kind), (3, ErrorKind::Closed));
}

#[tokio::test]
async fn read_only_store_counts_what_it_refuses() {
    let (_guard, path) = folder();
    open(&path).await.close().await.unwrap();
    let storage = open_read_only(&path).await;
    storage.append(&entries(0..2)).await.unwrap_err();
    storage.write_new(&entries(0..1)).await.unwrap_err();
    let found = metrics(&storage);
    assert_eq!((found.entries, found.refused), (0, 3));
    assert_eq!(found.last_error.unwrap().kind, ErrorKind::ReadOnly);
}

#[cfg(feature = "evidence")]
mod evidence {
    use super::*;
    use attestry_core::Timestamp;
    use attestry_evidence::SigningKey;
    use attestry_file::EvidenceOptions;

    #[tokio::test]
    async fn checkpoints_and_their_failures_are_counted() {
        let (_guard, path) = folder();
        let open = async || {
            let builder = FileStorage::builder(&path);
            crate::common::evidence::with_evidence(builder).open().await.unwrap()
        };
        let storage = open().await;
        let before = Timestamp::now();
        storage.append(&entries(0..3)).await.unwrap();
        assert_eq!(metrics(&storage).last_checkpoint, None);
        storage.checkpoint().await.unwrap();
        storage.checkpoint().await.unwrap(); // the same again
        let last = metrics(&storage).last_checkpoint.unwrap();
        assert_eq!(last.size, 3);
        assert!(before <= last.time && last.time <= Timestamp::now());
        storage.close().await.unwrap();

        // Another key of the same name did not sign the latest checkpoint.
        let other = SigningKey::from_seed("example.com/audit", &[8; 32]).unwrap();
        let builder = FileStorage::builder(&path).evidence(EvidenceOptions::new(other));
        let storage = builder.open().await.unwrap();
        storage.append(&entries(3..4)).await.unwrap();
        storage.checkpoint().await.unwrap_err();
        let found = metrics(&storage);
        assert_eq!((found.failed_checkpoints, found.refused), (1, 0));
        assert_eq!(found.last_checkpoint, None);
        assert_eq!(found.last_error.unwrap().kind, ErrorKind::Other);
    }
}
