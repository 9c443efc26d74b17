//! Stores with index files, and what their readers find.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use attestry_core::{AuditEntry, Order, Query, StorageBackend, Timestamp};
use attestry_file::FileStorage;
use futures_util::TryStreamExt;

use super::{all, entry, open, segments};

pub(crate) fn indexes(path: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(path.join(".attestry/index")) else { return Vec::new() };
    let mut found: Vec<_> = items.map(|item| item.unwrap().path()).collect();
    found.sort();
    found
}

/// Entries with shuffled timestamps, so that segments overlap in time and share timestamps.
pub(crate) fn shuffled(count: i64) -> Vec<AuditEntry> {
    (0..count).map(|n| entry(&format!("e{n:05}"), (n * 7_919) % 1_009)).collect()
}

pub(crate) fn sorted(entries: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    sorted
}

pub(crate) async fn store(path: &Path, entries: &[AuditEntry]) {
    let storage = FileStorage::builder(path).rotation_size_bytes(200_000).open().await.unwrap();
    storage.write_batch(entries).await.unwrap();
    storage.close().await.unwrap();
}

/// Checks every way to read against `expected`, which is in write order.
pub(crate) async fn assert_holds(storage: &FileStorage, expected: &[AuditEntry]) {
    let sorted = sorted(expected);
    assert!(all(storage).await.unwrap() == sorted);
    assert_eq!(storage.count().await.unwrap(), expected.len() as u64);
    for entry in expected.iter().step_by(37) {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    assert_eq!(storage.read(&"none".parse().unwrap()).await.unwrap(), None);
    let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
    for (start, end) in [(0, 0), (100, 140), (1_008, 5_000), (-5, 1_008)] {
        let range = Query::range(at(start), at(end));
        let mut selected: Vec<_> =
            sorted.iter().filter(|entry| range.matches(entry)).cloned().collect();
        let found: Vec<_> = storage.scan(range.clone()).try_collect().await.unwrap();
        assert!(found == selected, "{start} to {end}");
        selected.reverse();
        let found: Vec<_> =
            storage.scan(range.order(Order::Descending)).try_collect().await.unwrap();
        assert!(found == selected, "{end} back to {start}");
    }
}

/// Opens the store at `path` and counts its entries; returns the count and the reported progress.
pub(crate) async fn open_with_progress(path: &Path, read_only: bool) -> (u64, Vec<(u64, u64)>) {
    let reported: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let sink = Arc::clone(&reported);
    let opening = FileStorage::builder(path).read_only(read_only).on_indexing(move |progress| {
        sink.lock().unwrap().push((progress.bytes_read, progress.bytes_total));
    });
    let storage = opening.open().await.unwrap();
    let count = storage.count().await.unwrap();
    storage.close().await.unwrap();
    let mut reported = reported.lock().unwrap().clone();
    reported.sort_unstable(); // several threads report, in any order
    (count, reported)
}

/// Creates a store with one active segment that has an index file; returns its entries.
pub(crate) async fn active_with_index(path: &Path) -> Vec<AuditEntry> {
    let written = shuffled(4_000);
    let storage = open(path).await;
    storage.append(&written).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!((indexes(path).len(), segments(path).len()), (1, 1));
    written
}

pub(crate) fn write_lines(path: &Path, entries: &[AuditEntry]) {
    // In place, as the Python package does.
    fs::write(path, entries.iter().map(super::line_of).collect::<Vec<_>>().concat()).unwrap();
}

/// Asserts that a reader of the store at `path` finds `count` entries and reads no segment to index it.
pub(crate) async fn assert_indexed(path: &Path, count: u64) {
    let (found, progress) = open_with_progress(path, true).await;
    assert_eq!(found, count);
    assert_eq!(progress, [], "no byte of a segment is read");
    assert_eq!(indexes(path).len(), segments(path).len());
}
