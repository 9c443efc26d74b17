//! Stores with evidence.

use std::fs;
use std::path::Path;

use attestry_evidence::{Policy, Record, SignedCheckpoint, SignedRecord, SigningKey, Statement};
use attestry_file::{
    EvidenceOptions, FileStorage, FileStorageBuilder, Verification, VerifyOptions,
};

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy::new(key().public())
}

/// With evidence, without periodic checkpoints.
pub(crate) fn with_evidence(builder: FileStorageBuilder) -> FileStorageBuilder {
    let never = std::time::Duration::MAX;
    builder.evidence(EvidenceOptions::new(key()).every(never).every_entries(u64::MAX))
}

/// [`with_evidence`], also over entries that exist already.
pub(crate) fn adopting(builder: FileStorageBuilder) -> FileStorageBuilder {
    let never = std::time::Duration::MAX;
    let options = EvidenceOptions::new(key()).every(never).every_entries(u64::MAX);
    builder.evidence(options.adopt_existing(true))
}

/// An intent log with this document, signed with `key`.
pub(crate) fn intent_log(document: &str, key: &SigningKey) -> String {
    let sha256 = attestry_core::hash_content(document);
    let statement = Statement::EraseIntent { sha256: sha256.clone() };
    let record = SignedRecord::sign("example.com/audit", &statement, &[key]).unwrap();
    format!("{document}\n{sha256}\n{}\n", Record::from(record).to_line())
}

/// Verifies a store against its own checkpoints and external ones.
pub(crate) async fn verify(storage: &FileStorage, external: &[SignedCheckpoint]) -> Verification {
    let policy = policy();
    let options = external
        .iter()
        .fold(VerifyOptions::new(), |options, note| options.against(&policy.open(note).unwrap()));
    // With a policy, a missing checkpoint is a problem.
    let signed = storage.latest_checkpoint().await.unwrap().is_some();
    let options = if signed { options.policy(policy) } else { options };
    storage.verify(options).await.unwrap()
}

/// Copies a folder with all it contains.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}
