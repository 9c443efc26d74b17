//! The files of a store: names, bytes, permissions; and stores that the Python package wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::{
    self, all, entries, entry, folder, line_of, names, only_segment, open, segments,
};
use attestry_core::{Query, StorageBackend, Timestamp, line};
use attestry_file::FileStorage;
use futures_util::TryStreamExt;

fn today() -> String {
    Timestamp::now().to_string()[..10].replace('-', "")
}

#[tokio::test]
async fn segment_is_exactly_its_lines() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    let written = [entry("é", 2), entry("b", 1)];
    for entry in &written {
        storage.write(entry).await.unwrap();
    }
    storage.close().await.unwrap();
    // The name has the day of the write, not that of the entries; lines are in the order written.
    let segment = only_segment(&path);
    assert_eq!(names(std::slice::from_ref(&segment)), [format!("audit_{}.jsonl", today())]);
    assert_eq!(fs::read(segment).unwrap(), written.map(|entry| line_of(&entry)).concat());
}

#[tokio::test]
async fn open_store_reports_its_settings() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    assert_eq!(storage.path(), path);
    assert_eq!(storage.rotation_size_bytes(), 100 * 1024 * 1024);
    storage.close().await.unwrap();
    let storage = FileStorage::builder(&path).rotation_size_mb(50).open().await.unwrap();
    assert_eq!(storage.rotation_size_bytes(), 50 * 1024 * 1024);
}

#[tokio::test]
async fn files_and_folders_are_private_to_the_owner() {
    let (_guard, path) = folder();
    let nested = path.join("a/b/c");
    let storage = FileStorage::builder(&nested).rotation_size_bytes(10).open().await.unwrap();
    storage.write_batch(&entries(0..3)).await.unwrap();
    storage.delete(&"e00000".parse().unwrap()).await.unwrap();
    storage.close().await.unwrap();
    assert!(nested.join(".attestry/index").is_dir());
    let mut visited = 0;
    let mut pending = vec![path];
    while let Some(path) = pending.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            pending.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
        }
        visited += 1;
    }
    assert!(visited >= 9, "{visited}");
}

#[tokio::test]
async fn rotates_before_the_write_after_the_rotation_size() {
    let (_guard, path) = folder();
    let length = line_of(&entry("e00000", 0)).len() as u64;
    let storage = FileStorage::builder(&path).rotation_size_bytes(2 * length).open().await.unwrap();
    let written = entries(0..7);
    // Single writes and a batch produce the same files.
    for entry in &written[..3] {
        storage.write(entry).await.unwrap();
    }
    storage.write_batch(&written[3..]).await.unwrap();
    let day = today();
    let expected = ["_001", "_002", "_003", ""].map(|number| format!("audit_{day}{number}.jsonl"));
    let mut found = names(&segments(&path));
    found.rotate_left(1); // the active segment sorts first by name and is the newest
    assert_eq!(found, expected);
    for (name, lines) in
        expected.iter().zip([&written[0..2], &written[2..4], &written[4..6], &written[6..]])
    {
        let bytes: Vec<u8> = lines.iter().flat_map(line_of).collect();
        assert_eq!(fs::read(path.join(name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(all(&storage).await.unwrap(), written);
}

#[tokio::test]
async fn equal_timestamps_keep_write_order_across_segments() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(1_000).open().await.unwrap();
    let written: Vec<_> = (0..20).map(|n| entry(&format!("{}", 99 - n), 7)).collect();
    storage.write_batch(&written).await.unwrap();
    assert!(segments(&path).len() > 5);
    assert_eq!(all(&storage).await.unwrap(), written);
    storage.close().await.unwrap();
    assert_eq!(all(&open(&path).await).await.unwrap(), written);
}

#[tokio::test]
async fn erasing_blanks_the_line_and_moves_no_other_byte() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    let written = entries(0..3);
    storage.write_batch(&written).await.unwrap();
    let before = fs::read(only_segment(&path)).unwrap();
    assert!(storage.delete(&written[1].id).await.unwrap());
    let after = fs::read(only_segment(&path)).unwrap();
    let mut lines = written.iter().map(line_of).collect::<Vec<_>>();
    let length = lines[1].len();
    lines[1] = [vec![b' '; length - 1], b"\n".to_vec()].concat();
    assert_eq!(before.len(), after.len());
    assert_eq!(after, lines.concat());
    assert_eq!(fs::read(path.join(".attestry/erasures.journal")).unwrap(), b"");
}

#[tokio::test]
async fn expiry_unlinks_whole_segments_and_keeps_other_bytes() {
    let (_guard, path) = folder();
    let length = line_of(&entry("e00000", 0)).len() as u64;
    let storage = FileStorage::builder(&path).rotation_size_bytes(3 * length).open().await.unwrap();
    storage.write_batch(&entries(0..12)).await.unwrap();
    let untouched = segments(&path)[0].clone(); // the active segment sorts first by name
    let before = fs::read(&untouched).unwrap();
    let cutoff = Timestamp::from_unix_micros(6).unwrap();
    assert_eq!(storage.delete_at_or_before(cutoff).await.unwrap(), 7);
    let day = today();
    // Entries 0..6 were in two segments, now unlinked; entry 6 was erased from the third.
    assert_eq!(
        names(&segments(&path)),
        [format!("audit_{day}.jsonl"), format!("audit_{day}_003.jsonl")]
    );
    assert_eq!(all(&storage).await.unwrap(), entries(7..12));
    assert_eq!(storage.count().await.unwrap(), 5);
    assert_eq!(fs::read(&untouched).unwrap(), before);
    // All segments are unlinked, the active one too; writes still work.
    assert_eq!(storage.delete_at_or_before(Timestamp::MAX).await.unwrap(), 5);
    assert!(segments(&path).is_empty());
    storage.write(&entry("next", 1)).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 1);
}

#[tokio::test]
async fn sealed_number_is_one_above_the_greatest() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    let day = today();
    fs::write(path.join(format!("audit_{day}_007.jsonl")), line_of(&entry("old", 1))).unwrap();
    fs::write(path.join(format!("audit_{day}.jsonl")), line_of(&entry("new", 1))).unwrap();
    fs::write(path.join("audit_notes.jsonl"), "not a segment").unwrap();
    let storage = FileStorage::builder(&path).rotation_size_bytes(10).open().await.unwrap();
    storage.write(&entry("newest", 1)).await.unwrap();
    let mut expected =
        ["", "_007", "_008"].map(|number| format!("audit_{day}{number}.jsonl")).to_vec();
    expected.push("audit_notes.jsonl".into());
    assert_eq!(names(&segments(&path)), expected);
    let ids: Vec<_> =
        all(&storage).await.unwrap().into_iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["old", "new", "newest"]);
}

