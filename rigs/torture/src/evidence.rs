//! Evidence under torture: whatever happens to a store, its tree is the one that every checkpoint that
//! was ever handed out was signed of, and every line is in it.

use std::path::Path;
use std::time::Duration;

use attestry_evidence::{Policy, SigningKey};
use attestry_file::{
    EvidenceError, EvidenceOptions, FileStorage, FileStorageBuilder, VerifyOptions,
};

use crate::outcome::{Result, Stop, chain, failed};

/// The key of every store that is tortured.
pub(crate) fn key() -> Result<SigningKey> {
    SigningKey::from_seed("torture.example/audit", &[7; 32])
        .map_err(|error| Stop::Failed(chain(&error)))
}

/// Whether a folder keeps evidence, or had begun to.
pub(crate) fn is_kept(folder: &Path) -> bool {
    folder.join(".attestry/tree/head").exists()
}

/// A store that keeps evidence and signs it often; `tell` has each checkpoint.
pub(crate) fn kept(
    builder: FileStorageBuilder,
    tell: impl Fn(&str) + Send + Sync + 'static,
) -> Result<FileStorageBuilder> {
    let evidence = EvidenceOptions::new(key()?)
        .every_entries(25)
        .every(Duration::from_millis(20))
        .on_checkpoint(move |signed| {
            if let Ok(checkpoint) = signed {
                tell(checkpoint);
            }
        });
    Ok(builder.evidence(evidence))
}

/// Verifies an open store of `lines` lines against its own checkpoints and those handed out, and
/// signs another.
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
        return failed("a checkpoint was handed out, and the store has none");
    }
    let found = storage.verify(options).await.map_err(failure)?;
    if let Some(problem) = found.problems.first() {
        let count = found.problems.len();
        return failed(format!("{count} problems with the evidence; the first: {problem}"));
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
