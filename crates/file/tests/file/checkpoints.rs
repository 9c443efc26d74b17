//! Checkpoints: when they are signed, when the hook is called, and what they must agree with.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::evidence::{adopting, key, policy, verify, with_evidence};
use crate::common::{entries, entry, folder, only_segment};
use attestry_core::StorageBackend;
use attestry_evidence::{SignedCheckpoint, SigningKey};
use attestry_file::{
    Durability, EvidenceError, EvidenceOptions, FileStorage, ObservationKind, ProblemKind,
    VerifyOptions,
};

async fn open(path: &Path) -> FileStorage {
    with_evidence(FileStorage::builder(path)).open().await.unwrap()
}

#[tokio::test]
async fn due_checkpoints_are_signed_and_passed_to_the_hook() {
    let (_guard, path) = folder();
    let received = Arc::new(Mutex::new(Vec::new()));
    let sizes = || -> Vec<u64> {
        let received = received.lock().unwrap();
        received
            .iter()
            .map(|note: &SignedCheckpoint| policy().open(note).unwrap().checkpoint().size())
            .collect()
    };
    let evidence = |every| {
        let received = Arc::clone(&received);
        EvidenceOptions::new(key()).every_entries(10).every(every).on_checkpoint(move |signed| {
            received.lock().unwrap().push(signed.unwrap().clone());
        })
    };
    let builder = FileStorage::builder(&path).evidence(evidence(Duration::from_secs(3_600)));
    let storage = builder.open().await.unwrap();
    storage.append(&entries(0..9)).await.unwrap();
    storage.flush().await.unwrap();
    assert!(sizes().is_empty());
    storage.append(&entries(9..10)).await.unwrap();
    storage.flush().await.unwrap();
    storage.flush().await.unwrap(); // the first may complete before the hook is called
    assert_eq!(sizes(), [10]);
    storage.append(&entries(10..12)).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(sizes(), [10, 12], "close signs a last checkpoint");
    // By time, without a call.
    let builder = FileStorage::builder(&path).evidence(evidence(Duration::from_millis(1)));
    let storage = builder.open().await.unwrap();
    storage.append(&entries(12..13)).await.unwrap();
    while sizes().len() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(sizes(), [10, 12, 13]);
    let found = verify(&storage, &[]).await;
    assert_eq!((found.checkpoints, found.signed), (3, Some(13)));
}

#[tokio::test]
async fn no_checkpoint_callback_runs_after_close() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let (_guard, path) = folder();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let evidence = EvidenceOptions::new(key()).every_entries(1).on_checkpoint(move |signed| {
            std::thread::sleep(Duration::from_millis(50));
            signed.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let builder = FileStorage::builder(&path).durability(durability);
        let storage = builder.evidence(evidence).open().await.unwrap();
        storage.append(&entries(0..3)).await.unwrap();
        storage.append(&entries(3..5)).await.unwrap();
        // Both wait for the hook of the last checkpoint.
        let (first, second) = tokio::join!(storage.close(), storage.close());
        first.and(second).unwrap();
        let after_close = calls.load(Ordering::SeqCst);
        let found = verify(&storage, &[]).await;
        assert_eq!(found.signed, Some(5), "the last checkpoint covers all entries");
        assert_eq!(after_close as u64, found.checkpoints, "each was passed to the hook");
        drop(storage);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(calls.load(Ordering::SeqCst), after_close);
    }
}

/// Buffered lines are appended on their callers' threads, which must wake the writer thread to sign.
#[tokio::test]
async fn buffered_lines_are_signed_when_due() {
    let (_guard, path) = folder();
    let (sender, mut signed) = tokio::sync::mpsc::unbounded_channel();
    let evidence = EvidenceOptions::new(key()).every_entries(10).every(Duration::from_secs(3_600));
    let evidence = evidence.on_checkpoint(move |signed| {
        let checkpoint = policy().open(signed.unwrap()).unwrap();
        sender.send(checkpoint.checkpoint().size()).unwrap();
    });
    let builder = FileStorage::builder(&path).durability(Durability::Buffered);
    let storage = builder.evidence(evidence).open().await.unwrap();
    let mut size = 0;
    for round in 0..3 {
        for entry in entries(round * 50..(round + 1) * 50) {
            storage.append(&[entry]).await.unwrap();
        }
        while size < round as u64 * 50 + 41 {
            size = signed.recv().await.unwrap();
        }
    }
}

