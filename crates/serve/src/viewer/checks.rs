//! Whether an entry is what was recorded: its content against its hashes, its line against the tree.

use attestry::evidence::{
    Checkpoint, EntryProof, EvidenceError, EvidenceExt as _, InclusionProof, line_hash,
};
use attestry::{AuditEntry, AuditError, Content, EntryId, ErrorChain, ErrorKind};

use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::state::AppState;

/// Each line is in memory while it is hashed, and can have many megabytes.
pub(super) const LINES_AT_ONCE: usize = 4;

/// What the hashes of an entry say about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContentCheck {
    Matches,
    /// Only hashes were stored.
    NotStored,
    /// The text is another one than was recorded.
    Differs,
    /// The server cannot tell, and why.
    Unknown(String),
}

/// What the tree says about the line of an entry.
#[derive(Debug)]
pub(super) enum LineCheck {
    /// It is in the tree, and a checkpoint covers it.
    Proven(Box<Proven>),
    /// It is in the tree, and no checkpoint covers it yet.
    NotSigned,
    /// It is not in the tree: it was changed, or put there past the tree.
    NotInTree,
    /// The entry was erased after it was read.
    Erased,
    /// The store keeps no evidence.
    NotKept,
    /// The tree, or its checkpoint, is damaged or another one.
    Failed(String),
}

/// A line that a checkpoint covers. Without its text, which can be many megabytes.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) proof: InclusionProof,
    pub(super) checkpoint: Option<Checkpoint>,
    /// Whether its signatures are what the server requires; `None` if it requires none.
    pub(super) is_signed: Option<bool>,
}

/// The content of an entry as text, if it matches its hashes, and the result. Hashing and decrypting long texts takes
/// long.
pub(super) async fn check_content(
    state: &AppState,
    entry: AuditEntry,
) -> Result<(Option<Content>, ContentCheck), Problem> {
    let logger = state.logger.clone();
    Ok(match blocking(move || logger.decrypt_entry(&entry)).await? {
        Ok(content) if content.input.is_none() && content.output.is_none() => {
            (None, ContentCheck::NotStored)
        }
        Ok(content) => (Some(content), ContentCheck::Matches),
        Err(error) => (None, failed(&error)),
    })
}

fn failed(error: &AuditError) -> ContentCheck {
    match error.kind() {
        ErrorKind::Altered | ErrorKind::HashMismatch => ContentCheck::Differs,
        _ => ContentCheck::Unknown(ErrorChain(error).to_string()),
    }
}

/// Looks for the lines of entries in the tree, in their order.
pub(super) async fn check_lines(state: &AppState, ids: &[EntryId]) -> Vec<LineCheck> {
    let mut checks = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LINES_AT_ONCE) {
        let found = match state.logger.evidence() {
            Ok(evidence) => evidence.inclusion_proofs(ids).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => checks.extend(found.into_iter().map(|found| line_check(state, found))),
            Err(error) => checks.extend(ids.iter().map(|_| failed_line(&error))),
        }
    }
    checks
}

fn line_check(state: &AppState, found: Result<Option<EntryProof>, EvidenceError>) -> LineCheck {
    match found {
        Ok(Some(EntryProof { line, proof, .. })) => {
            let note = proof.checkpoint();
            let checkpoint =
                note.split_once("\n\n").and_then(|(text, _)| format!("{text}\n").parse().ok());
            let leaf = line_hash(&line);
            let is_signed = state
                .verifications
                .policy()
                .map(|policy| leaf.is_ok_and(|leaf| proof.verify(leaf, policy).is_ok()));
            LineCheck::Proven(Box::new(Proven { proof, checkpoint, is_signed }))
        }
        Ok(None) => LineCheck::Erased,
        Err(error) => failed_line(&error),
    }
}

fn failed_line(error: &EvidenceError) -> LineCheck {
    match error {
        EvidenceError::NotKept { .. } | EvidenceError::Unsupported => LineCheck::NotKept,
        EvidenceError::NotSigned { .. } => LineCheck::NotSigned,
        EvidenceError::NotInTree { .. } => LineCheck::NotInTree,
        error => LineCheck::Failed(ErrorChain(error).to_string()),
    }
}
