//! Helpers of the integration tests.
use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, StorageBackend, StorageError, Timestamp, hash_content, line};
use attestry_file::FileStorage;
use tempfile::TempDir;

#[cfg(feature = "evidence")]
pub(crate) mod evidence;
pub(crate) mod indexes;
pub(crate) mod mount;
pub(crate) mod refusal;

/// Reports that a test does not run here. With `ATTESTRY_REQUIRE=all`, as in continuous integration, it fails instead.
#[allow(clippy::print_stderr)] // shown in the test's output
pub(crate) fn skip(reason: &str) {
    let required = std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all");
    assert!(!required, "ATTESTRY_REQUIRE=all forbids skipping: {reason}");
    eprintln!("skipped: {reason}");
}

/// An entry whose timestamp is `micros` microseconds after the Unix epoch.
pub(crate) fn entry(id: &str, micros: i64) -> AuditEntry {
    let timestamp = Timestamp::from_unix_micros(micros).unwrap();
    AuditEntry::new(id.parse().unwrap(), timestamp, hash_content(id), hash_content("out"))
}

pub(crate) fn entries(range: std::ops::Range<i64>) -> Vec<AuditEntry> {
    range.map(|n| entry(&format!("e{n:05}"), n)).collect()
}

pub(crate) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    (folder, path)
}

pub(crate) async fn open(path: &Path) -> FileStorage {
    FileStorage::builder(path).open().await.unwrap()
}

pub(crate) async fn open_read_only(path: &Path) -> FileStorage {
    FileStorage::builder(path).read_only(true).open().await.unwrap()
}

pub(crate) async fn all(storage: &FileStorage) -> Result<Vec<AuditEntry>, StorageError> {
    storage.list_entries(Timestamp::MIN, Timestamp::MAX).await
}

pub(crate) fn line_of(entry: &AuditEntry) -> Vec<u8> {
    line::encode(entry).unwrap()
}

/// The segments of the store, sorted by file name.
pub(crate) fn segments(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(path).unwrap().map(|item| item.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    found.sort();
    found
}

/// The segments of the store, oldest first.
pub(crate) fn segments_in_order(path: &Path) -> Vec<PathBuf> {
    let mut found = segments(path);
    // The active segment has no number and is the newest of its day.
    found.sort_by_key(|path| path.to_str().unwrap().replace(".jsonl", "~"));
    found
}

pub(crate) fn only_segment(path: &Path) -> PathBuf {
    let segments = segments(path);
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments[0].clone()
}

pub(crate) fn names(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}
