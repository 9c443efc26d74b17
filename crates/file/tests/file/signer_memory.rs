//! A signer with a memory outside the store signs only what extends its last checkpoint.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::evidence::{copy_folder, key, policy, verify};
use crate::common::{entries, entry, folder, only_segment};
use attestry_core::{StorageBackend, Timestamp};
use attestry_evidence::{SignedCheckpoint, SigningKey, Tree, leaf_hash};
use attestry_file::{
    EvidenceError, EvidenceOptions, FileStorage, FileStorageBuilder, ObservationKind, ProblemKind,
    SignerMemory,
};

fn options(memory: &Path) -> EvidenceOptions {
    EvidenceOptions::new(key()).memory(SignerMemory::at(memory)).every(Duration::MAX)
}

fn builder(path: &Path, memory: &Path) -> FileStorageBuilder {
    FileStorage::builder(path).evidence(options(memory))
}

async fn open(path: &Path, memory: &Path) -> FileStorage {
    builder(path, memory).open().await.unwrap()
}

fn size_of(note: &SignedCheckpoint) -> u64 {
    policy().open(note).unwrap().checkpoint().size()
}

/// A signed store of ten lines.
async fn created(path: &Path, memory: &Path) -> SignedCheckpoint {
    let storage = open(path, memory).await;
    storage.append(&entries(0..10)).await.unwrap();
    let checkpoint = storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(fs::read_to_string(memory).unwrap(), checkpoint.as_str());
    checkpoint
}

/// Asserts that nothing is signed, everything is recorded, and the owner is warned.
async fn assert_not_signed(storage: &FileStorage, remembered: u64) {
    let broken = storage.recovery().evidence_broken.unwrap();
    assert!(broken.contains("does not extend") || broken.contains("no evidence"), "{broken}");
    storage.append(&[entry("recorded", 500)]).await.unwrap();
    let error = storage.checkpoint().await.unwrap_err();
    let EvidenceError::NotAnExtension { remembered_size, .. } = error else { panic!("{error}") };
    assert_eq!(remembered_size, remembered);
}

/// A line is altered, its leaf and the tree fit again, and the stored checkpoints are gone.
#[tokio::test]
async fn rewritten_history_is_not_signed() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    let external = created(&path, &memory).await;
    let segment = only_segment(&path);
    let text = fs::read_to_string(&segment).unwrap().replace("e00003", "e0000X");
    fs::write(&segment, &text).unwrap();
    let hashes: Vec<u8> =
        text.lines().flat_map(|line| *leaf_hash(line.as_bytes()).as_bytes()).collect();
    fs::write(path.join(".attestry/tree/tiles.0"), hashes).unwrap();
    fs::remove_dir_all(path.join(".attestry/checkpoints")).unwrap();

    let storage = open(&path, &memory).await;
    assert_not_signed(&storage, 10).await;
    let before = fs::read_to_string(&memory).unwrap();
    // The way out is on record, and a checkpoint that was kept tells it.
    storage.accept_tree("restored after a disk failure", "ops").await.unwrap();
    assert_ne!(fs::read_to_string(&memory).unwrap(), before);
    storage.append(&entries(20..22)).await.unwrap();
    storage.checkpoint().await.unwrap();
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!(found.observed(ObservationKind::Accepted), 1);
    let found = verify(&storage, &[external]).await;
    let kinds: Vec<_> = found.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::Fork], "{:#?}", found.problems);
}

