//! Erasing from a store with evidence needs a key, and nothing that was erased without one goes unnoticed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::evidence::{intent_log, key, policy, verify, with_evidence};
use crate::common::{all, entries, entry, folder, line_of, names, only_segment};
use attestry_core::{ErrorChain, StorageBackend, Timestamp};
use attestry_evidence::{
    ErasureRecord, Record, SignedCheckpoint, SignedRecord, SigningKey, Statement, Tree, line_hash,
};
use attestry_file::{EvidenceError, FileStorage, ObservationKind, ProblemKind, Verification};

fn officer() -> SigningKey {
    SigningKey::from_seed("example.com/dpo", &[9; 32]).unwrap()
}

async fn open(path: &Path) -> FileStorage {
    with_evidence(FileStorage::builder(path)).open().await.unwrap()
}

/// As the data protection officer opens it: without the key of the log.
async fn open_as_officer(path: &Path) -> FileStorage {
    FileStorage::builder(path).erasure_key(officer()).open().await.unwrap()
}

async fn created(path: &Path) -> SignedCheckpoint {
    let storage = open(path).await;
    storage.append(&entries(0..10)).await.unwrap();
    let checkpoint = storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    checkpoint
}

fn kinds(found: &Verification) -> Vec<ProblemKind> {
    found.problems.iter().map(|problem| problem.kind).collect()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(
    result: Result<T, attestry_core::StorageError>,
    message: &str,
) {
    let error = result.unwrap_err();
    let chain = ErrorChain(&error).to_string();
    assert!(chain.contains(message), "{chain}");
}

#[tokio::test]
async fn every_way_of_erasing_is_refused_without_a_key() {
    let (_guard, path) = folder();
    created(&path).await;
    let before = fs::read(only_segment(&path)).unwrap();
    let storage = FileStorage::builder(&path).open().await.unwrap();
    let id = entry("e00003", 0).id;
    let needs_key = "erasing from it needs a key";
    assert_refused(storage.delete(&id).await, needs_key);
    assert_refused(storage.delete_batch(std::slice::from_ref(&id)).await, needs_key);
    assert_refused(storage.delete_because(&id, "why", "dpo").await, needs_key);
    assert_refused(storage.delete_at_or_before(Timestamp::MAX).await, needs_key);
    let some = Timestamp::from_unix_micros(4).unwrap();
    assert_refused(storage.delete_at_or_before(some).await, needs_key);
    assert_eq!(fs::read(only_segment(&path)).unwrap(), before);
    // Recording continues.
    storage.append(&entries(10..12)).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 12);
}

#[tokio::test]
async fn officer_erases_with_an_authorised_key_only() {
    let (_guard, path) = folder();
    let first = created(&path).await;
    let storage = open_as_officer(&path).await;
    let not_authorised = "may not sign erasures";
    assert_refused(storage.delete(&entry("e00003", 0).id).await, not_authorised);
    assert!(matches!(storage.checkpoint().await, Err(EvidenceError::NoSigningKey { .. })));
    storage.close().await.unwrap();

    let storage = open(&path).await;
    let authorised = storage.authorize_erasure_key(officer().public()).await.unwrap();
    storage.close().await.unwrap();
    let storage = open_as_officer(&path).await;
    let erased = storage.delete_because(&entry("e00003", 0).id, "request 4711", "dpo").await;
    assert!(erased.unwrap());
    storage.close().await.unwrap();

    let storage = open(&path).await;
    let last = storage.checkpoint().await.unwrap();
    let found = verify(&storage, &[first.clone(), authorised, last]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased, found.records, found.statements), (9, 1, 1, 1));

    // Until it is ended.
    storage.end_key(officer().public(), None, "left", "ops").await.unwrap();
    storage.close().await.unwrap();
    let storage = open_as_officer(&path).await;
    assert_refused(storage.delete(&entry("e00004", 0).id).await, not_authorised);
    let found = verify(&storage, &[first]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
}

/// What an attacker without a key does: blanks a line, and appends a record of it to the tree.
fn forge(path: &Path, leaf: u64, record: impl FnOnce(ErasureRecord) -> Record) {
    let segment = only_segment(path);
    let text = fs::read_to_string(&segment).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line = &mut lines[usize::try_from(leaf).unwrap()];
    let hash = line_hash(line.trim_end().as_bytes()).unwrap();
    *line = " ".repeat(line.len() - 1) + "\n";
    fs::write(&segment, lines.concat()).unwrap();
    let erasure = ErasureRecord::new(leaf, 1, hash, Timestamp::now(), "lawful", "dpo").unwrap();
    append_record(path, &record(erasure));
}

