//! Real faults: a full file system, a read-only one, a folder or segment that is moved or removed.
//!
//! Some tests mount a small tmpfs, which needs root.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use crate::common::mount::Mount;
use crate::common::{self, all, entries, entry, folder, only_segment, open, open_read_only};
use attestry_core::{StorageBackend, StorageError};
use attestry_file::FileStorage;

fn kind(error: &StorageError) -> ErrorKind {
    match error {
        StorageError::Io { source, .. } => source.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn full_disk_fails_the_write_and_nothing_else() {
    let Some(mount) = Mount::new("size=128k") else { return };
    let storage = open(&mount.path()).await;
    fs::write(mount.filler(), vec![0; 40_000]).unwrap();

    let mut acknowledged = Vec::new();
    let mut failures = 0;
    for entry in entries(0..1_000) {
        match storage.write(&entry).await {
            Ok(_) => acknowledged.push(entry),
            Err(error) => {
                assert_eq!(kind(&error), ErrorKind::StorageFull, "{error}");
                assert!(error.is_retryable());
                failures += 1;
                if failures == 5 {
                    break;
                }
            }
        }
    }
    assert_eq!(failures, 5, "the disk did not fill up");
    let text = fs::read(only_segment(&mount.path())).unwrap();
    assert_eq!(text.last(), Some(&b'\n'), "no partial line stays");
    assert_eq!(all(&storage).await.unwrap(), acknowledged);

    // A batch that does not fit fails as a whole and changes nothing.
    assert!(storage.write_batch(&entries(2_000..2_500)).await.is_err());
    // With free space the same store works again.
    mount.free();
    let next = entry("next", 5_000);
    storage.write(&next).await.unwrap();
    let found = all(&storage).await.unwrap();
    assert_eq!(found.last(), Some(&next));
    assert_eq!(found[..acknowledged.len()], acknowledged);

    // An erasure needs space for its intent log only.
    assert!(storage.delete(&next.id).await.unwrap());
    storage.close().await.unwrap();
    assert!(open(&mount.path()).await.recovery().is_clean());
}

#[tokio::test]
async fn erasure_without_space_for_its_intent_log_changes_nothing() {
    let Some(mount) = Mount::new("size=128k") else { return };
    let storage = open(&mount.path()).await;
    let written = entries(0..20);
    storage.write_batch(&written).await.unwrap();
    mount.fill();
    let error = storage.delete(&written[3].id).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::StorageFull, "{error}");
    assert!(all(&storage).await.unwrap() == written);
    mount.free();
    assert!(storage.delete(&written[3].id).await.unwrap());
    assert_eq!(all(&storage).await.unwrap().len(), 19);
}

/// Expiry is how a full disk gets free space.
#[tokio::test]
async fn expiry_works_on_a_full_disk() {
    let Some(mount) = Mount::new("size=256k") else { return };
    let builder = FileStorage::builder(mount.path()).rotation_size_bytes(2_000);
    let storage = builder.open().await.unwrap();
    let written = entries(0..60);
    storage.write_batch(&written).await.unwrap();
    mount.fill();
    let error = storage.delete(&written[59].id).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::StorageFull, "{error}");
    // Unlinking whole segments frees the space that erasing lines of the next one needs.
    assert_eq!(storage.delete_at_or_before(written[40].timestamp).await.unwrap(), 41);
    assert!(all(&storage).await.unwrap() == written[41..]);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn failed_erasure_hides_only_the_overwritten_line() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    let written = entries(0..3);
    storage.write_batch(&written).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 3);
    // The line is overwritten; then removing the index file fails.
    let inode = fs::metadata(only_segment(&path)).unwrap().ino();
    let blocker = path.join(".attestry/index").join(format!("{inode}.idx"));
    fs::create_dir_all(&blocker).unwrap();
    storage.delete(&written[1].id).await.unwrap_err();
    let left = [written[0].clone(), written[2].clone()];
    assert_eq!(all(&storage).await.unwrap(), left);
    assert_eq!(storage.count().await.unwrap(), 2);

    fs::remove_dir(&blocker).unwrap();
    assert!(
        !storage.delete(&written[1].id).await.unwrap(),
        "the first erasure is finished, then the id is absent"
    );
    assert_eq!(storage.count().await.unwrap(), 2);
    assert!(storage.delete(&written[0].id).await.unwrap());
    assert_eq!(all(&storage).await.unwrap(), left[1..]);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn read_only_file_system_can_be_read() {
    let Some(mount) = Mount::new("size=256k") else { return };
    let storage = open(&mount.path()).await;
    storage.write(&entry("a", 1)).await.unwrap();
    storage.close().await.unwrap();
    assert!(mount.remount("ro"));

    let error = FileStorage::builder(mount.path()).open().await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnlyFilesystem, "{error}");
    let storage = common::open_read_only(&mount.path()).await;
    assert_eq!(all(&storage).await.unwrap(), [entry("a", 1)]);
}

