//! Segments that the system does not let be changed: erasing, expiry, compaction and repair fail for them
//! and say so, and nothing else stops.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::common::refusal::Refusal;
use crate::common::{self, all, entries, entry, folder, line_of, open, open_read_only};
use attestry_core::{StorageBackend, StorageError, hash_content};
use attestry_file::{FileStorage, FileStorageBuilder, UnfinishedTask};

/// Three sealed segments of ten entries each, oldest first.
const SEALED: [&str; 3] =
    ["audit_20200101_001.jsonl", "audit_20200101_002.jsonl", "audit_20200101_003.jsonl"];

fn store() -> (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
    let (guard, path) = folder();
    fs::create_dir_all(path.join(".attestry")).unwrap();
    let sealed: Vec<_> = SEALED.iter().map(|name| path.join(name)).collect();
    for (number, segment) in (0..).zip(&sealed) {
        let lines = entries(number * 10..(number + 1) * 10).iter().flat_map(line_of).collect();
        fs::write::<_, Vec<u8>>(segment, lines).unwrap();
    }
    (guard, path, sealed)
}

/// The intent log of a process that died before it overwrote the first line of a segment.
fn intend_erasure(path: &Path, segment: &Path) {
    let text = fs::read(segment).unwrap();
    let length = text.iter().position(|byte| *byte == b'\n').unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let checksum = crc32fast::hash(&text[..length]);
    assert!(length <= 512, "one sector");
    let document = format!(
        r#"{{"version":1,"erase":[{{"segment":"{name}","offset":0,"length":{length},"crc32":[{checksum}]}}]}}"#
    );
    let log = format!("{document}\n{}\n", hash_content(&document));
    fs::write(path.join(".attestry/erasures.journal"), log).unwrap();
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, StorageError>, file: &Path) {
    let StorageError::Io { path, source, .. } = result.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(path, file);
    let kind = source.kind();
    assert!(matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ResourceBusy), "{kind:?}");
}

#[tokio::test]
async fn refused_erasure_changes_nothing_and_recording_goes_on() {
    let (_guard, path, sealed) = store();
    let before = fs::read(&sealed[0]).unwrap();
    let Some(refusal) = Refusal::immutable(&sealed[0]) else { return };
    let storage = open(&path).await;
    assert_refused(storage.delete(&entry("e00003", 3).id).await, &sealed[0]);
    assert_eq!(fs::read(path.join(".attestry/erasures.journal")).unwrap(), b"");
    storage.write(&entry("a", 100)).await.unwrap();
    // Others can be erased.
    assert!(storage.delete(&entry("e00013", 13).id).await.unwrap());
    assert_eq!(storage.count().await.unwrap(), 30);
    storage.close().await.unwrap();
    let storage = open(&path).await;
    assert!(storage.recovery().is_clean(), "{}", storage.recovery());
    storage.write(&entry("b", 101)).await.unwrap();
    assert!(fs::read(&sealed[0]).unwrap() == before);
    drop(refusal);
    assert!(storage.delete(&entry("e00003", 3).id).await.unwrap());
}

