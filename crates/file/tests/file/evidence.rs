//! The Merkle tree of a store: it follows every change of the lines, and its proofs hold.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::common::evidence::{
    adopting, copy_folder, intent_log, key, policy, verify, with_evidence,
};
use crate::common::{
    self, entries, entry, folder, line_of, names, only_segment, segments, segments_in_order,
};
use attestry_core::{ErrorChain, StorageBackend, Timestamp};
use attestry_evidence::{LogKey, line_hash};
use attestry_file::{EvidenceError, FileStorage, ObservationKind, ProblemKind, VerifyOptions};

async fn open(path: &Path) -> FileStorage {
    with_evidence(FileStorage::builder(path)).open().await.unwrap()
}

async fn open_small(path: &Path) -> FileStorage {
    with_evidence(FileStorage::builder(path).rotation_size_bytes(2_000)).open().await.unwrap()
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn inclusion_and_consistency_proofs_verify_without_the_store() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    for entry in entries(0..300) {
        storage.append(&[entry]).await.unwrap();
    }
    let id = entry("e00123", 0).id;
    assert!(matches!(storage.inclusion_proof(&id).await, Err(EvidenceError::NotSigned { .. })));
    let first = storage.checkpoint().await.unwrap();
    storage.append(&entries(300..600)).await.unwrap();
    let second = storage.checkpoint().await.unwrap();
    assert_eq!(storage.checkpoint().await.unwrap(), second, "the tree has not grown");
    assert_eq!(storage.latest_checkpoint().await.unwrap(), Some(second));
    let proven = storage.inclusion_proof(&id).await.unwrap().unwrap();
    assert_eq!([&proven.line[..], b"\n"].concat(), line_of(&entry("e00123", 123)));
    proven.proof.verify(line_hash(&proven.line).unwrap(), &policy()).unwrap();
    assert_eq!(proven.proof.index(), 123);
    assert_eq!(storage.inclusion_proof(&"missing".parse().unwrap()).await.unwrap(), None);
    let older = policy().open(&first).unwrap();
    let consistency = storage.consistency_proof(&older).await.unwrap();
    let newer = consistency.verify(older.checkpoint(), &policy()).unwrap();
    assert_eq!(newer.checkpoint().size(), 600);
}

#[tokio::test]
async fn erased_entries_have_records_and_verify_clean() {
    let (_guard, path) = folder();
    let storage = with_evidence(FileStorage::builder(&path).rotation_size_bytes(2_000))
        .erased_by("nightly")
        .open()
        .await
        .unwrap();
    storage.append(&entries(0..40)).await.unwrap();
    let before = storage.checkpoint().await.unwrap();
    assert!(segments(&path).len() > 5, "several are unlinked as a whole");
    let id = entry("e00025", 0).id;
    assert!(storage.delete_because(&id, "Art. 17 GDPR, request 4711", "dpo").await.unwrap());
    assert!(storage.delete(&entry("e00037", 0).id).await.unwrap());
    assert_eq!(
        storage.delete_at_or_before(Timestamp::from_unix_micros(19).unwrap()).await.unwrap(),
        20
    );
    let found = verify(&storage, &[before]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased), (18, 22));
    assert!(found.records >= 3, "{}", found.records);
    assert!(storage.compact().await.unwrap() > 0);
    storage.append(&entries(40..45)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let storage = open_small(&path).await;
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased), (23, 22));
    let records = fs::read_to_string(path.join(".attestry/tree/erasures")).unwrap();
    for part in [
        "Art. 17 GDPR, request 4711",
        r#"\"by\":\"dpo\""#,
        r#"\"reason\":\"deleted\""#,
        "expired: 1970-01-01",
        r#"\"by\":\"nightly\""#,
    ] {
        assert!(records.contains(part), "{part}: {records}");
    }
    assert!(!records.contains("e00025"), "records do not mention erased ids");
    let long = "x".repeat(2_000);
    assert!(storage.delete_because(&entry("e00030", 0).id, &long, "").await.is_err());
    assert!(storage.read(&entry("e00030", 0).id).await.unwrap().is_some());
}