/// Appends a leaf and its record to the files of the tree, as a program of ours would.
fn append_record(path: &Path, record: &Record) {
    let tree = path.join(".attestry/tree");
    let (tiles, records) = (tree.join("tiles.0"), tree.join("erasures"));
    let mut hashes = fs::read(&tiles).unwrap();
    let mut text = fs::read_to_string(&records).unwrap();
    let (leaf, old_len) = (hashes.len() / 32, text.len());
    hashes.extend_from_slice(record.leaf_hash().as_bytes());
    text += &format!("{leaf} {}\n", record.to_line());
    fs::write(tiles, hashes).unwrap();
    fs::write(records, &text).unwrap();
    let head = tree.join("head");
    let mut slots = fs::read(&head).unwrap();
    for slot in slots.chunks_mut(512).filter(|slot| slot.starts_with(b"attestry-tree/")) {
        let end = slot.iter().position(|byte| *byte == b'\n').unwrap();
        let line = String::from_utf8(slot[..end].to_vec()).unwrap();
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        // An older slot may be of a smaller tree.
        if words[2] == leaf.to_string() && words[4] == old_len.to_string() {
            words[2] = (leaf + 1).to_string();
            words[4] = text.len().to_string();
        }
        words.pop();
        let line = words.join(" ");
        let line = format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()));
        slot[..line.len()].copy_from_slice(line.as_bytes());
    }
    fs::write(head, slots).unwrap();
}

/// Signed with a key of the attacker's, or replayed from another log, or not at all.
#[tokio::test]
async fn forged_record_is_reported_and_never_signed() {
    let stranger = SigningKey::from_seed("example.com/audit", &[66; 32]).unwrap();
    let by = |origin: &'static str, key: SigningKey| {
        move |erasure| {
            let statement = Statement::Erasure(erasure);
            SignedRecord::sign(origin, &statement, &[&key]).unwrap().into()
        }
    };
    type Forge = Box<dyn FnOnce(ErasureRecord) -> Record>;
    let forgeries: [(Forge, &str); 4] = [
        (Box::new(Record::from), "is not signed"),
        (Box::new(by("example.com/audit", stranger)), "none of which may sign it"),
        (Box::new(by("example.com/other", key())), "of the log example.com/other"),
        (Box::new(by("example.com/audit", officer())), "none of which may sign it"),
    ];
    for (record, message) in forgeries {
        let (_guard, path) = folder();
        let external = created(&path).await;
        forge(&path, 4, record);
        let storage = open(&path).await;
        for external in [vec![], vec![external.clone()]] {
            let found = verify(&storage, &external).await;
            assert_eq!(
                kinds(&found),
                [ProblemKind::FalseRecord],
                "{message}: {:#?}",
                found.problems
            );
            assert!(found.problems[0].reason.contains(message), "{:?}", found.problems[0]);
        }
        // The owner does not sign it later, and is warned.
        assert!(storage.recovery().evidence_broken.is_some());
        storage.append(&entries(10..12)).await.unwrap();
        let error = storage.checkpoint().await.unwrap_err();
        assert!(
            matches!(
                error,
                EvidenceError::UnsignedRecord { leaf: 10 }
                    | EvidenceError::ForgedRecord { leaf: 10, .. }
            ),
            "{error:?}"
        );
        // Except with a reason that is on record.
        storage.accept_tree("restored from paper", "ops").await.unwrap();
        storage.checkpoint().await.unwrap();
        let found = verify(&storage, &[external]).await;
        assert_eq!(found.observed(ObservationKind::Accepted), 1);
        assert_eq!(
            found.observed(ObservationKind::UnsignedRecord) + found.problems.len() as u64,
            1,
            "{:#?}",
            found.problems
        );
    }
}

#[tokio::test]
async fn record_dated_before_the_log_began_is_reported() {
    let (_guard, path) = folder();
    created(&path).await;
    let line = line_of(&entry("e00004", 4));
    let hash = line_hash(line.strip_suffix(b"\n").unwrap()).unwrap();
    let at = "2020-01-01".parse().unwrap();
    let erasure = ErasureRecord::new(4, 1, hash, at, "why", "dpo").unwrap();
    let statement = Statement::Erasure(erasure);
    // Even signed by the owner.
    let record = SignedRecord::sign("example.com/audit", &statement, &[&key()]).unwrap();
    append_record(&path, &record.into());
    let segment = only_segment(&path);
    let blank = " ".repeat(line.len() - 1) + "\n";
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace(std::str::from_utf8(&line).unwrap(), &blank)).unwrap();
    let storage = open(&path).await;
    storage.checkpoint().await.unwrap();
    let found = verify(&storage, &[]).await;
    assert_eq!(kinds(&found), [ProblemKind::FalseRecord], "{:#?}", found.problems);
    assert!(found.problems[0].reason.contains("before the log began"), "{:?}", found.problems[0]);
}

