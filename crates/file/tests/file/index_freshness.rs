//! An index file of a segment that was changed since, by an append, an edit or a restore, is noticed.

use std::fs;
use std::path::Path;

use crate::common::indexes::{
    active_with_index, assert_holds, indexes, open_with_progress, shuffled, store, write_lines,
};
use crate::common::{self, entry, folder, open, open_read_only, segments};
use attestry_core::{AuditEntry, StorageBackend};

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
