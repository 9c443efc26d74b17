//! Stores with evidence.

use attestry_evidence::{Policy, SignedCheckpoint, SigningKey};
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
