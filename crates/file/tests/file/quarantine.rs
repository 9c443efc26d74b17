//! The quarantine: listed, and reached by erasure and retention.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::{self, entry, folder, line_of, open, open_read_only};
use attestry_core::{StorageBackend, StorageError, Timestamp};
use attestry_file::{FileStorage, QuarantinedKind};

const SEGMENT: &str = "audit_20260128.jsonl";

/// A store in whose quarantine are the first bytes of the line of each of `entries`, all but `missing`.
async fn with_torn(path: &Path, entries: &[(&str, i64)], missing: usize) -> FileStorage {
    fs::create_dir(path).unwrap();
    for (number, (id, micros)) in entries.iter().enumerate() {
        let line = line_of(&entry(id, *micros));
        let torn = &line[..line.len() - missing];
        let text =
            [&line_of(&entry(&format!("whole{number}"), i64::MAX / 1_000_000)), torn].concat();
        fs::write(path.join(SEGMENT), text).unwrap();
        open(path).await.close().await.unwrap();
    }
    open(path).await
}

async fn ids(storage: &FileStorage) -> Vec<Option<String>> {
    let found = storage.quarantine().await.unwrap().into_iter();
    found
        .map(|quarantined| match quarantined.kind {
            QuarantinedKind::Line { id, .. } => id.map(|id| id.to_string()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn quarantined_lines_are_listed_with_id_and_time() {
    let (_temporary, path) = folder();
    let storage = with_torn(&path, &[("torn", 77)], 20).await;
    let found = storage.quarantine().await.unwrap();
    assert_eq!(found.len(), 1);
    let line = line_of(&entry("torn", 77));
    assert_eq!(fs::read(&found[0].path).unwrap(), line[..line.len() - 20]);
    assert_eq!(found[0].length, line.len() as u64 - 20);
    assert!(found[0].name.starts_with(SEGMENT));
    let age = Timestamp::now().unix_micros() - found[0].since.unix_micros();
    assert!((0..600_000_000).contains(&age));
    let timestamp = Some(Timestamp::from_unix_micros(77).unwrap());
    let id = Some("torn".parse().unwrap());
    assert_eq!(found[0].kind, QuarantinedKind::Line { id, timestamp });
    // A reader sees the same; it may not remove it.
    let reader = open_read_only(&path).await;
    assert_eq!(reader.quarantine().await.unwrap(), found);
    assert!(reader.remove_quarantined(&found[0].name).await.is_err());
    assert!(!storage.remove_quarantined("../generation").await.unwrap());
    assert!(storage.remove_quarantined(&found[0].name).await.unwrap());
    assert!(!storage.remove_quarantined(&found[0].name).await.unwrap());
    assert_eq!(storage.quarantine().await.unwrap(), []);
}

#[tokio::test]
async fn deleting_an_entry_removes_its_quarantined_lines() {
    let (_temporary, path) = folder();
    let storage = with_torn(&path, &[("a", 1), ("b", 2), ("a", 3)], 10).await;
    // The write was repeated after the crash.
    storage.write(&entry("a", 1)).await.unwrap();
    assert!(storage.delete(&"a".parse().unwrap()).await.unwrap());
    assert_eq!(ids(&storage).await, [Some("b".to_owned())]);
    // An entry of which nothing but the torn line is left.
    assert!(storage.delete(&"b".parse().unwrap()).await.unwrap());
    assert!(!storage.delete(&"b".parse().unwrap()).await.unwrap());
    assert_eq!(storage.quarantine().await.unwrap(), []);
    assert_eq!(storage.count().await.unwrap(), 1);
}

#[tokio::test]
async fn quarantined_lines_expire_by_their_timestamp() {
    let (_temporary, path) = folder();
    let storage = with_torn(&path, &[("old", 100), ("new", 300)], 10).await;
    storage.delete_at_or_before(Timestamp::from_unix_micros(99).unwrap()).await.unwrap();
    assert_eq!(storage.quarantine().await.unwrap().len(), 2);
    storage.delete_at_or_before(Timestamp::from_unix_micros(100).unwrap()).await.unwrap();
    assert_eq!(ids(&storage).await, [Some("new".to_owned())]);
}

#[tokio::test]
async fn unreadable_quarantined_lines_expire_by_their_age() {
    let (_temporary, path) = folder();
    let whole = line_of(&entry("short", 1)).len();
    let storage = with_torn(&path, &[("short", 1)], whole - 9).await;
    let file = storage.quarantine().await.unwrap().remove(0);
    assert_eq!(file.kind, QuarantinedKind::Line { id: None, timestamp: None });
    let days_ago = |days: u64| SystemTime::now() - Duration::from_hours(24 * days);
    fs::File::open(&file.path).unwrap().set_modified(days_ago(10)).unwrap();
    let cutoff = |days| Timestamp::try_from(days_ago(days)).unwrap();
    storage.delete_at_or_before(cutoff(11)).await.unwrap();
    assert_eq!(storage.quarantine().await.unwrap().len(), 1);
    storage.delete_at_or_before(cutoff(9)).await.unwrap();
    assert_eq!(storage.quarantine().await.unwrap(), []);
}

#[tokio::test]
async fn torn_checkpoints_do_not_expire() {
    let (_temporary, path) = folder();
    let storage = open(&path).await;
    let quarantine = path.join(".attestry/quarantine");
    fs::create_dir(&quarantine).unwrap();
    fs::write(quarantine.join("checkpoints.20260128.0.0.torn"), "exam").unwrap();
    fs::write(quarantine.join("notes of the operator"), "unknown files are left alone").unwrap();
    assert_eq!(storage.quarantine().await.unwrap()[0].kind, QuarantinedKind::Checkpoint);
    storage.delete_at_or_before(Timestamp::MAX).await.unwrap();
    assert_eq!(fs::read_dir(quarantine).unwrap().count(), 2);
}

/// Another process has died while it wrote the line, after this one had opened the store.
#[tokio::test]
async fn delete_reaches_a_line_that_was_just_torn() {
    for expire in [false, true] {
        let (_temporary, path) = folder();
        let storage = open(&path).await;
        storage.write(&entry("whole", 9)).await.unwrap();
        let torn = entry("torn", 7);
        let line = line_of(&torn);
        let segment = common::only_segment(&path);
        let mut file = fs::File::options().append(true).open(&segment).unwrap();
        file.write_all(&line[..line.len() - 20]).unwrap();
        if expire {
            storage.delete_at_or_before(torn.timestamp).await.unwrap();
        } else {
            assert!(storage.delete(&torn.id).await.unwrap());
        }
        assert_eq!(fs::read(&segment).unwrap(), line_of(&entry("whole", 9)));
        assert_eq!(storage.quarantine().await.unwrap(), []);
        storage.flush().await.unwrap(); // the report is updated after the response
        assert_eq!(storage.recovery().torn_tails.len(), 1);
    }
}

#[tokio::test]
async fn closed_store_removes_nothing_from_quarantine() {
    let (_temporary, path) = folder();
    let storage = with_torn(&path, &[("torn", 77)], 20).await;
    let found = storage.quarantine().await.unwrap();
    storage.close().await.unwrap();
    let refused = storage.remove_quarantined(&found[0].name).await;
    assert!(matches!(refused, Err(StorageError::Closed)), "{refused:?}");
    assert_eq!(storage.quarantine().await.unwrap(), found);
}
