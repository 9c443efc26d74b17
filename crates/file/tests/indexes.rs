//! Index files: used, made anew when missing, stale or damaged, and never believed blindly.
#![allow(clippy::unwrap_used)] // helpers of a test

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

/// Entries whose times jump, so that segments overlap and ties cross them.
fn scattered(count: i64) -> Vec<AuditEntry> {
    (0..count).map(|n| entry(&format!("e{n:05}"), (n * 7_919) % 1_009)).collect()
}

fn in_order(entries: &[AuditEntry]) -> Vec<AuditEntry> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    sorted
}

async fn store(path: &Path, entries: &[AuditEntry]) {
    let storage = FileStorage::builder(path).rotation_size_bytes(200_000).open().await.unwrap();
    storage.write_batch(entries).await.unwrap();
    storage.close().await.unwrap();
}

/// Everything the store says, checked against `expected` in the order written.
async fn agrees(storage: &FileStorage, expected: &[AuditEntry]) {
    let sorted = in_order(expected);
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
async fn sealed_segments_get_one_and_it_tells_the_same() {
    let (_guard, path) = folder();
    let written = scattered(3_000);
    store(&path, &written).await;
    let storage = open(&path).await;
    assert_eq!(indexes(&path).len(), segments(&path).len() - 1, "all but the active one");
    agrees(&storage, &written).await;
    agrees(&open_read_only(&path).await, &written).await;
}

#[tokio::test]
async fn ids_are_found_in_whichever_of_many_segments_they_are() {
    let (_guard, path) = folder();
    let entries: Vec<_> = (0..2_000).map(|n| entry(&format!("e{n:05}"), n)).collect();
    let storage = FileStorage::builder(&path).rotation_size_bytes(10_000).open().await.unwrap();
    for some in entries.chunks(50) {
        storage.write_batch(some).await.unwrap();
    }
    assert!(indexes(&path).len() > 35, "more than are asked at once");
    for _ in 0..2 {
        // The first time no filter is in memory yet.
        for entry in entries.iter().rev() {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
        }
        assert!(storage.read(&"none".parse().unwrap()).await.unwrap().is_none());
    }
    assert!(storage.delete(&entries[700].id).await.unwrap());
    assert!(storage.read(&entries[700].id).await.unwrap().is_none());
}

#[tokio::test]
async fn without_them_a_reader_manages_and_a_writer_makes_them_anew() {
    let (_guard, path) = folder();
    let written = scattered(3_000);
    store(&path, &written).await;
    drop(open(&path).await);
    let made = indexes(&path).len();
    fs::remove_dir_all(path.join(".attestry")).unwrap();
    agrees(&open_read_only(&path).await, &written).await;
    assert!(indexes(&path).is_empty());
    let storage = open(&path).await;
    agrees(&storage, &written).await;
    assert_eq!(indexes(&path).len(), made);
    assert_eq!(storage.recovery().indexes_made, segments(&path).len() - 1, "but of the last");
    drop(storage);
    assert_eq!(open(&path).await.recovery().indexes_made, 0);
}

#[tokio::test]
async fn files_that_nobody_needs_are_removed_and_told() {
    let (_guard, path) = folder();
    let written = scattered(3_000);
    store(&path, &written).await;
    drop(open(&path).await);
    let made = indexes(&path);
    let gone = made[0].with_file_name("7.idx");
    fs::write(&gone, "of a segment that is gone").unwrap();
    let unfinished = path.join(".attestry/compacted.tmp");
    fs::write(&unfinished, "half").unwrap();
    let storage = open(&path).await;
    let report = storage.recovery();
    assert_eq!((report.files_removed, report.indexes_made), (2, 0), "{report}");
    assert!(report.is_clean());
    assert_eq!(report.to_string(), "2 files that nobody needs were removed");
    assert!(!gone.exists() && !unfinished.exists());
    assert_eq!(indexes(&path), made);
    agrees(&storage, &written).await;
}

#[tokio::test]
async fn a_damaged_one_is_found_out_wherever_it_is_damaged() {
    let (_guard, path) = folder();
    let written = scattered(1_500);
    store(&path, &written).await;
    drop(open(&path).await);
    let victim = indexes(&path)[0].clone();
    let whole = fs::read(&victim).unwrap();
    for block in 0..whole.len() / 1_024 {
        let mut bytes = whole.clone();
        bytes[block * 1_024 + 17] ^= 4;
        fs::write(&victim, &bytes).unwrap();
        agrees(&open_read_only(&path).await, &written).await;
        let storage = open(&path).await;
        agrees(&storage, &written).await;
        storage.close().await.unwrap();
    }
    for length in [0, 1, 1_023, 1_024, whole.len() - 1] {
        fs::write(&victim, &whole[..length]).unwrap();
        agrees(&open(&path).await, &written).await;
    }
}

#[tokio::test]
async fn behind_a_damaged_one_what_expires_is_deleted_all_the_same() {
    let written = scattered(1_500);
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
        agrees(&storage, &left).await;
        assert_eq!(storage.delete_at_or_before(Timestamp::MAX).await.unwrap() as usize, left.len());
        assert_eq!(storage.count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_stale_one_is_found_out() {
    let (_guard, path) = folder();
    let written = scattered(1_500);
    store(&path, &written).await;
    drop(open(&path).await);
    // The Python package deletes by rewriting the file.
    let first = segments(&path)[1].clone(); // the active one sorts first
    let text = fs::read_to_string(&first).unwrap();
    let (gone, rest) = text.split_once('\n').unwrap();
    assert!(gone.contains(written[0].id.as_str()));
    fs::write(&first, rest).unwrap();
    agrees(&open_read_only(&path).await, &written[1..]).await;
    agrees(&open(&path).await, &written[1..]).await;
}

#[tokio::test]
async fn erasures_are_counted_by_whoever_looks() {
    let (_guard, path) = folder();
    let mut written = scattered(2_000);
    store(&path, &written).await;
    let (storage, reader) = (open(&path).await, open_read_only(&path).await);
    agrees(&reader, &written).await;
    for at in [0, 3, 700, 1_200, 1_990] {
        assert!(storage.delete(&written.remove(at).id).await.unwrap());
        agrees(&storage, &written).await;
        agrees(&reader, &written).await;
    }
    let cutoff = Timestamp::from_unix_micros(300).unwrap();
    let before = written.len();
    written.retain(|entry| entry.timestamp > cutoff);
    assert_eq!(storage.delete_at_or_before(cutoff).await.unwrap() as usize, before - written.len());
    agrees(&storage, &written).await;
    agrees(&reader, &written).await;
    storage.close().await.unwrap();
    agrees(&open(&path).await, &written).await;
}

#[tokio::test]
async fn index_files_of_segments_that_are_gone_go_too() {
    let (_guard, path) = folder();
    store(&path, &scattered(1_500)).await;
    let storage = open(&path).await;
    assert!(!indexes(&path).is_empty());
    storage.delete_at_or_before(Timestamp::MAX).await.unwrap();
    assert!(indexes(&path).is_empty());
    storage.close().await.unwrap();
    fs::write(path.join(".attestry/index/12345.idx"), "left over").unwrap();
    fs::write(path.join(".attestry/index/12345.idx.9.tmp"), "left over").unwrap();
    drop(open(&path).await);
    assert!(indexes(&path).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn compacting_keeps_nobody_waiting_for_all_of_it() {
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
    for (number, owner) in [&*storage, &other, &storage, &other].into_iter().enumerate() {
        owner.write(&entry(&format!("n{number}"), 700)).await.unwrap();
    }
    assert!(!compacting.is_finished(), "rewriting a segment takes as long as two writes");
    // Whoever closes waits for all of it.
    storage.close().await.unwrap();
    let left = segments(&path).into_iter().map(|path| fs::read_to_string(path).unwrap());
    let blank = |text: String| text.lines().filter(|line| line.trim().is_empty()).count();
    assert!(left.map(blank).sum::<usize>() < 10, "but for the segment that grows");
    assert!(compacting.await.unwrap().unwrap() + 10 * 300 > erased);
}

#[tokio::test]
async fn compacting_gives_back_the_space_and_changes_nothing_else() {
    let (_guard, path) = folder();
    let mut written = scattered(2_000);
    store(&path, &written).await;
    let (storage, reader) = (open(&path).await, open_read_only(&path).await);
    agrees(&reader, &written).await;
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
    agrees(&storage, &written).await;
    agrees(&reader, &written).await;

    // Deleting goes on in the rewritten segment, and its index is made anew.
    assert!(storage.delete(&written.remove(5).id).await.unwrap());
    agrees(&storage, &written).await;
    agrees(&reader, &written).await;
    storage.close().await.unwrap();
    agrees(&open(&path).await, &written).await;
    assert_eq!(indexes(&path).len(), segments(&path).len() - 1);
}

/// Opens the folder at `path`, counts what it holds, and says what was told meanwhile.
async fn told_while_opening(path: &Path, read_only: bool) -> (u64, Vec<(u64, u64)>) {
    let told: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let listener = Arc::clone(&told);
    let opening = FileStorage::builder(path).read_only(read_only).on_indexing(move |progress| {
        listener.lock().unwrap().push((progress.bytes_read, progress.bytes_total));
    });
    let storage = opening.open().await.unwrap();
    let count = storage.count().await.unwrap();
    storage.close().await.unwrap();
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable(); // several threads tell, in any order
    (count, told)
}

#[tokio::test]
async fn reading_segments_without_one_tells_how_far_it_is() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(1_500_000).open().await.unwrap();
    storage.append(&scattered(12_000)).await.unwrap();
    storage.close().await.unwrap();
    let sizes: Vec<u64> =
        segments(&path).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(sizes.len() > 3, "{sizes:?}");
    // The active one comes first by name; the others are read together.
    let (active, sealed) = (sizes[0], sizes[1..].iter().sum::<u64>());
    for read_only in [true, false] {
        let _ = fs::remove_dir_all(path.join(".attestry/index")); // perhaps none was made yet
        let (count, told) = told_while_opening(&path, read_only).await;
        assert_eq!(count, 12_000);
        let of_sealed = told.iter().filter(|(_, total)| *total == sealed);
        let read: Vec<u64> = of_sealed.map(|(read, _)| *read).collect();
        assert_eq!(read.last(), Some(&sealed), "{told:?}");
        assert!(read.len() as u64 >= sealed >> 20, "{told:?}");
        let rest = told.iter().filter(|(_, total)| *total != sealed);
        assert!(rest.clone().all(|(read, total)| read <= total && *total == active), "{told:?}");
    }
    let (count, told) = told_while_opening(&path, false).await;
    assert_eq!(count, 12_000);
    assert!(told.iter().all(|(_, total)| *total == active), "indexed once more: {told:?}");
}

/// Others write and erase while it reads, which its indexes must not miss.
#[tokio::test(flavor = "multi_thread")]
async fn opening_keeps_nobody_waiting_while_it_reads() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).rotation_size_bytes(1_500_000);
    let written = scattered(12_000);
    let owner = builder.clone().open().await.unwrap();
    owner.append(&written).await.unwrap();
    owner.close().await.unwrap();
    let owner = Arc::new(builder.clone().open().await.unwrap());
    fs::remove_dir_all(path.join(".attestry/index")).unwrap();
    let changes = Arc::new(AtomicUsize::new(0));
    let change = {
        let (owner, changes, written) = (Arc::clone(&owner), Arc::clone(&changes), written.clone());
        async move || {
            let number = changes.fetch_add(1, Ordering::Relaxed);
            owner.append(&[entry(&format!("new{number}"), 1)]).await.unwrap();
            let [first, last] = [number, written.len() - 1 - number].map(|at| &written[at].id);
            assert!(owner.delete(first).await.unwrap() && owner.delete(last).await.unwrap());
        }
    };
    let runtime = Handle::current();
    let opening = builder.clone().on_indexing(move |_| runtime.block_on(change()));
    let opened = opening.open().await.unwrap();
    let changes = changes.load(Ordering::Relaxed);
    assert!(changes > 3);
    assert!(opened.recovery().indexes_made > 0);
    owner.append(&[entry("last", 2)]).await.unwrap();
    let again = builder.open().await.unwrap();
    let left = &written[changes..written.len() - changes];
    for storage in [&opened, &*owner, &again] {
        assert_eq!(storage.count().await.unwrap(), (left.len() + changes + 1) as u64);
        for entry in left.iter().step_by(500) {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
        }
        assert_eq!(storage.read(&written[0].id).await.unwrap(), None);
        assert_eq!(all(storage).await.unwrap().len(), left.len() + changes + 1);
    }
}

/// A store of one segment, which grows and has an index file, and what is in it.
async fn growing(path: &Path) -> Vec<AuditEntry> {
    let written = scattered(4_000);
    let storage = open(path).await;
    storage.append(&written).await.unwrap();
    storage.close().await.unwrap();
    assert!(indexes(path).is_empty(), "nobody has read it");
    open(path).await.close().await.unwrap();
    assert_eq!((indexes(path).len(), segments(path).len()), (1, 1));
    written
}

fn write_lines(path: &Path, entries: &[AuditEntry]) {
    // In its place, as the Python package does.
    fs::write(path, entries.iter().map(common::line_of).collect::<Vec<_>>().concat()).unwrap();
}

#[tokio::test]
async fn the_segment_that_grows_has_one_too_and_is_read_no_more() {
    let (_guard, path) = folder();
    let mut written = growing(&path).await;
    for read_only in [true, false] {
        assert_eq!(told_while_opening(&path, read_only).await, (4_000, vec![]));
    }
    let more = entry("another", 500);
    let storage = open(&path).await;
    storage.append(std::slice::from_ref(&more)).await.unwrap();
    written.push(more);
    agrees(&storage, &written).await;
    storage.close().await.unwrap();
    assert_eq!(told_while_opening(&path, false).await, (4_001, vec![]));
    agrees(&open_read_only(&path).await, &written).await;
}

#[tokio::test]
async fn that_of_a_growing_segment_is_not_believed_when_another_program_was_at_it() {
    let changes: [fn(&mut Vec<AuditEntry>); 5] = [
        |entries| entries.extend((0..5).map(|n| entry(&format!("python{n}"), n))),
        |entries| drop(entries.remove(7)),
        |entries| {
            entries.remove(7);
            entries.extend((0..5).map(|n| entry(&format!("python{n}"), n)));
        },
        // As long as before.
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
        let mut entries = growing(&path).await;
        change(&mut entries);
        write_lines(&segments(&path)[0], &entries);
        agrees(&open_read_only(&path).await, &entries).await;
        agrees(&open(&path).await, &entries).await;
        agrees(&open(&path).await, &entries).await;
    }
}

#[tokio::test]
async fn blank_lines_that_another_program_drops_hide_none_behind_them() {
    let (_guard, path) = folder();
    let mut entries = growing(&path).await;
    let last = entries.pop().unwrap();
    let storage = open(&path).await;
    assert!(storage.delete(&last.id).await.unwrap());
    storage.close().await.unwrap();
    open(&path).await.close().await.unwrap();
    assert_eq!(told_while_opening(&path, true).await, (3_999, vec![]), "it was made anew");
    // In the place of the blank line, and of its length.
    entries.push(entry("e99999", last.timestamp.unix_micros()));
    write_lines(&segments(&path)[0], &entries);
    agrees(&open_read_only(&path).await, &entries).await;
    agrees(&open(&path).await, &entries).await;
}

#[tokio::test]
async fn that_of_a_growing_segment_shows_no_entry_that_was_erased() {
    let (_guard, path) = folder();
    let mut entries = growing(&path).await;
    let (storage, other) = (open(&path).await, open(&path).await);
    for at in [3_999, 0, 1_000] {
        let index = indexes(&path)[0].clone();
        assert!(storage.delete(&entries.remove(at).id).await.unwrap());
        // As after a crash: nobody has made it anew.
        assert!(fs::read(&index).unwrap()[1_024] > 0, "the file counts it");
        agrees(&open_read_only(&path).await, &entries).await;
        agrees(&other, &entries).await;
        agrees(&open(&path).await, &entries).await;
        storage.append(&[entry(&format!("more{at}"), 5)]).await.unwrap();
        entries.push(entry(&format!("more{at}"), 5));
        agrees(&open(&path).await, &entries).await;
    }
    other.close().await.unwrap();
    storage.close().await.unwrap();
    agrees(&open(&path).await, &entries).await;
}

#[tokio::test]
async fn a_damaged_or_foreign_one_of_a_growing_segment_is_found_out() {
    let (_guard, path) = folder();
    let entries = growing(&path).await;
    let victim = indexes(&path)[0].clone();
    let whole = fs::read(&victim).unwrap();
    for block in (0..whole.len() / 1_024).step_by(11).chain([1]) {
        let mut bytes = whole.clone();
        bytes[block * 1_024 + 17] ^= 4;
        fs::write(&victim, &bytes).unwrap();
        agrees(&open_read_only(&path).await, &entries).await;
    }
    for length in [0, 1_024, whole.len() - 1] {
        fs::write(&victim, &whole[..length]).unwrap();
        agrees(&open_read_only(&path).await, &entries).await;
    }
    agrees(&open(&path).await, &entries).await;
    assert!(fs::read(&victim).unwrap() == whole, "it was made anew");

    // Another segment's, under the number of this one.
    let (_guard, elsewhere) = folder();
    growing(&elsewhere).await;
    write_lines(&segments(&elsewhere)[0], &entries[1..]);
    fs::write(&indexes(&elsewhere)[0], &whole).unwrap();
    agrees(&open_read_only(&elsewhere).await, &entries[1..]).await;
}