/// An intent log that erases the line of leaf 2.
fn planted(path: &Path) -> (PathBuf, String) {
    let line = line_of(&entry("e00002", 2));
    let offset: usize = entries(0..2).iter().map(|entry| line_of(entry).len()).sum();
    let name = &names(&[only_segment(path)])[0];
    let document = format!(
        r#"{{"version":1,"erase":[{{"segment":"{name}","offset":{},"length":{},"leaf":2}}],"note":{{"reason":"why","by":"dpo","at":"{}"}}}}"#,
        offset,
        line.len() - 1,
        Timestamp::now()
    );
    (path.join(".attestry/erasures.journal"), document)
}

#[tokio::test]
async fn forged_intent_log_is_set_aside() {
    let stranger = SigningKey::from_seed("example.com/audit", &[66; 32]).unwrap();
    let unsigned =
        |document: &str| format!("{document}\n{}\n", attestry_core::hash_content(document));
    type Plant<'a> = Box<dyn Fn(&str) -> String + 'a>;
    let plants: [Plant<'_>; 3] = [
        Box::new(unsigned),
        Box::new(|document| intent_log(document, &stranger)),
        // The signature of another intent log.
        Box::new(|document| {
            let other = intent_log("{\"version\":1,\"erase\":[]}", &key());
            unsigned(document) + other.lines().last().unwrap() + "\n"
        }),
    ];
    for plant in plants {
        let (_guard, path) = folder();
        let external = created(&path).await;
        let (journal, document) = planted(&path);
        fs::write(&journal, plant(&document)).unwrap();
        // A process without a key cannot tell, and leaves it.
        let storage = FileStorage::builder(&path).open().await.unwrap();
        assert_eq!(storage.recovery().unfinished.len(), 1, "{}", storage.recovery());
        storage.append(&entries(10..12)).await.unwrap();
        storage.close().await.unwrap();
        let storage = open(&path).await;
        let refused = storage.recovery().erasure_refused.unwrap();
        assert!(storage.recovery().to_string().contains("was not carried out"));
        assert_eq!(fs::read_to_string(refused.path).unwrap(), plant(&document));
        assert_eq!(all(&storage).await.unwrap().len(), 12);
        assert!(storage.delete(&entry("e00011", 0).id).await.unwrap());
        let found = verify(&storage, &[external]).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!(found.erased, 1);
    }
}

#[tokio::test]
async fn interrupted_erasure_of_the_officer_is_finished_by_either_key() {
    for by_officer in [true, false] {
        let (_guard, path) = folder();
        created(&path).await;
        let storage = open(&path).await;
        storage.authorize_erasure_key(officer().public()).await.unwrap();
        storage.close().await.unwrap();
        let (journal, document) = planted(&path);
        fs::write(&journal, intent_log(&document, &officer())).unwrap();
        let storage = if by_officer { open_as_officer(&path).await } else { open(&path).await };
        assert_eq!(storage.recovery().erasures_finished, 1, "{}", storage.recovery());
        storage.close().await.unwrap();
        let found = verify(&open(&path).await, &[]).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!((found.lines, found.erased), (9, 1));
    }
    // The other way round, the officer cannot tell.
    let (_guard, path) = folder();
    created(&path).await;
    let storage = open(&path).await;
    storage.authorize_erasure_key(officer().public()).await.unwrap();
    storage.close().await.unwrap();
    let (journal, document) = planted(&path);
    fs::write(&journal, intent_log(&document, &key())).unwrap();
    let storage = open_as_officer(&path).await;
    let unfinished = storage.recovery().unfinished;
    assert!(unfinished[0].to_string().contains("not with this key"), "{}", unfinished[0]);
    storage.close().await.unwrap();
    assert_eq!(open(&path).await.recovery().erasures_finished, 1);
}

/// Several runs of leaves, in one erasure each.
#[tokio::test]
async fn records_of_runs_are_signed_one_by_one() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..40)).await.unwrap();
    let ids: Vec<_> =
        (0..40).filter(|n| n % 3 == 0).map(|n| entry(&format!("e{n:05}"), n).id).collect();
    storage.delete_batch(&ids).await.unwrap();
    let external = storage.checkpoint().await.unwrap();
    let found = verify(&storage, std::slice::from_ref(&external)).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.erased, found.records), (14, 14));
    let size = policy().open(&external).unwrap().checkpoint().size();
    assert_eq!(size, 54);
    assert_ne!(found.root, Tree::new().root());
}