#[tokio::test]
async fn erased_lines_are_found_by_their_hash() {
    let (_guard, path) = folder();
    let storage = open_small(&path).await;
    storage.append(&entries(0..40)).await.unwrap();
    let hash = |n: i64| line_hash(&line_of(&entry(&format!("e{n:05}"), n))).unwrap();
    let kept = HashSet::from([hash(25), hash(30), hash(5), hash(50)]);
    assert_eq!(storage.erasures_of(kept.clone()).await.unwrap().total, 0);
    storage.delete_because(&entry("e00025", 0).id, "request 4711", "dpo").await.unwrap();
    let cutoff = Timestamp::from_unix_micros(9).unwrap();
    storage.delete_at_or_before(cutoff).await.unwrap();
    storage.compact().await.unwrap();
    let erasures = storage.erasures_of(kept).await.unwrap();
    assert_eq!(erasures.total, 11);
    assert_eq!(erasures.found.keys().copied().collect::<HashSet<_>>(), [hash(25), hash(5)].into());
    let requested = &erasures.found[&hash(25)];
    assert_eq!((requested.reason.as_str(), requested.by.as_str()), ("request 4711", "dpo"));
    assert!(erasures.found[&hash(5)].reason.starts_with("expired: "));
}

#[tokio::test]
async fn existing_lines_are_reported_as_backfill() {
    let (_guard, path) = folder();
    fs::create_dir(&path).unwrap();
    let text: Vec<u8> = entries(0..10).iter().flat_map(line_of).collect();
    fs::write(path.join("audit_20260128_001.jsonl"), [&text[..], b"\n  \nno entry\n"].concat())
        .unwrap();
    fs::write(path.join("audit_20260128.jsonl"), line_of(&entry("later", 3))).unwrap();
    // Only on request.
    let storage = open(&path).await;
    assert!(storage.recovery().evidence_broken.unwrap().contains("no evidence of them"));
    storage.write(&entry("before", 4)).await.unwrap();
    assert!(matches!(storage.checkpoint().await, Err(EvidenceError::NotBegun { .. })));
    let refused = storage.delete(&entry("before", 4).id).await.unwrap_err();
    assert!(ErrorChain(&refused).to_string().contains("no evidence of them"), "{refused}");
    storage.close().await.unwrap();
    let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
    storage.write(&entry("new", 4)).await.unwrap();
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.leaves, found.lines), (14, 14));
    let adopted = found.adopted.unwrap();
    assert_eq!(adopted.leaves, 13);
    assert!(Timestamp::now() >= adopted.at);
    // The first checkpoint covers a signed record of it.
    storage.checkpoint().await.unwrap();
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.leaves, found.statements, found.signed), (15, 1, Some(15)));
    assert_eq!(found.observed(ObservationKind::Adopted), 13);
    storage.checkpoint().await.unwrap();
    assert_eq!(verify(&storage, &[]).await.leaves, 15, "once");
    // A new store has no backfill.
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.write(&entry("new", 4)).await.unwrap();
    assert_eq!(verify(&storage, &[]).await.adopted, None);
}

#[tokio::test]
async fn lines_of_the_python_package_are_replayed() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..5)).await.unwrap();
    let segment = only_segment(&path);
    append(&segment, &line_of(&entry("python", 7)));
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (5, 1));
    // The next append replays it first.
    storage.append(&entries(5..6)).await.unwrap();
    let external = storage.checkpoint().await.unwrap();
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (7, 0));
    // Python rotates: it renames the file and creates a new one.
    let rotated = segment
        .with_file_name(names(std::slice::from_ref(&segment))[0].replace(".jsonl", "_001.jsonl"));
    fs::rename(&segment, &rotated).unwrap();
    append(&segment, &line_of(&entry("rotated", 8)));
    storage.append(&entries(6..8)).await.unwrap();
    let found = verify(&storage, &[external]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (10, 0));
    // Python deletes without a record: the line is missing, all others verify.
    let text = fs::read_to_string(&segment).unwrap();
    let left: String =
        text.split_inclusive('\n').filter(|line| !line.contains("rotated")).collect();
    fs::write(&segment, left).unwrap();
    storage.append(&entries(8..9)).await.unwrap();
    let found = verify(&storage, &[]).await;
    assert_eq!((found.lines, found.problems.len()), (10, 1), "{:#?}", found.problems);
    assert_eq!(found.problems[0].kind, ProblemKind::Missing);
    assert_eq!(found.problems[0].path.as_ref(), Some(&segment));
}