/// The callback blocks the writer thread, not other owners of the store.
#[tokio::test(flavor = "multi_thread")]
async fn store_lock_is_free_while_a_checkpoint_callback_runs() {
    let (_guard, path) = folder();
    let (sender, mut signed) = tokio::sync::mpsc::unbounded_channel();
    let (resume, may_resume) = std::sync::mpsc::channel::<()>();
    let may_resume = Mutex::new(may_resume);
    let evidence = EvidenceOptions::new(key()).every_entries(1_000).on_checkpoint(move |_| {
        let _ = sender.send(());
        let _ = may_resume.lock().unwrap().recv();
    });
    let buffered = FileStorage::builder(&path).durability(Durability::Buffered);
    let storage = buffered.clone().evidence(evidence).open().await.unwrap();
    storage.append(&entries(0..1_000)).await.unwrap();
    signed.recv().await.unwrap();
    // If the lock were held, this would fail after two minutes.
    let other = with_evidence(buffered).open().await.unwrap();
    other.append(&entries(1_000..1_001)).await.unwrap();
    drop(resume);
    for entry in entries(1_001..1_401) {
        storage.append(&[entry]).await.unwrap();
    }
    assert_eq!(storage.count().await.unwrap(), 1_401);
}

#[tokio::test]
async fn panicking_hook_does_not_stop_the_writer() {
    let (_guard, path) = folder();
    let evidence =
        EvidenceOptions::new(key()).every_entries(1).on_checkpoint(|_| panic!("intended"));
    let storage = FileStorage::builder(&path).evidence(evidence).open().await.unwrap();
    for entry in entries(0..20) {
        storage.append(&[entry]).await.unwrap();
    }
    storage.close().await.unwrap();
    assert_eq!(verify(&storage, &[]).await.signed, Some(20));
}

#[tokio::test]
async fn contradicting_checkpoint_is_never_signed() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..10)).await.unwrap();
    let external = storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    // A new tree over changed lines, beside the old checkpoints.
    let segment = only_segment(&path);
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("e00003", "e0000X")).unwrap();
    fs::remove_dir_all(path.join(".attestry/tree")).unwrap();
    let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
    assert!(storage.recovery().evidence_broken.is_some(), "{}", storage.recovery());
    storage.append(&entries(10..12)).await.unwrap();
    assert!(matches!(storage.checkpoint().await, Err(EvidenceError::Disagrees { size: 10 })));
    let found = verify(&storage, &[external]).await;
    assert!(found.problems.iter().all(|problem| problem.kind == ProblemKind::Checkpoint));
    assert_eq!(found.problems.len(), 2, "the stored and the external one");
    // A checkpoint by another key of the same name is rejected.
    fs::remove_dir_all(path.join(".attestry/checkpoints")).unwrap();
    drop(storage);
    let other = SigningKey::from_seed("example.com/audit", &[8; 32]).unwrap();
    let storage =
        FileStorage::builder(&path).evidence(EvidenceOptions::new(other)).open().await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let storage = open(&path).await;
    let error = storage.checkpoint().await.unwrap_err();
    assert!(matches!(error, EvidenceError::Checkpoint(_)), "{error:?}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn cosigned_checkpoints_are_stored_verified_and_proven() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..3)).await.unwrap();
    let checkpoint = storage.checkpoint().await.unwrap();
    let (witness, cosigned) = cosign(checkpoint.as_str());
    let witnessed_policy = policy().with_witnesses([witness.parse().unwrap()], 1).unwrap();
    let without_cosignature =
        storage.verify(VerifyOptions::new().policy(witnessed_policy.clone())).await.unwrap();
    assert_eq!(without_cosignature.problems.len(), 1, "{:#?}", without_cosignature.problems);
    let refused = storage.store_cosigned_checkpoint(&checkpoint, witnessed_policy.clone()).await;
    assert!(matches!(refused, Err(EvidenceError::Checkpoint(_))));
    storage.store_cosigned_checkpoint(&cosigned, witnessed_policy.clone()).await.unwrap();
    storage.append(&entries(3..5)).await.unwrap();
    storage.checkpoint().await.unwrap();
    let found = storage.verify(VerifyOptions::new().policy(witnessed_policy)).await.unwrap();
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.checkpoints, found.signed), (3, Some(5)));
    let witnessed = found.witnessed.unwrap();
    assert_eq!((witnessed.leaves, witnessed.by.len()), (3, 1));
    // A proof ends in the cosigned checkpoint if that covers the entry.
    for (id, size) in [("e00001", 3), ("e00004", 5)] {
        let proven = storage.inclusion_proof(&entry(id, 0).id).await.unwrap().unwrap();
        let opened = policy().open(proven.proof.checkpoint()).unwrap();
        assert_eq!(opened.checkpoint().size(), size);
    }
}

