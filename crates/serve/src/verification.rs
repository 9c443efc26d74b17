//! Verifications of the store: one at a time, requested or scheduled. The result of the latest is kept.

use std::sync::{Arc, Mutex, PoisonError};

use attestry::evidence::{EvidenceError, EvidenceExt as _, Policy, Verification, VerifyOptions};
use attestry::{AuditLogger, ErrorChain, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Leaves verified so far, and leaves of the tree.
pub(crate) type Progress = (u64, u64);

/// What all verifications share.
#[derive(Debug)]
pub(crate) struct Verifications {
    policy: Option<Policy>,
    running: Arc<Semaphore>,
    latest: Mutex<Option<Arc<Latest>>>,
    /// How far the one is that runs; `None` if none does.
    progress: Arc<watch::Sender<Option<Progress>>>,
}

/// Permission to verify. While it exists, readers see that a verification runs.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    progress: Arc<watch::Sender<Option<Progress>>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.progress.send_replace(None);
    }
}

/// The result of the latest verification that came to an end.
#[derive(Debug)]
pub(crate) struct Latest {
    pub(crate) at: Timestamp,
    pub(crate) seconds: f64,
    /// `None` if it failed.
    pub(crate) problems: Option<u64>,
    pub(crate) report: Value,
}

impl Verifications {
    pub(crate) fn new(policy: Option<Policy>) -> Self {
        Self {
            policy,
            running: Arc::new(Semaphore::new(1)),
            latest: Mutex::default(),
            progress: Arc::new(watch::Sender::new(None)),
        }
    }

    pub(crate) fn latest(&self) -> Option<Arc<Latest>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The signatures that are required.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// How far the verification is that runs; `None` while none does.
    pub(crate) fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }

    /// Begins a verification, unless another one runs.
    pub(crate) fn try_begin(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.running).try_acquire_owned().ok()?;
        self.progress.send_replace(Some((0, 0)));
        Some(Permit { _permit: permit, progress: Arc::clone(&self.progress) })
    }

    pub(crate) fn set_latest(&self, latest: &Arc<Latest>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(latest));
    }

    /// Compares the entries with the tree and the checkpoints. Signs a checkpoint first, if there is a key, so that it
    /// covers all that was acknowledged.
    pub(crate) async fn verify(
        &self,
        logger: &AuditLogger,
        progress: watch::Sender<Progress>,
    ) -> Result<Verification, EvidenceError> {
        let evidence = logger.evidence()?;
        match evidence.checkpoint().await {
            Ok(_) | Err(EvidenceError::NoSigningKey { .. } | EvidenceError::Storage(_)) => {}
            // The verification says why.
            Err(error) => {
                let reason = ErrorChain(&error).to_string();
                tracing::warn!(reason, "cannot sign a checkpoint before the verification");
            }
        }
        let shown = Arc::clone(&self.progress);
        let mut options = VerifyOptions::new().on_progress(move |done| {
            let done = (done.leaves, done.leaves_total);
            progress.send_replace(done);
            shown.send_replace(Some(done));
        });
        if let Some(policy) = &self.policy {
            options = options.policy(policy.clone());
        }
        evidence.verify(options).await
    }
}

impl Latest {
    /// The report, and when it was made.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "at": self.at,
            "seconds": self.seconds,
            "clean": self.problems == Some(0),
            "report": self.report,
        })
    }
}