#[tokio::test]
async fn reader_follows_a_replaced_folder() {
    let (_guard, path) = folder();
    let (before, after) = (path.with_file_name("before"), path.with_file_name("after"));
    let (old, new) = (entries(0..3), entries(3..5));
    for (place, written) in [(&path, &old), (&after, &new)] {
        let storage = open(place).await;
        storage.write_batch(written).await.unwrap();
        storage.close().await.unwrap();
    }
    let reader = open_read_only(&path).await;
    assert_eq!(all(&reader).await.unwrap(), old);
    // As when a backup is restored.
    fs::rename(&path, &before).unwrap();
    assert!(all(&reader).await.is_err());
    fs::rename(&after, &path).unwrap();
    assert_eq!(all(&reader).await.unwrap(), new);
    assert_eq!(reader.count().await.unwrap(), 2);
}

#[tokio::test]
async fn removed_active_segment_is_recreated() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write(&entry("a", 1)).await.unwrap();
    fs::remove_file(only_segment(&path)).unwrap();
    storage.write(&entry("b", 2)).await.unwrap();
    assert_eq!(all(&storage).await.unwrap(), [entry("b", 2)]);
}

#[tokio::test]
async fn closed_store_refuses_writes_and_reopens_at_once() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write(&entry("a", 1)).await.unwrap();
    storage.close().await.unwrap();
    let again = open(&path).await;
    assert!(matches!(storage.write(&entry("b", 2)).await, Err(StorageError::Closed)));
    assert!(matches!(storage.delete(&entry("a", 1).id).await, Err(StorageError::Closed)));
    assert_eq!(all(&again).await.unwrap(), [entry("a", 1)]);
}

#[tokio::test]
async fn exhausted_inodes_are_named() {
    let Some(mount) = Mount::new("size=4m,nr_inodes=40") else { return };
    let builder = FileStorage::builder(mount.path()).rotation_size_bytes(1_000);
    let storage = builder.open().await.unwrap();
    storage.write_batch(&entries(0..2)).await.unwrap();
    let fillers = (0..).map(|number| mount.root().join(format!("filler{number}")));
    let taken = fillers.take_while(|path| fs::write(path, "").is_ok()).count();
    assert!(taken > 0);
    // The next segment is a new file.
    let error = storage.write_batch(&entries(2..9)).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::StorageFull, "{error}");
    let chain = attestry_core::ErrorChain(&error).to_string();
    assert!(chain.contains("no inodes left"), "{chain}");
    assert!(error.is_retryable());
    (0..taken).for_each(|n| fs::remove_file(mount.root().join(format!("filler{n}"))).unwrap());
    storage.write_batch(&entries(2..9)).await.unwrap();
    assert_eq!(all(&storage).await.unwrap(), entries(0..9));
    storage.close().await.unwrap();
}