#[tokio::test]
async fn leaves_without_a_checkpoint_for_long_are_reported_without_a_key() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..3)).await.unwrap();
    storage.checkpoint().await.unwrap();
    storage.close().await.unwrap();
    let unsigned = async |with_key: bool| {
        let builder = FileStorage::builder(&path);
        let builder = if with_key { with_evidence(builder) } else { builder };
        let storage = builder.open().await.unwrap();
        let report = storage.recovery();
        storage.close().await.unwrap();
        assert_eq!(report.is_clean(), report.unsigned.is_none());
        report
    };
    let file = fs::read_dir(path.join(".attestry/checkpoints")).unwrap().next().unwrap().unwrap();
    let age = |hours: u64| {
        let time = std::time::SystemTime::now() - Duration::from_secs(hours * 3_600);
        let times = fs::FileTimes::new().set_modified(time);
        fs::File::options().append(true).open(file.path()).unwrap().set_times(times).unwrap();
    };
    age(100);
    assert!(unsigned(false).await.unsigned.is_none(), "all leaves are covered");
    let storage = FileStorage::builder(&path).open().await.unwrap();
    storage.append(&entries(3..5)).await.unwrap();
    storage.close().await.unwrap();
    age(23);
    assert!(unsigned(false).await.unsigned.is_none(), "another program may sign each day");
    age(25);
    let report = unsigned(false).await;
    assert_eq!(report.unsigned.unwrap().leaves, 2);
    assert!(report.to_string().contains("2 leaves of the tree have been without"), "{report}");
    assert!(unsigned(true).await.unsigned.is_none(), "it signs");
}

#[tokio::test]
async fn cosignature_in_the_future_is_observed_and_makes_no_checkpoint_new() {
    let (_guard, path) = folder();
    let storage = open(&path).await;
    storage.append(&entries(0..3)).await.unwrap();
    let checkpoint = storage.checkpoint().await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (time, future) in [(now, 0), (now + 300, 0), (now + 3_600, 1), (i64::MAX as u64, 2)] {
        let (witness, cosigned) = cosign_at(checkpoint.as_str(), time);
        let policy = policy().with_witnesses([witness.parse().unwrap()], 1).unwrap();
        storage.store_cosigned_checkpoint(&cosigned, policy.clone()).await.unwrap();
        let options = VerifyOptions::new().policy(policy);
        let found = storage.verify(options).await.unwrap();
        assert!(found.is_clean(), "{:#?}", found.problems);
        assert_eq!(found.observed(ObservationKind::FutureCosignature), future, "{time}");
        let newest = found.newest.unwrap().at.unix_micros();
        assert!(newest < (now as i64 + 700) * 1_000_000, "{newest}");
    }
}

/// [`cosign_at`] a time in the past.
fn cosign(note: &str) -> (String, SignedCheckpoint) {
    cosign_at(note, 1_700_000_000)
}

/// The key of a witness and the note with its cosignature, built from the text of C2SP tlog-cosignature.
fn cosign_at(note: &str, time: u64) -> (String, SignedCheckpoint) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::Signer;
    let secret = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let material = [&[4][..], secret.verifying_key().as_bytes()].concat();
    let name = "witness.example";
    let id = hash(&[name.as_bytes(), b"\n", &material].concat());
    let text = &note[..note.find("\n\n").unwrap() + 1];
    let signature = secret.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let blob = [&id[..4], &time.to_be_bytes(), &signature.to_bytes()].concat();
    let short = u32::from_be_bytes(id[..4].try_into().unwrap());
    (
        format!("{name}+{short:08x}+{}", STANDARD.encode(&material)),
        format!("{note}— {name} {}\n", STANDARD.encode(blob)).parse().unwrap(),
    )
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

#[tokio::test]
async fn buffered_lines_are_synced_before_signing() {
    let (_guard, path) = folder();
    let builder = FileStorage::builder(&path).durability(Durability::Buffered);
    let storage = with_evidence(builder).open().await.unwrap();
    for entry in entries(0..50) {
        storage.append(&[entry]).await.unwrap();
    }
    storage.checkpoint().await.unwrap();
    storage.delete(&entry("e00007", 0).id).await.unwrap();
    let found = verify(&storage, &[]).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.signed), (49, Some(50)));
}
