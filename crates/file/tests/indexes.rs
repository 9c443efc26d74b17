//! Index files: used when they match, rebuilt when missing, stale or damaged.
#![allow(clippy::unwrap_used)] // test helpers

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use attestry_core::{AuditEntry, Order, Query, StorageBackend, Timestamp};
use attestry_file::FileStorage;
use common::{all, entry, folder, open, open_read_only, segments};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;

fn indexes(path: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(path.join(".attestry/index")) else { return Vec::new() };
    let mut found: Vec<_> = items.map(|item| item.unwrap().path()).collect();
    found.sort();
    found
}

/// Entries with shuffled timestamps, so that segments overlap in time and share timestamps.
fn shuffled(count: i64) -> Vec<AuditEntry> {
    (0..count).map(|n| entry(&format!("e{n:05}"), (n * 7_919) % 1_009)).collect()
}

fn sorted(entries: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    sorted
}

async fn store(path: &Path, entries: &[AuditEntry]) {
    let storage = FileStorage::builder(path).rotation_size_bytes(200_000).open().await.unwrap();
    storage.write_batch(entries).await.unwrap();
    storage.close().await.unwrap();
}

/// Checks every way to read against `expected`, which is in write order.
async fn assert_holds(storage: &FileStorage, expected: &[AuditEntry]) {
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

#[tokio::test]
async fn sealed_segments_get_an_equivalent_index_file() {
    let (_guard, path) = folder();
    let written = shuffled(3_000);
    store(&path, &written).await;
    let storage = open(&path).await;
    assert_eq!(indexes(&path).len(), segments(&path).len(), "one for each segment");
    assert_holds(&storage, &written).await;
    assert_holds(&open_read_only(&path).await, &written).await;
}

#[tokio::test]
async fn ids_are_found_in_any_of_many_segments() {
    let (_guard, path) = folder();
    let entries: Vec<_> = (0..2_000).map(|n| entry(&format!("e{n:05}"), n)).collect();
    let storage = FileStorage::builder(&path).rotation_size_bytes(10_000).open().await.unwrap();
    for some in entries.chunks(50) {
        storage.write_batch(some).await.unwrap();
    }
    assert!(indexes(&path).len() > 35, "many segments");
    for _ in 0..2 {
        // In the first round no Bloom filter is in memory yet.
        for entry in entries.iter().rev() {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
        }
        assert!(storage.read(&"none".parse().unwrap()).await.unwrap().is_none());
    }
    assert!(storage.delete(&entries[700].id).await.unwrap());
    assert!(storage.read(&entries[700].id).await.unwrap().is_none());
}

#[tokio::test]
async fn missing_index_files_are_rebuilt_by_a_writer() {
    let (_guard, path) = folder();
    let written = shuffled(3_000);
    store(&path, &written).await;
    drop(open(&path).await);
    fs::remove_dir_all(path.join(".attestry")).unwrap();
    assert_holds(&open_read_only(&path).await, &written).await;
    assert!(indexes(&path).is_empty());
    let storage = open(&path).await;
    assert_holds(&storage, &written).await;
    let sealed = segments(&path).len() - 1;
    assert_eq!(indexes(&path).len(), sealed, "the active one is small");
    assert_eq!(storage.recovery().indexes_made, sealed, "one for each sealed segment");
    drop(storage);
    assert_eq!(open(&path).await.recovery().indexes_made, 0);
}

#[tokio::test]
async fn stale_files_are_removed_and_reported() {
    let (_guard, path) = folder();
    let written = shuffled(3_000);
    store(&path, &written).await;
    drop(open(&path).await);
    let made = indexes(&path);
    let orphan = made[0].with_file_name("7.idx");
    fs::write(&orphan, "of a removed segment").unwrap();
    let unfinished = path.join(".attestry/compacted.tmp");
    fs::write(&unfinished, "half").unwrap();
    let storage = open(&path).await;
    let report = storage.recovery();
    assert_eq!((report.files_removed, report.indexes_made), (2, 0), "{report}");
    assert!(report.is_clean());
    assert_eq!(report.to_string(), "removed 2 stale files");
    assert!(!orphan.exists() && !unfinished.exists());
    assert_eq!(indexes(&path), made);
    assert_holds(&storage, &written).await;
}

#[tokio::test]
async fn damage_to_any_block_is_detected() {
    let (_guard, path) = folder();
    let written = shuffled(1_500);
    store(&path, &written).await;
    drop(open(&path).await);
    let victim = indexes(&path)[0].clone();
    let whole = fs::read(&victim).unwrap();
    for block in 0..whole.len() / 1_024 {
        let mut bytes = whole.clone();
        bytes[block * 1_024 + 17] ^= 4;
        fs::write(&victim, &bytes).unwrap();
        assert_holds(&open_read_only(&path).await, &written).await;
        let storage = open(&path).await;
        assert_holds(&storage, &written).await;
        storage.close().await.unwrap();
    }
    for length in [0, 1, 1_023, 1_024, whole.len() - 1] {
        fs::write(&victim, &whole[..length]).unwrap();
        assert_holds(&open(&path).await, &written).await;
    }
}

#[tokio::test]
async fn expiry_works_with_a_damaged_index_file() {
    let written = shuffled(1_500);
    let cutoff = Timestamp::from_unix_micros(300).unwrap();
    let left: Vec<_> = written.iter().filter(|entry| entry.timestamp > cutoff).cloned().collect();
    for block in 0.. {
        let (_guard, path) = folder();
        store(&path, &written).await;
        let storage = open(&path).await;
        let victim = indexes(&path)[0].clone();
        let mut bytes = fs::read(&victim).unwrap();
        let Some(byte) = bytes.get_mut(block * 1_024 + 17) else { break };
        *byte ^= 4;
        fs::write(&victim, &bytes).unwrap();
        let deleted = storage.delete_at_or_before(cutoff).await.unwrap();
        assert_eq!(deleted as usize, written.len() - left.len(), "block {block}");
        assert_holds(&storage, &left).await;
        assert_eq!(storage.delete_at_or_before(Timestamp::MAX).await.unwrap() as usize, left.len());
        assert_eq!(storage.count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn stale_index_file_is_detected() {
    let (_guard, path) = folder();
    let written = shuffled(1_500);
    store(&path, &written).await;
    drop(open(&path).await);
    // The Python package deletes by rewriting the file.
    let first = segments(&path)[1].clone(); // the active segment sorts first
    let text = fs::read_to_string(&first).unwrap();
    let (gone, rest) = text.split_once('\n').unwrap();
    assert!(gone.contains(written[0].id.as_str()));
    fs::write(&first, rest).unwrap();
    assert_holds(&open_read_only(&path).await, &written[1..]).await;
    assert_holds(&open(&path).await, &written[1..]).await;
}

#[tokio::test]
async fn erasures_are_counted_by_writer_and_reader() {
    let (_guard, path) = folder();
    let mut written = shuffled(2_000);
    store(&path, &written).await;
    let (storage, reader) = (open(&path).await, open_read_only(&path).await);
    assert_holds(&reader, &written).await;
    for at in [0, 3, 700, 1_200, 1_990] {
        assert!(storage.delete(&written.remove(at).id).await.unwrap());
        assert_holds(&storage, &written).await;
        assert_holds(&reader, &written).await;
    }
    let cutoff = Timestamp::from_unix_micros(300).unwrap();
    let before = written.len();
    written.retain(|entry| entry.timestamp > cutoff);
    assert_eq!(storage.delete_at_or_before(cutoff).await.unwrap() as usize, before - written.len());
    assert_holds(&storage, &written).await;
    assert_holds(&reader, &written).await;
    storage.close().await.unwrap();
    assert_holds(&open(&path).await, &written).await;
}

#[tokio::test]
async fn index_files_of_removed_segments_are_removed() {
    let (_guard, path) = folder();
    store(&path, &shuffled(1_500)).await;
    let storage = open(&path).await;
    assert!(!indexes(&path).is_empty());
    storage.delete_at_or_before(Timestamp::MAX).await.unwrap();
    assert!(indexes(&path).is_empty());
    storage.close().await.unwrap();
    fs::write(path.join(".attestry/index/12345.idx"), "stale").unwrap();
    fs::write(path.join(".attestry/index/12345.9.tmp"), "stale").unwrap();
    drop(open(&path).await);
    assert!(indexes(&path).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_proceed_during_compaction() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).rotation_size_bytes(2_000);
    let storage = std::sync::Arc::new(builder.clone().open().await.unwrap());
    let written = common::entries(0..600);
    storage.write_batch(&written).await.unwrap();
    let mut erased = 0;
    for entry in written.iter().step_by(5) {
        erased += common::line_of(entry).len() as u64;
        assert!(storage.delete(&entry.id).await.unwrap());
    }
    assert!(segments(&path).len() > 60);
    let other = builder.open().await.unwrap();
    let compacting = tokio::spawn({
        let storage = std::sync::Arc::clone(&storage);
        async move { storage.compact().await }
    });
    for (number, store) in [&*storage, &other, &storage, &other].into_iter().enumerate() {
        store.write(&entry(&format!("n{number}"), 700)).await.unwrap();
    }
    assert!(!compacting.is_finished(), "the job still has segments to rewrite after four writes");
    // Closing waits for the job to finish.
    storage.close().await.unwrap();
    let left = segments(&path).into_iter().map(|path| fs::read_to_string(path).unwrap());
    let blank = |text: String| text.lines().filter(|line| line.trim().is_empty()).count();
    assert!(left.map(blank).sum::<usize>() < 10, "only the active segment keeps blank lines");
    assert!(compacting.await.unwrap().unwrap() + 10 * 300 > erased);
}

#[tokio::test]
async fn compaction_frees_space_and_changes_nothing_else() {
    let (_guard, path) = folder();
    let mut written = shuffled(2_000);
    store(&path, &written).await;
    let (storage, reader) = (open(&path).await, open_read_only(&path).await);
    assert_holds(&reader, &written).await;
    assert_eq!(storage.compact().await.unwrap(), 0, "nothing was erased");

    let size = |path: &Path| -> u64 {
        segments(path).iter().map(|segment| fs::metadata(segment).unwrap().len()).sum()
    };
    let before = size(&path);
    let mut erased = 0;
    for at in [0, 100, 300] {
        let entry = written.remove(at);
        erased += common::line_of(&entry).len() as u64;
        assert!(storage.delete(&entry.id).await.unwrap());
    }
    assert_eq!(size(&path), before);
    assert_eq!(storage.compact().await.unwrap(), erased);
    assert_eq!(size(&path), before - erased);
    assert_holds(&storage, &written).await;
    assert_holds(&reader, &written).await;

    // Deletion works in the rewritten segment, and its index file is rebuilt.
    assert!(storage.delete(&written.remove(5).id).await.unwrap());
    assert_holds(&storage, &written).await;
    assert_holds(&reader, &written).await;
    storage.close().await.unwrap();
    assert_holds(&open(&path).await, &written).await;
    assert_eq!(indexes(&path).len(), segments(&path).len());
}

/// Opens the store at `path` and counts its entries; returns the count and the reported progress.
async fn open_with_progress(path: &Path, read_only: bool) -> (u64, Vec<(u64, u64)>) {
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

#[tokio::test]
async fn indexing_reports_progress() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(1_500_000).open().await.unwrap();
    storage.append(&shuffled(12_000)).await.unwrap();
    storage.close().await.unwrap();
    let sizes: Vec<u64> =
        segments(&path).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(sizes.len() > 3, "{sizes:?}");
    // The active segment sorts first by name; the others are read in parallel.
    let (active, sealed) = (sizes[0], sizes[1..].iter().sum::<u64>());
    for read_only in [true, false] {
        let _ = fs::remove_dir_all(path.join(".attestry/index")); // there may be none yet
        let (count, reported) = open_with_progress(&path, read_only).await;
        assert_eq!(count, 12_000);
        let of_sealed = reported.iter().filter(|(_, total)| *total == sealed);
        let read: Vec<u64> = of_sealed.map(|(read, _)| *read).collect();
        assert_eq!(read.last(), Some(&sealed), "{reported:?}");
        assert!(read.len() as u64 >= sealed >> 20, "{reported:?}");
        let rest = reported.iter().filter(|(_, total)| *total != sealed);
        assert!(
            rest.clone().all(|(read, total)| read <= total && *total == active),
            "{reported:?}"
        );
    }
    let (count, reported) = open_with_progress(&path, false).await;
    assert_eq!(count, 12_000);
    assert!(
        reported.iter().all(|(_, total)| *total == active),
        "sealed segments were read again: {reported:?}"
    );
}

/// Another store writes and erases meanwhile; the indexes must include those changes.
#[tokio::test(flavor = "multi_thread")]
async fn writes_proceed_while_opening_indexes_segments() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).rotation_size_bytes(1_500_000);
    let written = shuffled(12_000);
    let writer = builder.clone().open().await.unwrap();
    writer.append(&written).await.unwrap();
    writer.close().await.unwrap();
    let writer = Arc::new(builder.clone().open().await.unwrap());
    fs::remove_dir_all(path.join(".attestry/index")).unwrap();
    let changes = Arc::new(AtomicUsize::new(0));
    let change = {
        let (writer, changes, written) =
            (Arc::clone(&writer), Arc::clone(&changes), written.clone());
        async move || {
            let number = changes.fetch_add(1, Ordering::Relaxed);
            writer.append(&[entry(&format!("new{number}"), 1)]).await.unwrap();
            let [first, last] = [number, written.len() - 1 - number].map(|at| &written[at].id);
            assert!(writer.delete(first).await.unwrap() && writer.delete(last).await.unwrap());
        }
    };
    let runtime = Handle::current();
    let opening = builder.clone().on_indexing(move |_| runtime.block_on(change()));
    let opened = opening.open().await.unwrap();
    let changes = changes.load(Ordering::Relaxed);
    assert!(changes > 3);
    assert!(opened.recovery().indexes_made > 0);
    writer.append(&[entry("last", 2)]).await.unwrap();
    let again = builder.open().await.unwrap();
    let left = &written[changes..written.len() - changes];
    for storage in [&opened, &*writer, &again] {
        assert_eq!(storage.count().await.unwrap(), (left.len() + changes + 1) as u64);
        for entry in left.iter().step_by(500) {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
        }
        assert_eq!(storage.read(&written[0].id).await.unwrap(), None);
        assert_eq!(all(storage).await.unwrap().len(), left.len() + changes + 1);
    }
}

/// Creates a store with one active segment that has an index file; returns its entries.
async fn active_with_index(path: &Path) -> Vec<AuditEntry> {
    let written = shuffled(4_000);
    let storage = open(path).await;
    storage.append(&written).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!((indexes(path).len(), segments(path).len()), (1, 1));
    written
}

fn write_lines(path: &Path, entries: &[AuditEntry]) {
    // In place, as the Python package does.
    fs::write(path, entries.iter().map(common::line_of).collect::<Vec<_>>().concat()).unwrap();
}

#[tokio::test]
async fn index_file_of_active_segment_spares_reading_it() {
    let (_guard, path) = folder();
    let mut written = active_with_index(&path).await;
    for read_only in [true, false] {
        assert_eq!(open_with_progress(&path, read_only).await, (4_000, vec![]));
    }
    let more = entry("another", 500);
    let storage = open(&path).await;
    storage.append(std::slice::from_ref(&more)).await.unwrap();
    written.push(more);
    assert_holds(&storage, &written).await;
    storage.close().await.unwrap();
    assert_eq!(open_with_progress(&path, false).await, (4_001, vec![]));
    assert_holds(&open_read_only(&path).await, &written).await;
}

#[tokio::test]
async fn active_index_file_is_stale_after_foreign_changes() {
    let changes: [fn(&mut Vec<AuditEntry>); 5] = [
        |entries| entries.extend((0..5).map(|n| entry(&format!("python{n}"), n))),
        |entries| drop(entries.remove(7)),
        |entries| {
            entries.remove(7);
            entries.extend((0..5).map(|n| entry(&format!("python{n}"), n)));
        },
        // The same length as before.
        |entries| {
            entries.pop();
            entries.push(entry("python", 77));
        },
        |entries| {
            entries.truncate(5);
            entries.extend((0..9_000).map(|n| entry(&format!("p{n:05}"), n)));
        },
    ];
    for change in changes {
        let (_guard, path) = folder();
        let mut entries = active_with_index(&path).await;
        change(&mut entries);
        write_lines(&segments(&path)[0], &entries);
        assert_holds(&open_read_only(&path).await, &entries).await;
        assert_holds(&open(&path).await, &entries).await;
        assert_holds(&open(&path).await, &entries).await;
    }
}

#[tokio::test]
async fn dropped_blank_lines_hide_no_later_line() {
    let (_guard, path) = folder();
    let mut entries = active_with_index(&path).await;
    let last = entries.pop().unwrap();
    let storage = open(&path).await;
    assert!(storage.delete(&last.id).await.unwrap());
    storage.close().await.unwrap();
    open(&path).await.close().await.unwrap();
    assert_eq!(open_with_progress(&path, true).await, (3_999, vec![]), "it was rebuilt");
    // A line of the same length in place of the blank one.
    entries.push(entry("e99999", last.timestamp.unix_micros()));
    write_lines(&segments(&path)[0], &entries);
    assert_holds(&open_read_only(&path).await, &entries).await;
    assert_holds(&open(&path).await, &entries).await;
}

#[tokio::test]
async fn active_index_file_shows_no_erased_entry() {
    let (_guard, path) = folder();
    let mut entries = active_with_index(&path).await;
    let (storage, other) = (open(&path).await, open(&path).await);
    for at in [3_999, 0, 1_000] {
        let index = indexes(&path)[0].clone();
        assert!(storage.delete(&entries.remove(at).id).await.unwrap());
        // As after a crash: the index file was not rebuilt.
        assert!(fs::read(&index).unwrap()[1_024] > 0, "the index file counts the erased line");
        assert_holds(&open_read_only(&path).await, &entries).await;
        assert_holds(&other, &entries).await;
        assert_holds(&open(&path).await, &entries).await;
        storage.append(&[entry(&format!("more{at}"), 5)]).await.unwrap();
        entries.push(entry(&format!("more{at}"), 5));
        assert_holds(&open(&path).await, &entries).await;
    }
    other.close().await.unwrap();
    storage.close().await.unwrap();
    assert_holds(&open(&path).await, &entries).await;
}

#[tokio::test]
async fn damaged_or_foreign_active_index_file_is_detected() {
    let (_guard, path) = folder();
    let entries = active_with_index(&path).await;
    let victim = indexes(&path)[0].clone();
    let whole = fs::read(&victim).unwrap();
    for block in (0..whole.len() / 1_024).step_by(11).chain([1]) {
        let mut bytes = whole.clone();
        bytes[block * 1_024 + 17] ^= 4;
        fs::write(&victim, &bytes).unwrap();
        assert_holds(&open_read_only(&path).await, &entries).await;
    }
    for length in [0, 1_024, whole.len() - 1] {
        fs::write(&victim, &whole[..length]).unwrap();
        assert_holds(&open_read_only(&path).await, &entries).await;
    }
    assert_holds(&open(&path).await, &entries).await;
    assert!(fs::read(&victim).unwrap() == whole, "it was rebuilt");

    // The index file of another segment under the inode number of this one.
    let (_guard, elsewhere) = folder();
    active_with_index(&elsewhere).await;
    write_lines(&segments(&elsewhere)[0], &entries[1..]);
    fs::write(&indexes(&elsewhere)[0], &whole).unwrap();
    assert_holds(&open_read_only(&elsewhere).await, &entries[1..]).await;
}

/// Asserts that a reader of the store at `path` finds `count` entries and reads no segment to index it.
async fn assert_indexed(path: &Path, count: u64) {
    let (found, progress) = open_with_progress(path, true).await;
    assert_eq!(found, count);
    assert_eq!(progress, [], "no byte of a segment is read");
    assert_eq!(indexes(path).len(), segments(path).len());
}

#[tokio::test]
async fn writer_leaves_every_segment_indexed() {
    for rotation in [20_000, 200_000, 4_000_000, 100_000_000] {
        let (_temporary, path) = folder();
        let entries = shuffled(14_000);
        let storage = FileStorage::builder(&path).rotation_size_bytes(rotation);
        let storage = storage.open().await.unwrap();
        for batch in entries.chunks(500) {
            storage.append(batch).await.unwrap();
        }
        storage.close().await.unwrap();
        assert_indexed(&path, entries.len() as u64).await;
        assert_holds(&open_read_only(&path).await, &entries).await;
        let next = open(&path).await;
        assert_eq!(next.recovery().indexes_made, 0);
        next.close().await.unwrap();
    }
}

#[tokio::test]
async fn sealed_segment_is_indexed_while_the_store_is_open() {
    let (_temporary, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(4_000_000).open().await.unwrap();
    for batch in shuffled(10_000).chunks(500) {
        storage.append(batch).await.unwrap();
    }
    assert_eq!(segments(&path).len(), 2);
    // No call wakes the writer thread.
    while !indexes(&path).iter().any(|path| path.extension().is_some_and(|idx| idx == "idx")) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    storage.close().await.unwrap();
    assert_indexed(&path, 10_000).await;
}

#[tokio::test]
async fn interleaved_writers_leave_every_segment_indexed() {
    let (_temporary, path) = folder();
    let open = || FileStorage::builder(&path).rotation_size_bytes(300_000).open();
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let entries = shuffled(3_000);
    for (number, batch) in entries.chunks(100).enumerate() {
        let storage = if number % 3 == 0 { &one } else { &other };
        storage.append(batch).await.unwrap();
    }
    one.close().await.unwrap();
    other.close().await.unwrap();
    assert_indexed(&path, 3_000).await;
    assert_holds(&open_read_only(&path).await, &entries).await;
}

#[tokio::test]
async fn entries_erased_before_the_seal_are_not_indexed() {
    let (_temporary, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(4_000_000).open().await.unwrap();
    let mut entries = shuffled(14_000);
    let erased = entries[100].id.clone();
    for (number, batch) in entries.chunks(500).enumerate() {
        storage.append(batch).await.unwrap();
        if number == 1 {
            assert!(storage.delete(&erased).await.unwrap());
        }
    }
    storage.close().await.unwrap();
    entries.remove(100);
    assert_indexed(&path, entries.len() as u64).await;
    let reader = open_read_only(&path).await;
    assert_eq!(reader.read(&erased).await.unwrap(), None);
    assert_holds(&reader, &entries).await;
}

/// Each process appends a few entries, as the command does.
#[tokio::test]
async fn many_short_processes_leave_sealed_segments_indexed() {
    let (_temporary, path) = folder();
    let entries = shuffled(600);
    for batch in entries.chunks(20) {
        let storage =
            FileStorage::builder(&path).rotation_size_bytes(100_000).open().await.unwrap();
        storage.append(batch).await.unwrap();
        storage.close().await.unwrap();
    }
    assert!(segments(&path).len() > 2);
    assert_indexed(&path, 600).await;
}

/// A way to put `bytes` into a file that keeps its inode.
type Overwrite = fn(&Path, &[u8]);

/// Ways in which editors and restores change a file in place.
const IN_PLACE: [Overwrite; 2] = [
    |path, bytes| fs::write(path, bytes).unwrap(),
    // With the modification time of the file before, as `cp --preserve` and `rsync --times` set it.
    |path, bytes| {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        fs::write(path, bytes).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    },
];

/// A segment is restored from a copy that was made before an erasure: the same inode and length.
#[tokio::test]
async fn segment_restored_in_place_is_read_as_it_is() {
    for overwrite in IN_PLACE {
        for number in [0, 1] {
            let (_guard, path) = folder();
            let written = shuffled(1_500);
            store(&path, &written).await;
            open(&path).await.close().await.unwrap();
            // The active segment sorts first by name.
            let segment = segments(&path)[number].clone();
            let before = fs::read(&segment).unwrap();
            let erased: Vec<_> =
                written.iter().filter(|entry| contains(&before, entry)).take(3).cloned().collect();
            assert_eq!(erased.len(), 3);
            let storage = open(&path).await;
            for entry in &erased {
                assert!(storage.delete(&entry.id).await.unwrap());
            }
            storage.close().await.unwrap();
            overwrite(&segment, &before);
            assert_holds(&open_read_only(&path).await, &written).await;
            let storage = open(&path).await;
            assert_holds(&storage, &written).await;
            for entry in &erased {
                assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
                assert!(storage.delete(&entry.id).await.unwrap());
            }
            assert_eq!(storage.count().await.unwrap(), 1_497);
            storage.close().await.unwrap();
            assert_eq!(open_read_only(&path).await.count().await.unwrap(), 1_497);
        }
    }
}

/// The edit is followed by appends: the index file of the active segment must not look as if it were only
/// older.
#[tokio::test]
async fn edited_active_segment_is_indexed_again_when_it_grows() {
    for overwrite in IN_PLACE {
        let (_guard, path) = folder();
        let mut written = active_with_index(&path).await;
        let segment = segments(&path)[0].clone();
        // An entry with an id of the same length.
        let text = String::from_utf8(fs::read(&segment).unwrap()).unwrap();
        let edited = entry("x99999", written[7].timestamp.unix_micros());
        let line = String::from_utf8(common::line_of(&edited)).unwrap();
        let old = String::from_utf8(common::line_of(&written[7])).unwrap();
        overwrite(&segment, text.replacen(&old, &line, 1).as_bytes());
        written[7] = edited;
        for n in 0..3 {
            let new = entry(&format!("n{n}"), 5);
            let storage = open(&path).await;
            storage.append(std::slice::from_ref(&new)).await.unwrap();
            written.push(new);
            storage.close().await.unwrap();
            let reader = open_read_only(&path).await;
            assert_holds(&reader, &written).await;
            assert!(reader.read(&"x99999".parse().unwrap()).await.unwrap().is_some());
        }
    }
}

fn contains(segment: &[u8], entry: &AuditEntry) -> bool {
    let line = common::line_of(entry);
    segment.split_inclusive(|byte| *byte == b'\n').any(|found| found == line)
}

/// As an earlier version wrote it, which does not know the state of the segment.
#[tokio::test]
async fn index_file_without_the_segment_state_is_rebuilt() {
    let (_guard, path) = folder();
    let written = shuffled(1_500);
    store(&path, &written).await;
    open(&path).await.close().await.unwrap();
    for index in indexes(&path) {
        let mut bytes = fs::read(&index).unwrap();
        let block = &mut bytes[1_024..2_048];
        block[8..24].fill(0);
        let checksum = crc32fast::hash(&block[..1_020]);
        block[1_020..].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&index, bytes).unwrap();
    }
    assert_holds(&open_read_only(&path).await, &written).await;
    let storage = open(&path).await;
    assert!(storage.recovery().indexes_made > 0);
    assert_holds(&storage, &written).await;
    storage.close().await.unwrap();
    assert_eq!(open(&path).await.recovery().indexes_made, 0);
}

/// An index file that lacks a line, although the segment looks unchanged.
#[tokio::test]
async fn check_finds_and_replaces_a_wrong_index() {
    let (_guard, path) = folder();
    let written = shuffled(1_500);
    store(&path, &written).await;
    let storage = open(&path).await;
    assert!(storage.check_indexes().await.unwrap().is_empty());
    storage.close().await.unwrap();
    // One more line of a sealed segment counts as erased.
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&segments(&path)[1]).unwrap());
    let index = path.join(format!(".attestry/index/{inode}.idx"));
    let mut bytes = fs::read(&index).unwrap();
    bytes[1_024] += 1;
    let checksum = crc32fast::hash(&bytes[1_024..2_044]);
    bytes[2_044..2_048].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&index, bytes).unwrap();

    let reader = open_read_only(&path).await;
    assert_eq!(reader.count().await.unwrap(), 1_499);
    assert_eq!(reader.check_indexes().await.unwrap().len(), 1);
    assert_eq!(open_read_only(&path).await.count().await.unwrap(), 1_499, "nothing was changed");
    let storage = open(&path).await;
    assert_eq!(storage.check_indexes().await.unwrap().len(), 1);
    assert_holds(&storage, &written).await;
    storage.close().await.unwrap();
    assert_holds(&open_read_only(&path).await, &written).await;
    assert!(open(&path).await.check_indexes().await.unwrap().is_empty());
}

#[tokio::test]
async fn estimate_of_expired_entries_is_exact_if_none_is_erased() {
    let (_temporary, path) = folder();
    let entries = shuffled(3_000);
    store(&path, &entries).await;
    let storage = open_read_only(&path).await;
    for cutoff in [-1, 0, 300, 1_008, 9_999] {
        let cutoff = Timestamp::from_unix_micros(cutoff).unwrap();
        let expected = entries.iter().filter(|entry| entry.timestamp <= cutoff).count() as u64;
        assert_eq!(storage.estimate_at_or_before(cutoff).await.unwrap(), expected);
    }
    assert_eq!(storage.estimate_at_or_before(Timestamp::MAX).await.unwrap(), 3_000);
}