#[tokio::test]
async fn older_backup_is_not_signed() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    created(&path, &memory).await;
    let backup = guard.path().join("backup");
    copy_folder(&path, &backup);
    let storage = open(&path, &memory).await;
    storage.append(&entries(20..25)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    fs::remove_dir_all(&path).unwrap();
    copy_folder(&backup, &path);
    let storage = open(&path, &memory).await;
    assert_not_signed(&storage, 15).await;
    // Also when it has grown beyond the size that was signed.
    storage.append(&entries(30..40)).await.unwrap();
    let error = storage.checkpoint().await.unwrap_err();
    assert!(
        matches!(
            error,
            EvidenceError::NotAnExtension { remembered_size: 15, size: 21, root: Some(_), .. }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn removed_evidence_is_not_begun_again_unasked() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    let external = created(&path, &memory).await;
    let storage = open(&path, &memory).await;
    storage.delete(&entry("e00003", 0).id).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    fs::remove_dir_all(path.join(".attestry")).unwrap();

    let storage = open(&path, &memory).await;
    storage.append(&[entry("more", 70)]).await.unwrap();
    assert!(matches!(storage.checkpoint().await, Err(EvidenceError::NotBegun { .. })));
    storage.close().await.unwrap();
    let policy = policy();
    let options = attestry_file::VerifyOptions::new()
        .policy(policy.clone())
        .against(&policy.open(&external).unwrap());
    let found = storage.verify(options).await.unwrap();
    assert_eq!(found.problems[0].kind, ProblemKind::EvidenceRemoved);
    // Asked for, it is still not what was signed.
    let adopting = FileStorage::builder(&path).evidence(options_adopting(&memory));
    let storage = adopting.open().await.unwrap();
    assert_not_signed(&storage, 11).await;
}

fn options_adopting(memory: &Path) -> EvidenceOptions {
    options(memory).adopt_existing(true)
}

#[tokio::test]
async fn emptied_store_is_not_signed() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    created(&path, &memory).await;
    fs::remove_dir_all(&path).unwrap();
    let storage = open(&path, &memory).await;
    assert_not_signed(&storage, 10).await;
}

#[tokio::test]
async fn one_key_does_not_sign_two_stores() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    created(&path, &memory).await;
    let other = guard.path().join("other");
    let storage = open(&other, &memory).await;
    storage.append(&entries(30..45)).await.unwrap();
    assert!(matches!(storage.checkpoint().await, Err(EvidenceError::NotAnExtension { .. })));
    // Two keys may share the file.
    let another = SigningKey::from_seed("example.com/audit", &[8; 32]).unwrap();
    let third = guard.path().join("third");
    let options = EvidenceOptions::new(another).memory(SignerMemory::at(&memory));
    let storage = FileStorage::builder(&third).evidence(options).open().await.unwrap();
    storage.append(&entries(50..53)).await.unwrap();
    storage.checkpoint().await.unwrap();
    let storage = open(&path, &memory).await;
    storage.append(&entries(60..61)).await.unwrap();
    assert_eq!(size_of(&storage.checkpoint().await.unwrap()), 11);
}

#[tokio::test]
async fn tree_without_any_checkpoint_is_signed_only_on_request() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    // Made by a program that knows the format.
    let storage = FileStorage::builder(&path)
        .evidence(EvidenceOptions::new(key()).every(Duration::MAX))
        .open()
        .await
        .unwrap();
    storage.append(&entries(0..10)).await.unwrap();
    storage.close().await.unwrap();
    let storage = open(&path, &memory).await;
    let error = storage.checkpoint().await.unwrap_err();
    assert!(matches!(error, EvidenceError::NotRemembered { size: 10, .. }), "{error}");
    storage.close().await.unwrap();
    let storage =
        FileStorage::builder(&path).evidence(options_adopting(&memory)).open().await.unwrap();
    assert_eq!(size_of(&storage.checkpoint().await.unwrap()), 10);
}

/// A crash after the first lines of a new store.
#[tokio::test]
async fn new_store_is_remembered_before_its_first_line() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    let storage = open(&path, &memory).await;
    storage.append(&entries(0..3)).await.unwrap();
    assert_eq!(
        fs::read_to_string(&memory).unwrap(),
        key().sign(0, Tree::new().root()).as_str(),
        "the empty tree"
    );
    drop(storage);
    let storage = open(&path, &memory).await;
    assert_eq!(size_of(&storage.checkpoint().await.unwrap()), 3);
}

#[tokio::test]
async fn processes_share_the_memory() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    let (one, other) = (open(&path, &memory).await, open(&path, &memory).await);
    let mut last = 0;
    for n in 0..20 {
        let storage = [&one, &other][n % 2];
        storage.append(&entries(n as i64..n as i64 + 1)).await.unwrap();
        last = size_of(&storage.checkpoint().await.unwrap());
    }
    assert_eq!(last, 20);
    assert!(fs::read_to_string(&memory).unwrap().contains("\n20\n"));
    let until = Timestamp::from_unix_micros(5).unwrap();
    assert_eq!(one.delete_at_or_before(until).await.unwrap(), 6);
    other.checkpoint().await.unwrap();
    assert!(verify(&one, &[]).await.is_clean());
}

/// The memory is on disk before the checkpoint is in the store.
#[tokio::test]
async fn checkpoint_that_cannot_be_remembered_is_not_signed() {
    let (guard, path) = folder();
    let memory = guard.path().join("signed");
    created(&path, &memory).await;
    let storage = open(&path, &memory).await;
    storage.append(&entries(20..21)).await.unwrap();
    // A folder where the temporary file goes.
    fs::create_dir(memory.with_extension("tmp")).unwrap();
    let error = storage.checkpoint().await.unwrap_err();
    assert!(matches!(error, EvidenceError::Storage(_)), "{error}");
    let latest = storage.latest_checkpoint().await.unwrap().unwrap();
    assert_eq!(size_of(&latest), 10);
    fs::remove_dir(memory.with_extension("tmp")).unwrap();
    assert_eq!(size_of(&storage.checkpoint().await.unwrap()), 11);
}
