//! Stores that keep evidence.

use attestry_evidence::{Policy, SigningKey};
use attestry_file::{
    EvidenceOptions, FileStorage, FileStorageBuilder, Verification, VerifyOptions,
};

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy::new(key().public())
}

/// With evidence, and no checkpoint that nobody asks for.
pub(crate) fn kept(builder: FileStorageBuilder) -> FileStorageBuilder {
    let never = std::time::Duration::MAX;
    builder.evidence(EvidenceOptions::new(key()).every(never).every_entries(u64::MAX))
}

/// Holds a store against its own checkpoints and those kept elsewhere.
pub(crate) async fn verify(storage: &FileStorage, kept: &[String]) -> Verification {
    let policy = policy();
    let options = kept
        .iter()
        .fold(VerifyOptions::new(), |options, note| options.against(&policy.open(note).unwrap()));
    // Where nothing was signed yet, nothing must be.
    let signed = storage.latest_checkpoint().await.unwrap().is_some();
    let options = if signed { options.policy(policy) } else { options };
    storage.verify(options).await.unwrap()
}