#[tokio::test]
async fn several_processes_extend_one_tree() {
    let (_guard, path) = folder();
    let one = open_small(&path).await;
    let other = open_small(&path).await;
    // The third has no key, but extends the tree like the others; it cannot erase.
    let third = FileStorage::builder(&path).rotation_size_bytes(2_000).open().await.unwrap();
    let mut checkpoints = Vec::new();
    for n in 0..60 {
        let storage = [&one, &other, &third][n % 3];
        storage.append(&entries(n as i64..n as i64 + 1)).await.unwrap();
        if n % 7 == 0 {
            checkpoints.push(if n % 2 == 0 { &one } else { &other }.checkpoint().await.unwrap());
        }
        if n % 5 == 4 {
            let id = entry(&format!("e{:05}", n - 2), 0).id;
            let refused = third.delete(&id).await.unwrap_err();
            assert!(ErrorChain(&refused).to_string().contains("erasing from it needs a key"));
            [&one, &other][n % 2].delete(&id).await.unwrap();
        }
    }
    assert!(matches!(third.checkpoint().await, Err(EvidenceError::NoSigningKey { .. })));
    for storage in [&one, &other, &third] {
        let found = verify(storage, &checkpoints).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!(found.lines, 48);
    }
}

#[tokio::test]
async fn evidence_can_start_while_others_have_the_folder_open() {
    let (_guard, path) = folder();
    let early = FileStorage::builder(&path).open().await.unwrap();
    early.append(&entries(0..3)).await.unwrap();
    assert!(matches!(early.verify(VerifyOptions::new()).await, Err(EvidenceError::NotKept { .. })));
    let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
    early.append(&entries(3..6)).await.unwrap();
    let refused = early.delete(&entry("e00001", 0).id).await.unwrap_err();
    assert!(ErrorChain(&refused).to_string().contains("erasing from it needs a key"), "{refused}");
    assert!(storage.delete(&entry("e00001", 0).id).await.unwrap());
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased, found.adopted.unwrap().leaves), (5, 1, 3));
}

/// A power cut can lose any part of what was written since the head was persisted.
#[tokio::test]
async fn unsynced_part_of_the_tree_is_replayed() {
    for lose in ["published head", "tiles", "segment map", "all"] {
        let (_guard, path) = folder();
        let storage = open(&path).await;
        storage.append(&entries(0..20)).await.unwrap();
        let external = storage.checkpoint().await.unwrap();
        let tree = path.join(".attestry/tree");
        let persisted = fs::metadata(tree.join("places")).unwrap().len();
        storage.append(&entries(20..23)).await.unwrap();
        let root = verify(&storage, &[]).await.root;
        // Not closed: that would persist the head.
        let copy = path.with_file_name("copy");
        copy_folder(&path, &copy);
        let tree = copy.join(".attestry/tree");
        if lose != "tiles" && lose != "segment map" {
            let mut head = fs::read(tree.join("head")).unwrap();
            head[..256].fill(0);
            fs::write(tree.join("head"), head).unwrap();
        }
        if lose != "published head" && lose != "segment map" {
            let tiles = fs::read(tree.join("tiles.0")).unwrap();
            fs::write(tree.join("tiles.0"), &tiles[..20 * 32]).unwrap();
        }
        if lose != "published head" && lose != "tiles" {
            let places = fs::read(tree.join("places")).unwrap();
            let mut places = places[..persisted as usize].to_vec();
            places.extend([0; 40]);
            fs::write(tree.join("places"), places).unwrap();
        }
        let storage = open(&copy).await;
        let found = verify(&storage, &[external]).await;
        assert!(found.is_clean(), "{lose}: {:#?}", found.problems);
        assert_eq!((found.lines, found.root), (23, root), "{lose}");
    }
}

