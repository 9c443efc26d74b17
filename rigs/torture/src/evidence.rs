//! Stores with evidence: after any fault the tree must be consistent with every issued checkpoint and contain every line.

use std::path::Path;
use std::time::Duration;

use attestry_evidence::{Policy, SigningKey};
use attestry_file::{
    EvidenceError, EvidenceOptions, FileStorage, FileStorageBuilder, VerifyOptions,
};

use crate::outcome::{Result, Stop, chain, failed};

/// The signing key of all stores.
pub(crate) fn key() -> Result<SigningKey> {
    SigningKey::from_seed("torture.example/audit", &[7; 32])
        .map_err(|error| Stop::Failed(chain(&error)))
}

/// Whether a folder has evidence, or part of it.
pub(crate) fn exists(folder: &Path) -> bool {
    folder.join(".attestry/tree/head").exists()
}

/// Adds evidence with frequent checkpoints, which are passed to `on_checkpoint`.
pub(crate) fn enable(
    builder: FileStorageBuilder,
    on_checkpoint: impl Fn(&str) + Send + Sync + 'static,
) -> Result<FileStorageBuilder> {
    let evidence = EvidenceOptions::new(key()?)
        .every_entries(25)
        .every(Duration::from_millis(20))
        .on_checkpoint(move |signed| {
            if let Ok(checkpoint) = signed {
                on_checkpoint(checkpoint.as_str());
            }
        });
    Ok(builder.evidence(evidence))
}

/// Verifies an open store of `lines` lines against its own and all issued checkpoints, and signs another.
pub(crate) async fn holds(storage: &FileStorage, handed_out: &[String], lines: u64) -> Result {
    let failure = |error: EvidenceError| Stop::Failed(chain(&error));
    let policy = Policy::new(key()?.public());
    let mut options = VerifyOptions::new();
    for note in handed_out {
        let opened = policy.open(note).map_err(|error| Stop::Failed(chain(&error)))?;
        options = options.against(&opened);
    }
    if storage.latest_checkpoint().await.map_err(failure)?.is_some() {
        options = options.policy(policy);
    } else if !handed_out.is_empty() {
        return failed("a checkpoint was issued, but the store has none");
    }
    let found = storage.verify(options).await.map_err(failure)?;
    if let Some(problem) = found.problems.first() {
        let count = found.problems.len();
        return failed(format!("{count} evidence problems, the first: {problem}"));
    }
    if (found.lines, found.not_covered) != (lines, 0) {
        return failed(format!(
            "{lines} lines are there, {} are in the tree and {} are not",
            found.lines, found.not_covered
        ));
    }
    storage.checkpoint().await.map_err(failure)?;
    Ok(())
}
