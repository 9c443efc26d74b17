//! Index files: used when they match, rebuilt when missing, stale or damaged.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::indexes::{assert_holds, indexes, open_with_progress, shuffled, store};
use crate::common::{self, all, entry, folder, open, open_read_only, segments};
use attestry_core::{StorageBackend, Timestamp};
use attestry_file::FileStorage;
use tokio::runtime::Handle;

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