#[tokio::test]
async fn duplicate_id_reads_first_lists_both_deletes_both() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    let (first, second) = (entry("twin", 5), entry("twin", 6));
    let text = [line_of(&first), line_of(&entry("other", 1)), line_of(&second)].concat();
    fs::write(path.join("audit_20260128.jsonl"), text).unwrap();
    let storage = open(&path).await;
    assert_eq!(storage.read(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(all(&storage).await.unwrap(), [entry("other", 1), first.clone(), second]);
    assert_eq!(storage.count().await.unwrap(), 3);
    assert!(storage.delete(&first.id).await.unwrap());
    assert_eq!(all(&storage).await.unwrap(), [entry("other", 1)]);
    assert_eq!(storage.count().await.unwrap(), 1);
}

#[tokio::test]
async fn reads_every_python_fixture() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/python");
    let mut stores = 0;
    for store in fs::read_dir(fixtures).unwrap() {
        let store = store.unwrap().path();
        if !store.is_dir() {
            continue;
        }
        let storage = common::open_read_only(&store).await;
        let found = all(&storage).await.unwrap();
        let mut stored_lines: Vec<_> =
            storage.scan_lines(Query::new()).try_collect().await.unwrap();
        let expected: serde_json::Value =
            serde_json::from_slice(&fs::read(store.join("expected.json")).unwrap()).unwrap();
        let lines: Vec<&str> = match expected["entries"].as_array() {
            Some(entries) => entries.iter().map(|entry| entry["line"].as_str().unwrap()).collect(),
            None => expected["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap())
                .collect(),
        };
        let mut written: Vec<_> =
            lines.iter().map(|text| (line::decode(text.as_bytes()).unwrap(), *text)).collect();
        written.sort_by_key(|(entry, _)| entry.timestamp);
        assert_eq!(found.len(), written.len(), "{}", store.display());
        for (found, (expected, text)) in found.iter().zip(written) {
            assert_eq!((&found.id, found.timestamp), (&expected.id, expected.timestamp));
            let first = storage.read(&found.id).await.unwrap().unwrap();
            assert_eq!(first.id, found.id);
            // An entry holds all that Python wrote, except values that JSON or 64-bit integers cannot
            // express; the stored line has those, too.
            let is_lossy =
                ["NaN", "Infinity", "\\ud8", "\"beyond\""].iter().any(|sign| text.contains(sign));
            if !is_lossy {
                assert_eq!(String::from_utf8(line_of(found)).unwrap().trim_end(), text);
            }
            assert_eq!(String::from_utf8(stored_lines.remove(0)).unwrap(), text);
        }
        assert_eq!(storage.count().await.unwrap(), found.len() as u64);
        stores += 1;
    }
    assert!(stores >= 4, "{stores} stores");
}
