//! A last line that is a whole entry without its line break, as an editor or a copy leaves it.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::common::{all, entries, entry, folder, line_of, only_segment, open, open_read_only};
use attestry_core::{AuditEntry, StorageBackend, StorageError};
use attestry_file::{FileStorage, UnfinishedTask};

async fn assert_holds(storage: &FileStorage, expected: &[AuditEntry]) {
    assert_eq!(all(storage).await.unwrap(), expected);
    assert_eq!(storage.count().await.unwrap(), expected.len() as u64);
    for entry in expected {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn last_line_without_line_break_is_read() {
    let (_guard, path) = folder();
    fs::create_dir_all(&path).unwrap();
    let written = entries(0..3);
    let mut text = written.iter().flat_map(line_of).collect::<Vec<_>>();
    text.pop();
    // Of the active and of a sealed segment.
    let sealed = path.join("audit_20200101_001.jsonl");
    fs::write(&sealed, &text).unwrap();
    let reader = open_read_only(&path).await;
    assert_holds(&reader, &written).await;
    let active = path.join("audit_20200102.jsonl");
    let mut all_written = written.clone();
    all_written.extend(entries(10..11));
    fs::write(&active, &line_of(&entry("e00010", 10))[..line_of(&entry("e00010", 10)).len() - 1])
        .unwrap();
    assert_holds(&reader, &all_written).await;
    assert_holds(&open_read_only(&path).await, &all_written).await;
    let unfinished = reader.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert_eq!(
        (&unfinished[0].path, unfinished[0].task),
        (&sealed, UnfinishedTask::RepairLastLine)
    );

    let storage = open(&path).await;
    assert_eq!(storage.recovery().torn_tails.len(), 2);
    assert!(storage.recovery().torn_tails.iter().all(|torn| torn.quarantined.is_none()));
    assert_holds(&storage, &all_written).await;
    assert_holds(&reader, &all_written).await;
    assert_eq!(storage.unfinished().await.unwrap(), []);
    storage.close().await.unwrap();
    text.push(b'\n');
    assert_eq!(fs::read(&sealed).unwrap(), text);
}

/// Whatever is appended next, by whichever program.
#[tokio::test]
async fn line_break_and_lines_that_follow_are_seen() {
    for follows in [b"\n".to_vec(), [b"\n".to_vec(), line_of(&entry("next", 9))].concat()] {
        let (_guard, path) = folder();
        let storage = open(&path).await;
        storage.write_batch(&entries(0..2)).await.unwrap();
        let segment = only_segment(&path);
        let third = line_of(&entry("e00002", 2));
        append(&segment, &third[..third.len() - 1]);
        let reader = open_read_only(&path).await;
        assert_holds(&reader, &entries(0..3)).await;
        assert_holds(&storage, &entries(0..3)).await;
        append(&segment, &follows);
        let mut expected = entries(0..3);
        if follows.len() > 1 {
            expected.push(entry("next", 9));
        }
        assert_holds(&reader, &expected).await;
        assert_holds(&storage, &expected).await;
        storage.write(&entry("more", 10)).await.unwrap();
        expected.push(entry("more", 10));
        assert_holds(&reader, &expected).await;
        storage.close().await.unwrap();
        assert_holds(&open(&path).await, &expected).await;
    }
}

/// The line may also grow into another one, or be cut.
#[tokio::test]
async fn last_line_that_changes_is_indexed_again() {
    let (_guard, path) = folder();
    fs::create_dir_all(&path).unwrap();
    let segment = path.join("audit_20200101.jsonl");
    let text = entries(0..3).iter().flat_map(line_of).collect::<Vec<_>>();
    fs::write(&segment, &text[..text.len() - 1]).unwrap();
    let reader = open_read_only(&path).await;
    assert_holds(&reader, &entries(0..3)).await;
    append(&segment, b"x");
    assert_eq!(reader.count().await.unwrap(), 2);
    assert!(all(&reader).await.is_err(), "torn");
    fs::write(&segment, &text[..text.len() - 2]).unwrap();
    assert_eq!(reader.count().await.unwrap(), 2);
    fs::write(&segment, &text[..text.len() - 1]).unwrap();
    assert_holds(&reader, &entries(0..3)).await;
}

#[tokio::test]
async fn last_line_without_line_break_can_be_erased() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write_batch(&entries(0..2)).await.unwrap();
    let segment = only_segment(&path);
    let third = line_of(&entry("e00002", 2));
    append(&segment, &third[..third.len() - 1]);
    let reader = open_read_only(&path).await;
    assert_eq!(reader.count().await.unwrap(), 3);
    assert!(storage.delete(&entry("e00002", 2).id).await.unwrap());
    assert_holds(&storage, &entries(0..2)).await;
    assert_holds(&reader, &entries(0..2)).await;
    storage.write(&entry("e00002", 2)).await.unwrap();
    assert_holds(&storage, &entries(0..3)).await;
    storage.close().await.unwrap();
    assert!(!path.join(".attestry/quarantine").exists());
    assert_holds(&open(&path).await, &entries(0..3)).await;
}

#[tokio::test]
async fn id_of_a_line_without_line_break_is_taken() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write(&entry("a", 1)).await.unwrap();
    let other = entry("x", 2);
    let line = line_of(&other);
    append(&only_segment(&path), &line[..line.len() - 1]);
    let refused = storage.write(&entry("x", 3)).await.unwrap_err();
    assert!(matches!(refused, StorageError::AlreadyExists { .. }), "{refused}");
    storage.write(&other).await.unwrap();
    storage.write(&entry("b", 4)).await.unwrap();
    assert_holds(&storage, &[entry("a", 1), other, entry("b", 4)]).await;
}
