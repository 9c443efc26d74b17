//! Files keep the owner, group and mode of what they replace: maintenance as root leaves a store to the
//! account that records.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::common::{self, entries, folder, segments, segments_in_order, skip};
use attestry_core::StorageBackend;
use attestry_file::{FileStorage, FileStorageBuilder};

/// An account and a group that own nothing else.
const OWNER: (u32, u32) = (65_533, 65_532);

fn is_root() -> bool {
    let root = tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0;
    if !root {
        skip("only root can give files to another account");
    }
    root
}

/// A folder of another account.
fn folder_of_owner() -> (tempfile::TempDir, PathBuf) {
    let (temporary, path) = folder();
    fs::create_dir(&path).unwrap();
    chown(&path, Some(OWNER.0), Some(OWNER.1)).unwrap();
    (temporary, path)
}

#[cfg(not(feature = "evidence"))]
fn builder(path: &Path) -> FileStorageBuilder {
    FileStorage::builder(path).rotation_size_bytes(2_000)
}

#[cfg(feature = "evidence")]
fn builder(path: &Path) -> FileStorageBuilder {
    let options = attestry_file::EvidenceOptions::new(common::evidence::key());
    FileStorage::builder(path).rotation_size_bytes(2_000).evidence(options)
}

/// Everything in `path`, at any depth.
fn walk(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    for item in fs::read_dir(path).unwrap() {
        let item = item.unwrap();
        if item.file_type().unwrap().is_dir() {
            found.extend(walk(&item.path()));
        } else {
            found.push(item.path());
        }
    }
    found
}

fn owner_of(path: &Path) -> (u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

#[tokio::test]
async fn files_created_by_root_belong_to_the_folders_owner() {
    if !is_root() {
        return;
    }
    let (_temporary, path) = folder_of_owner();
    let entries = entries(0..60);
    let storage = builder(&path).open().await.unwrap();
    for batch in entries.chunks(3) {
        storage.append(batch).await.unwrap();
    }
    storage.delete(&entries[5].id).await.unwrap();
    storage.compact().await.unwrap();
    storage.close().await.unwrap();
    // A torn line goes to the quarantine.
    let newest = segments_in_order(&path).pop().unwrap();
    let mut torn = fs::read(&newest).unwrap();
    torn.extend_from_slice(b"{\"torn");
    fs::write(&newest, torn).unwrap();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&common::entries(100..101)).await.unwrap();
    storage.delete_at_or_before(entries[10].timestamp).await.unwrap();
    storage.close().await.unwrap();

    let found = walk(&path);
    for part in ["index/", "quarantine/", "erasures.journal", "generation", "lock"] {
        let exists = found.iter().any(|path| path.to_str().unwrap().contains(part));
        assert!(exists, "{part} is not covered: {found:?}");
    }
    #[cfg(feature = "evidence")]
    for part in ["tree/head", "tree/places", "tree/tiles.0", "tree/erasures", "checkpoints/"] {
        assert!(found.iter().any(|path| path.to_str().unwrap().contains(part)), "{part}");
    }
    for path in found {
        assert_eq!(owner_of(&path), OWNER, "{}", path.display());
    }
}

#[tokio::test]
async fn new_and_compacted_segments_keep_owner_group_and_mode() {
    let root = is_root();
    let (_temporary, path) = folder();
    let entries = entries(0..40);
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries[..2]).await.unwrap();
    // The operator lets a group read the store, or has given it to another account.
    for segment in segments(&path) {
        fs::set_permissions(&segment, Permissions::from_mode(0o640)).unwrap();
        if root {
            chown(&segment, Some(OWNER.0), Some(OWNER.1)).unwrap();
        }
    }
    let expected = owner_of(&segments(&path)[0]);
    for batch in entries[2..].chunks(2) {
        storage.append(batch).await.unwrap();
    }
    storage.delete(&entries[0].id).await.unwrap();
    assert!(storage.compact().await.unwrap() > 0);
    storage.close().await.unwrap();
    assert!(segments(&path).len() > 3);
    for segment in segments(&path) {
        let mode = fs::metadata(&segment).unwrap().mode() & 0o7777;
        assert_eq!((mode, owner_of(&segment)), (0o640, expected), "{}", segment.display());
    }
}

/// As docs/operations.md describes it.
#[tokio::test]
async fn files_of_a_store_that_a_group_may_read_are_readable_by_it() {
    let (_temporary, path) = folder();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(0..3)).await.unwrap();
    storage.close().await.unwrap();
    for found in walk(&path) {
        let mode = fs::metadata(&found).unwrap().mode();
        let read = if mode & 0o100 == 0 { 0o040 } else { 0o050 };
        fs::set_permissions(&found, Permissions::from_mode(mode | read)).unwrap();
    }
    let segment = segments_in_order(&path).pop().unwrap();
    let mut line = fs::read(&segment).unwrap();
    line.extend_from_slice(b"torn");
    fs::write(&segment, line).unwrap();
    // Creates a quarantine, index files, segments and, with evidence, a file of checkpoints.
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(3..30)).await.unwrap();
    #[cfg(feature = "evidence")]
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let found = walk(&path);
    assert!(found.iter().any(|path| path.ends_with("quarantine")));
    for path in found {
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert!([0o640, 0o750].contains(&mode), "{} {mode:o}", path.display());
    }
}

/// The Python package creates segments that every account may read.
#[tokio::test]
async fn new_segment_gives_no_permission_to_others() {
    let (_temporary, path) = folder();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(0..3)).await.unwrap();
    fs::set_permissions(&segments(&path)[0], Permissions::from_mode(0o646)).unwrap();
    storage.append(&entries(3..30)).await.unwrap();
    storage.close().await.unwrap();
    let newest = segments_in_order(&path).pop().unwrap();
    assert_eq!(fs::metadata(newest).unwrap().mode() & 0o777, 0o640);
}

/// The account that records could link a file of root to the name of a segment.
#[tokio::test]
async fn empty_file_that_is_there_already_keeps_its_owner() {
    if !is_root() {
        return;
    }
    let (_temporary, path) = folder();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(0..1)).await.unwrap();
    storage.close().await.unwrap();
    let active = segments_in_order(&path).pop().unwrap();
    let before = path.join("audit_20200101.jsonl");
    fs::rename(&active, &before).unwrap();
    chown(&before, Some(OWNER.0), Some(OWNER.1)).unwrap();
    let file_of_root = path.with_file_name("root");
    fs::write(&file_of_root, "").unwrap();
    fs::set_permissions(&file_of_root, Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&file_of_root, &active).unwrap();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(1..2)).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(owner_of(&file_of_root), (0, 0));
}

/// An operator protects sealed segments.
#[tokio::test]
async fn new_segment_is_writable_after_a_read_only_one() {
    let (_temporary, path) = folder();
    let storage = builder(&path).open().await.unwrap();
    storage.append(&entries(0..3)).await.unwrap();
    fs::set_permissions(&segments(&path)[0], Permissions::from_mode(0o400)).unwrap();
    storage.append(&entries(3..30)).await.unwrap();
    storage.close().await.unwrap();
    let newest = segments_in_order(&path).pop().unwrap();
    assert_eq!(fs::metadata(newest).unwrap().mode() & 0o777, 0o600);
}
