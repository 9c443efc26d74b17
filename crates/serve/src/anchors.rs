//! Hands checkpoints over to witnesses and places elsewhere while the server runs.

use std::sync::OnceLock;
use std::time::Duration;

use attestry::anchor::{AnchorMetrics, Dispatcher};
use attestry::evidence::EvidenceExt as _;
use attestry::{AuditLogger, ErrorChain};
use tokio::sync::Mutex;

/// The dispatcher of the server, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Anchors(OnceLock<Running>);

#[derive(Debug)]
struct Running {
    /// `None` once it is closed.
    dispatcher: Mutex<Option<Dispatcher>>,
    limit: Duration,
}

impl Anchors {
    pub(crate) fn set(&self, dispatcher: Dispatcher, limit: Duration) {
        let dispatcher = Mutex::new(Some(dispatcher));
        // The server sets it once, before it runs.
        let _ = self.0.set(Running { dispatcher, limit });
    }

    /// `None` without a dispatcher.
    pub(crate) async fn metrics(&self) -> Option<AnchorMetrics> {
        let dispatcher = self.0.get()?.dispatcher.lock().await;
        Some(dispatcher.as_ref()?.metrics())
    }

    /// Signs a checkpoint of what is stored and waits until it is handed over, for a limited time. What is left is
    /// handed over by the next process.
    pub(crate) async fn close(&self, logger: &AuditLogger) {
        let Some(Running { dispatcher, limit }) = self.0.get() else { return };
        let Some(dispatcher) = dispatcher.lock().await.take() else { return };
        let signed = match logger.evidence() {
            Ok(evidence) => evidence.checkpoint().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = signed {
            let reason = ErrorChain(&error).to_string();
            tracing::warn!(reason, "cannot sign a checkpoint at the end");
        }
        for anchor in dispatcher.close(*limit).await {
            if anchor.pending {
                let (anchor, reason) = (anchor.anchor, anchor.last_error);
                tracing::warn!(anchor, reason, "the last checkpoint was not handed over in time");
            }
        }
    }
}
