//! A store with evidence that an earlier version wrote is verified and continued.

use std::fs;
use std::path::Path;

use crate::common::evidence::{copy_folder, key, policy, verify, with_evidence};
use crate::common::{entries, entry, folder, open_read_only};
use attestry_core::StorageBackend;
use attestry_evidence::SignedCheckpoint;
use attestry_file::{FileStorage, ObservationKind, SignerMemory, VerifyOptions};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/evidence-v1");

/// Its checkpoints, as they were kept outside the store.
fn kept() -> Vec<SignedCheckpoint> {
    let text = fs::read_to_string(Path::new(FIXTURE).join(".attestry/checkpoints/20261127"));
    let text = text.unwrap();
    let second = text.rfind("example.com/audit\n15\n").unwrap();
    vec![text[..second].parse().unwrap(), text[second..].parse().unwrap()]
}

#[tokio::test]
async fn store_of_the_earlier_version_verifies_as_it_is() {
    let (_guard, path) = folder();
    copy_folder(Path::new(FIXTURE), &path);
    let found = verify(&open_read_only(&path).await, &kept()).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.leaves, found.lines, found.erased, found.records), (17, 10, 4, 3));
    assert_eq!(found.observed(ObservationKind::UnsignedRecord), 3);
    assert_eq!(found.observed(ObservationKind::Unsigned), 2);
}

#[tokio::test]
async fn store_of_the_earlier_version_is_continued() {
    let (guard, path) = folder();
    copy_folder(Path::new(FIXTURE), &path);
    // With a memory that is new to it.
    let memory = SignerMemory::at(guard.path().join("signed"));
    for round in 0..2 {
        let options = attestry_file::EvidenceOptions::new(key()).memory(memory.clone());
        let storage = FileStorage::builder(&path)
            .rotation_size_bytes(900)
            .evidence(options.every(std::time::Duration::MAX))
            .open()
            .await
            .unwrap();
        assert_eq!(storage.recovery().evidence_broken, None);
        storage.append(&entries(14 + 3 * round..17 + 3 * round)).await.unwrap();
        let id = entry(&format!("e{:05}", 8 + round), 0).id;
        assert!(storage.delete(&id).await.unwrap());
        storage.checkpoint().await.unwrap();
        storage.close().await.unwrap();
    }
    let storage = with_evidence(FileStorage::builder(&path)).open().await.unwrap();
    let found = verify(&storage, &kept()).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.erased, found.records), (14, 6, 5));
    assert_eq!(found.observed(ObservationKind::UnsignedRecord), 3);
    assert_eq!(found.signed, Some(found.leaves));
}

/// Without its checkpoints, unsigned records are not taken for those of the earlier version.
#[tokio::test]
async fn unsigned_records_without_a_checkpoint_are_problems() {
    let (_guard, path) = folder();
    copy_folder(Path::new(FIXTURE), &path);
    fs::remove_dir_all(path.join(".attestry/checkpoints")).unwrap();
    let found = open_read_only(&path).await.verify(VerifyOptions::new()).await.unwrap();
    assert_eq!(found.problems.len(), 3, "{:#?}", found.problems);
    // A checkpoint that was kept covers them.
    let kept = policy().open(&kept()[1]).unwrap();
    let options = VerifyOptions::new().policy(policy()).against(&kept);
    let found = open_read_only(&path).await.verify(options).await.unwrap();
    assert!(found.is_clean(), "{:#?}", found.problems);
}
