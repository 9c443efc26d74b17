//! The key of a log is replaced, and ended, on record.

use std::path::Path;
use std::time::Duration;

use crate::common::{self, entries, entry, folder};
use attestry_core::StorageBackend;
use attestry_evidence::{LogKeys, Policy, SignedCheckpoint, SigningKey};
use attestry_file::{
    EvidenceError, EvidenceOptions, FileStorage, ObservationKind, ProblemKind, SignerMemory,
    Verification, VerifyOptions,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[seed; 32]).unwrap()
}

async fn open(path: &Path, seed: u8) -> FileStorage {
    let memory = SignerMemory::at(path.with_file_name("signed"));
    let options = EvidenceOptions::new(key(seed)).memory(memory).every(Duration::MAX);
    FileStorage::builder(path).evidence(options).open().await.unwrap()
}

async fn verify(path: &Path, policy: Policy, external: &[SignedCheckpoint]) -> Verification {
    let storage = common::open_read_only(path).await;
    let options =
        external.iter().cloned().fold(VerifyOptions::new(), VerifyOptions::against_signed);
    storage.verify(options.policy(policy)).await.unwrap()
}

/// Ten lines, of which one is erased, signed with key 1; then five and an erasure, signed with key 2.
async fn rotated(path: &Path) -> Vec<SignedCheckpoint> {
    let storage = open(path, 1).await;
    storage.append(&entries(0..10)).await.unwrap();
    storage.delete(&entry("e00003", 0).id).await.unwrap();
    let mut kept = vec![storage.checkpoint().await.unwrap()];
    kept.push(storage.replace_key(key(2)).await.unwrap());
    storage.append(&entries(10..15)).await.unwrap();
    storage.delete(&entry("e00004", 0).id).await.unwrap();
    kept.push(storage.checkpoint().await.unwrap());
    storage.close().await.unwrap();
    kept
}

#[tokio::test]
async fn either_key_verifies_the_whole_log() {
    let (_guard, path) = folder();
    let kept = rotated(&path).await;
    let both = LogKeys::with_ranges(
        "example.com/audit",
        [LogKeys::new(key(1).public()), LogKeys::new(key(2).public())]
            .iter()
            .flat_map(|keys| keys.signing().to_vec()),
    );
    for policy in [
        Policy::new(key(1).public()),
        Policy::new(key(2).public()),
        Policy::with_keys(both).unwrap(),
    ] {
        let found = verify(&path, policy, &kept).await;
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!((found.lines, found.erased, found.statements), (13, 2, 1));
        assert_eq!((found.signed, found.foreign_checkpoints), (Some(found.leaves), 0));
        assert_eq!(found.observed(ObservationKind::Unsigned), 0);
    }
    // Another key leads to none of them.
    let found = verify(&path, Policy::new(key(3).public()), &[]).await;
    assert!(!found.is_clean());
}

#[tokio::test]
async fn replaced_key_signs_and_erases_no_more() {
    let (_guard, path) = folder();
    let early = open(&path, 1).await;
    rotated(&path).await;
    for storage in [early, open(&path, 1).await] {
        storage.append(&[entry("late", 700)]).await.unwrap();
        let error = storage.checkpoint().await.unwrap_err();
        assert!(matches!(error, EvidenceError::KeyNotInForce { .. }), "{error}");
        storage.delete(&entry("e00005", 0).id).await.unwrap_err();
        storage.close().await.unwrap();
    }
    assert!(open(&path, 1).await.recovery().evidence_broken.is_some());
    let storage = open(&path, 2).await;
    assert_eq!(storage.recovery().evidence_broken, None);
    storage.checkpoint().await.unwrap();
    let found = verify(&path, Policy::new(key(1).public()), &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
}

#[tokio::test]
async fn checkpoint_of_a_replaced_key_is_reported() {
    let (_guard, path) = folder();
    let kept = rotated(&path).await;
    // The old key was stolen: it signs another history, and the present one.
    let forged = key(1).sign(15, attestry_evidence::leaf_hash(b"forged"));
    let found = verify(&path, Policy::new(key(2).public()), &[forged]).await;
    assert_eq!(found.problems.len(), 1, "{:#?}", found.problems);
    let last = Policy::new(key(2).public()).open(&kept[2]).unwrap();
    let matching = key(1).sign(last.checkpoint().size(), last.checkpoint().root());
    let found = verify(&path, Policy::new(key(2).public()), &[matching]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!(found.observed(ObservationKind::EndedKey), 1);
}

#[tokio::test]
async fn compromised_key_is_ended_at_a_size() {
    let (_guard, path) = folder();
    rotated(&path).await;
    let storage = open(&path, 2).await;
    storage.end_key(key(1).public(), Some(5), "stolen on Monday", "ops").await.unwrap();
    storage.close().await.unwrap();
    let found = verify(&path, Policy::new(key(2).public()), &[]).await;
    // What it erased since is not authentic any more, and its checkpoints prove nothing.
    let kinds: Vec<_> = found.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::FalseRecord], "{:#?}", found.problems);
    assert!(found.observed(ObservationKind::EndedKey) > 0);
    assert_eq!(found.signed, Some(found.leaves));
}

#[tokio::test]
async fn new_key_must_have_the_name_of_the_log() {
    let (_guard, path) = folder();
    let storage = open(&path, 1).await;
    storage.append(&entries(0..3)).await.unwrap();
    let other = SigningKey::from_seed("example.com/other", &[2; 32]).unwrap();
    let error = storage.replace_key(other).await.unwrap_err();
    assert!(matches!(error, EvidenceError::OtherOrigin { .. }), "{error}");
    storage.checkpoint().await.unwrap();
}
