//! What the page about integrity shows, read from the store.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use attestry::Timestamp;
use attestry::evidence::{AnchorRecord, EvidenceError, EvidenceExt as _, RecordedErasure};
use attestry::file::{FileStorage, Quarantined};

use super::MAX_ROWS;
use crate::http::problem::Problem;
use crate::overview::Wanted;
use crate::state::AppState;
use crate::verification::{Latest, Progress};

pub(super) struct Integrity {
    pub(super) keeps_evidence: bool,
    /// Whether verifications verify signatures.
    pub(super) has_key: bool,
    pub(super) latest: Option<Arc<Latest>>,
    pub(super) running: Option<Progress>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) signing_fails: bool,
    pub(super) anchors: Vec<AnchorRecord>,
    /// The newest ones, in the order of the tree.
    pub(super) erasures: Vec<RecordedErasure>,
    pub(super) all_erasures: usize,
    /// Calls without an end; `None` while the store is counted for the first time.
    pub(super) open: Option<u64>,
    /// `None` for a store that has none.
    pub(super) quarantine: Option<Vec<Quarantined>>,
}

/// The newest checkpoint. Its signature is for a verification to verify.
pub(super) struct Checkpoint {
    pub(super) origin: String,
    pub(super) leaves: u64,
    pub(super) at: Option<Timestamp>,
}

impl Integrity {
    pub(super) async fn read(state: &AppState) -> Result<Self, Problem> {
        let figures = state.overview.figures(Wanted::All).await;
        let storage = state.logger.storage();
        let files = storage.as_any().and_then(|any| any.downcast_ref::<FileStorage>());
        let quarantine = match files {
            Some(files) => Some(files.quarantine().await?),
            None => None,
        };
        let mut integrity = Self {
            keeps_evidence: false,
            has_key: state.verifications.policy().is_some(),
            latest: state.verifications.latest(),
            running: *state.verifications.progress().borrow(),
            checkpoint: None,
            signing_fails: state.signing.fails(&state.logger),
            anchors: Vec::new(),
            erasures: Vec::new(),
            all_erasures: 0,
            open: figures.is_complete().then_some(figures.open),
            quarantine,
        };
        let Ok(evidence) = state.logger.evidence() else { return Ok(integrity) };
        let note = match evidence.latest_checkpoint().await {
            Err(EvidenceError::NotKept { .. }) => return Ok(integrity),
            note => note?,
        };
        integrity.keeps_evidence = true;
        if let Some(note) = note {
            integrity.checkpoint = read_checkpoint(state, note.as_str(), evidence.path()).await;
        }
        integrity.anchors = evidence.anchor_records().await?;
        let policy = state.verifications.policy().cloned();
        (integrity.erasures, integrity.all_erasures) =
            evidence.newest_erasure_records(policy, MAX_ROWS).await?;
        Ok(integrity)
    }
}

/// Origin and size are the first two lines of the note.
async fn read_checkpoint(state: &AppState, note: &str, store: &Path) -> Option<Checkpoint> {
    let mut lines = note.lines();
    let (origin, leaves) = (lines.next()?.to_owned(), lines.next()?.parse().ok()?);
    let signed = state.logger.metrics().storage.and_then(|storage| storage.last_checkpoint);
    let at = match signed.filter(|signed| signed.size == leaves) {
        Some(signed) => Some(signed.time),
        // Another process signed it.
        None => time_of_newest_note(store).await,
    };
    Some(Checkpoint { origin, leaves, at })
}

/// When the file of the newest checkpoints was written, which has one for each day.
async fn time_of_newest_note(store: &Path) -> Option<Timestamp> {
    let folder = store.join(".attestry").join("checkpoints");
    let newest = move || {
        let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
        // Cosignatures come later.
        let notes = files.filter(|file| Path::new(&file.file_name()).extension().is_none());
        notes.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
    };
    let modified = tokio::task::spawn_blocking(newest).await.ok()??;
    Timestamp::UNIX_EPOCH.checked_add(modified.duration_since(UNIX_EPOCH).ok()?)
}
