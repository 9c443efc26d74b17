//! Hands checkpoints over to witnesses and places elsewhere while the server runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attestry::anchor::{AnchorMetrics, Dispatcher};
use attestry::evidence::EvidenceExt as _;
use attestry::{AuditLogger, ErrorChain};

/// The dispatcher of the server, if it has one that is not closed, and the time for its last hand-over.
#[derive(Debug, Default)]
pub(crate) struct Anchors(Mutex<Option<(Dispatcher, Duration)>>);

impl Anchors {
    pub(crate) fn set(&self, dispatcher: Dispatcher, limit: Duration) {
        *self.lock() = Some((dispatcher, limit));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Dispatcher, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` without a dispatcher.
    pub(crate) fn metrics(&self) -> Option<AnchorMetrics> {
        self.lock().as_ref().map(|(dispatcher, _)| dispatcher.metrics())
    }

    /// Signs a checkpoint of what is stored and waits until it is handed over, for a limited time. What is left is
    /// handed over by the next process.
    pub(crate) async fn close(&self, logger: &AuditLogger) {
        let taken = self.lock().take();
        let Some((dispatcher, limit)) = taken else { return };
        let signed = match logger.evidence() {
            Ok(evidence) => evidence.checkpoint().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = signed {
            let reason = ErrorChain(&error).to_string();
            tracing::warn!(reason, "cannot sign a checkpoint at the end");
        }
        for anchor in dispatcher.close(limit).await {
            if anchor.pending {
                let (anchor, reason) = (anchor.anchor, anchor.last_error);
                tracing::warn!(anchor, reason, "the last checkpoint was not handed over in time");
            }
        }
    }
}