#[tokio::test]
async fn expiry_erases_all_but_what_is_refused() {
    let refuse: [fn(&Path) -> Option<Refusal>; 2] = [Refusal::immutable, Refusal::mounted];
    for refuse in refuse {
        let (_guard, path, sealed) = store();
        let Some(refusal) = refuse(&sealed[0]) else { return };
        let storage = open(&path).await;
        // All of two segments, and a part of the third.
        let cutoff = entry("any", 24).timestamp;
        assert_refused(storage.delete_at_or_before(cutoff).await, &sealed[0]);
        let kept: Vec<_> = entries(0..10).into_iter().chain(entries(25..30)).collect();
        assert_eq!(all(&storage).await.unwrap(), kept);
        storage.write(&entry("a", 100)).await.unwrap();
        storage.close().await.unwrap();
        assert!(!sealed[1].exists());
        let storage = open(&path).await;
        assert!(storage.recovery().is_clean(), "{}", storage.recovery());
        storage.write(&entry("b", 101)).await.unwrap();
        drop(refusal);
        assert_eq!(storage.delete_at_or_before(cutoff).await.unwrap(), 10);
        assert!(!sealed[0].exists());
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn lines_of_a_refused_segment_stay_and_others_expire() {
    let (_guard, path, sealed) = store();
    // Two segments of which only a part expires.
    fs::remove_file(&sealed[1]).unwrap();
    let mixed: Vec<u8> =
        [5, 100].iter().flat_map(|n| line_of(&entry(&format!("m{n}"), *n))).collect();
    fs::write(&sealed[1], mixed).unwrap();
    let Some(_refusal) = Refusal::immutable(&sealed[0]) else { return };
    let storage = open(&path).await;
    assert_refused(storage.delete_at_or_before(entry("any", 7).timestamp).await, &sealed[0]);
    assert_eq!(storage.read(&entry("m5", 5).id).await.unwrap(), None);
    assert_eq!(storage.count().await.unwrap(), 10 + 1 + 10);
}

#[tokio::test]
async fn compaction_skips_what_is_refused() {
    let (_guard, path, sealed) = store();
    let storage = open(&path).await;
    for id in ["e00003", "e00013"] {
        assert!(storage.delete(&id.parse().unwrap()).await.unwrap());
    }
    storage.write(&entry("active", 100)).await.unwrap();
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    let before = length(&sealed[1]);
    let Some(refusal) = Refusal::mounted(&sealed[0]) else { return };
    assert_refused(storage.compact().await, &sealed[0]);
    assert!(length(&sealed[1]) < before);
    drop(refusal);
    assert!(storage.compact().await.unwrap() > 0);
    assert_eq!(storage.count().await.unwrap(), 29);
}

#[tokio::test]
async fn unfinished_erasure_is_reported_and_blocks_no_append() {
    let (_guard, path, sealed) = store();
    intend_erasure(&path, &sealed[0]);
    let Some(refusal) = Refusal::immutable(&sealed[0]) else { return };
    // Small segments: appending goes on over rotations.
    let builder = || FileStorage::builder(&path).rotation_size_bytes(1_000);
    for round in 0..2 {
        let reader = open_read_only(&path).await;
        let [unfinished] = &reader.recovery().unfinished[..] else { panic!("{round}") };
        assert_eq!((&unfinished.path, &unfinished.reason), (&sealed[0], &None));
        let storage = builder().open().await.unwrap();
        let [unfinished] = &storage.recovery().unfinished[..] else { panic!("{round}") };
        assert_eq!(unfinished.path, sealed[0]);
        assert_eq!(unfinished.task, UnfinishedTask::Erase { entries: 1 });
        assert!(unfinished.reason.as_deref().unwrap().contains("not permitted"), "{unfinished}");
        for n in 0..20 {
            let new = entry(&format!("n{round}-{n}"), 1_000 + n);
            storage.append(std::slice::from_ref(&new)).await.unwrap();
            storage.write(&new).await.unwrap();
        }
        // Other erasures wait for it.
        assert_refused(storage.delete(&entry("e00013", 13).id).await, &sealed[0]);
        assert_refused(storage.compact().await, &sealed[0]);
        storage.close().await.unwrap();
    }
    // An entry that is stored again is not taken by the erasure.
    let storage = builder().open().await.unwrap();
    storage.write(&entry("e00000", 0)).await.unwrap();
    storage.write(&entry("e00000", 0)).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 30 + 40 + 1);
    drop(refusal);
    // The next deletion completes it.
    assert!(storage.delete(&entry("e00013", 13).id).await.unwrap());
    assert_eq!(storage.read(&entry("e00000", 0).id).await.unwrap(), Some(entry("e00000", 0)));
    assert_eq!(storage.count().await.unwrap(), 30 + 40 - 1);
    storage.close().await.unwrap();
    assert!(open(&path).await.recovery().is_clean());
}

/// The segment that is appended to keeps the name that the erasure states.
#[tokio::test]
async fn segment_of_an_unfinished_erasure_is_not_renamed() {
    let (_guard, path) = folder();
    let builder =
        || -> FileStorageBuilder { FileStorage::builder(&path).rotation_size_bytes(1_000) };
    let storage = builder().open().await.unwrap();
    storage.write(&entry("e00000", 0)).await.unwrap();
    storage.close().await.unwrap();
    let active = common::only_segment(&path);
    intend_erasure(&path, &active);
    // The index file cannot be removed, so that the erasure fails after the line was overwritten.
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&active).unwrap());
    let blocker = path.join(".attestry/index").join(format!("{inode}.idx"));
    let _ = fs::remove_file(&blocker);
    fs::create_dir_all(&blocker).unwrap();
    let storage = builder().open().await.unwrap();
    assert_eq!(storage.recovery().unfinished.len(), 1, "{}", storage.recovery());
    for n in 1..30 {
        storage.append(&entries(n..n + 1)).await.unwrap();
    }
    assert_eq!(common::only_segment(&path), active);
    assert_eq!(all(&storage).await.unwrap(), entries(1..30));
    fs::remove_dir(&blocker).unwrap();
    storage.append(&entries(30..31)).await.unwrap();
    assert_eq!(common::segments(&path).len(), 2, "rotated");
    assert_eq!(all(&storage).await.unwrap(), entries(1..31));
    storage.close().await.unwrap();
    assert!(open(&path).await.recovery().is_clean());
}

#[tokio::test]
async fn last_line_of_a_refused_segment_stays_and_is_reported() {
    let (_guard, path, sealed) = store();
    let mut text = fs::read(&sealed[1]).unwrap();
    text.pop();
    fs::write(&sealed[1], &text).unwrap();
    let Some(refusal) = Refusal::immutable(&sealed[1]) else { return };
    let storage = open(&path).await;
    let [unfinished] = &storage.recovery().unfinished[..] else { panic!("not reported") };
    assert_eq!(unfinished.path, sealed[1]);
    assert_eq!(unfinished.task, UnfinishedTask::RepairLastLine);
    storage.write(&entry("a", 100)).await.unwrap();
    storage.close().await.unwrap();
    assert!(fs::read(&sealed[1]).unwrap() == text);
    drop(refusal);
    let storage = open(&path).await;
    assert_eq!(storage.recovery().torn_tails.len(), 1);
    assert_eq!(storage.count().await.unwrap(), 31);
}