/// A crash after the intent log was written, before the record was.
#[tokio::test]
async fn interrupted_erasure_is_recorded_once() {
    for unlinked in [false, true] {
        let (_guard, path) = folder();
        let storage = open_small(&path).await;
        storage.append(&entries(0..20)).await.unwrap();
        let external = storage.checkpoint().await.unwrap();
        storage.close().await.unwrap();
        let first = segments_in_order(&path).remove(0);
        let lines = fs::read_to_string(&first).unwrap().lines().count() as u64;
        let intent = if unlinked {
            let name = &names(std::slice::from_ref(&first))[0];
            let content = fs::read(&first).unwrap();
            let (length, sum) = (content.len(), crc32fast::hash(&content));
            format!(
                r#""erase":[],"unlink":[{{"segment":"{name}","length":{length},"crc32":{sum},"leaves":[[0,{lines}]]}}]"#
            )
        } else {
            let length = line_of(&entry("e00000", 0)).len() - 1;
            let name = &names(std::slice::from_ref(&first))[0];
            format!(r#""erase":[{{"segment":"{name}","offset":0,"length":{length},"leaf":0}}]"#)
        };
        let document = format!(
            r#"{{"version":1,{intent},"note":{{"reason":"why","by":"dpo","at":"{}"}}}}"#,
            Timestamp::now()
        );
        let whole = intent_log(&document, &key());
        // Twice, as if a second crash had come before the intent log was cleared.
        for _ in 0..2 {
            fs::write(path.join(".attestry/erasures.journal"), &whole).unwrap();
            let storage = open_small(&path).await;
            let found = verify(&storage, std::slice::from_ref(&external)).await;
            assert!(found.is_clean(), "{:#?}", found.problems);
            let erased = if unlinked { lines } else { 1 };
            assert_eq!((found.lines, found.erased, found.records), (20 - erased, erased, 1));
            storage.close().await.unwrap();
        }
        assert_eq!(first.exists(), !unlinked);
    }
}

/// Another process has died after it had removed the active segment of this day, before the record.
#[tokio::test]
async fn name_of_a_removed_segment_is_reused_after_its_record() {
    let (_guard, path) = folder();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    storage.append(&entries(0..20)).await.unwrap();
    let external = storage.checkpoint().await.unwrap();
    let active = common::only_segment(&path);
    let name = &names(std::slice::from_ref(&active))[0];
    let content = fs::read(&active).unwrap();
    let (length, sum) = (content.len(), crc32fast::hash(&content[..content.len().min(4_096)]));
    let document = format!(
        r#"{{"version":1,"erase":[],"unlink":[{{"segment":"{name}","length":{length},"crc32":{sum},"leaves":[[0,20]]}}],"note":{{"reason":"why","by":"dpo","at":"{}"}}}}"#,
        Timestamp::now()
    );
    let whole = intent_log(&document, &key());
    fs::write(path.join(".attestry/erasures.journal"), &whole).unwrap();
    fs::remove_file(&active).unwrap();
    storage.append(&entries(20..22)).await.unwrap();
    storage.close().await.unwrap();
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    assert!(storage.recovery().is_clean(), "{}", storage.recovery());
    let found = verify(&storage, &[external]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased, found.records), (2, 20, 1));
}

#[tokio::test]
async fn verification_beside_a_writer_is_clean() {
    let (_guard, path) = folder();
    let storage = Arc::new(open_small(&path).await);
    storage.append(&entries(0..100)).await.unwrap();
    let writer = {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            for n in 100..500 {
                storage.append(&entries(n..n + 1)).await.unwrap();
                if n % 3 == 0 {
                    storage.delete(&entry(&format!("e{:05}", n - 90), 0).id).await.unwrap();
                }
                if n % 50 == 0 {
                    storage.compact().await.unwrap();
                    storage.checkpoint().await.unwrap();
                }
                if n % 90 == 0 {
                    let until = Timestamp::from_unix_micros(n - 95).unwrap();
                    storage.delete_at_or_before(until).await.unwrap();
                }
            }
        })
    };
    let reader = common::open_read_only(&path).await;
    let mut verified = 0;
    while !writer.is_finished() {
        let found = verify(&reader, &[]).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        verified += 1;
    }
    writer.await.unwrap();
    assert!(verified > 3, "{verified}");
}

#[tokio::test]
async fn tile_files_have_the_standard_layout() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..600)).await.unwrap();
    let mut tree = attestry_evidence::MemoryTiles::new();
    for entry in entries(0..600) {
        tree.push(line_hash(&line_of(&entry)).unwrap());
    }
    let found = verify(&storage, &[]).await;
    assert_eq!(found.root, tree.tree().root());
    let level = |level| fs::read(path.join(format!(".attestry/tree/tiles.{level}"))).unwrap();
    assert_eq!((level(0).len(), level(1).len()), (600 * 32, 2 * 32));
    let key: LogKey = key().public();
    assert!(storage.checkpoint().await.unwrap().as_str().starts_with(key.name()));
}

/// The line is the same each time: the tree has several leaves of one hash, and at most one line for them.
#[tokio::test]
async fn erased_entry_can_be_rewritten_and_erased_again() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    let again = entry("again", 1);
    for (round, beside) in [0..0, 0..3, 3..4, 4..40].into_iter().enumerate() {
        for others_first in [true, false] {
            storage
                .append(&if others_first { entries(beside.clone()) } else { Vec::new() })
                .await
                .unwrap();
            storage.write(&again).await.unwrap();
            let found = verify(&storage, &[]).await;
            assert!(found.is_clean(), "written, {round} {others_first}: {:#?}", found.problems);
            storage.checkpoint().await.unwrap();
            assert!(storage.inclusion_proof(&again.id).await.unwrap().is_some());
            assert!(storage.delete(&again.id).await.unwrap());
            let found = verify(&storage, &[]).await;
            assert!(found.is_clean(), "erased, {round} {others_first}: {:#?}", found.problems);
        }
    }
}
