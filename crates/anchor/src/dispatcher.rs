//! Hands new checkpoints over to anchors, in the background.

mod task;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use attestry_core::StorageBackend;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::anchor::Anchor;
use crate::backoff::Backoff;
use crate::status::{AnchorMetrics, AnchorStatus};
use task::{AnchorTask, Schedule};

/// The store keeps no evidence in files; only a [`FileStorage`](attestry_file::FileStorage) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("only file stores have checkpoints to hand over; open a folder")]
pub struct NotAFileStore;

/// Settings of a [`Dispatcher`].
///
/// | setting | default |
/// | --- | --- |
/// | [`poll_interval`](Self::poll_interval) | one second |
/// | [`timeout`](Self::timeout) | 30 seconds an attempt |
/// | [`backoff`](Self::backoff) | one second to five minutes |
#[derive(Debug)]
#[must_use = "nothing is handed over until `start` is called"]
pub struct DispatcherBuilder {
    anchors: Vec<(Box<dyn Anchor>, Duration)>,
    schedule: Schedule,
}

impl DispatcherBuilder {
    /// Hands each new checkpoint over to `anchor`.
    pub fn anchor(self, anchor: impl Anchor + 'static) -> Self {
        self.anchor_every(Duration::ZERO, anchor)
    }

    /// Hands a checkpoint over to `anchor` when the last hand-over is at least `interval` ago, also if
    /// another process made it.
    pub fn anchor_every(mut self, interval: Duration, anchor: impl Anchor + 'static) -> Self {
        self.anchors.push((Box::new(anchor), interval));
        self
    }

    /// How often the store is looked at for a new checkpoint, by this or another process.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.schedule.poll = interval;
        self
    }

    /// The timeout of one attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.schedule.timeout = timeout;
        self
    }

    /// The pauses after failures.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.schedule.backoff = backoff;
        self
    }

    /// Whether there is nothing to hand over to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Starts a task for each anchor. What a process before this one did not hand over is handed over now.
    ///
    /// # Errors
    ///
    /// [`NotAFileStore`].
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    // An `Arc<FileStorage>` becomes this type, a reference to one would not.
    #[allow(clippy::needless_pass_by_value)]
    pub fn start(self, store: Arc<dyn StorageBackend>) -> Result<Dispatcher, NotAFileStore> {
        let (closing, _) = watch::channel(false);
        let mut running = Vec::new();
        for (anchor, interval) in self.anchors {
            let schedule = Schedule { interval, ..self.schedule.clone() };
            let status = Arc::new(Mutex::new(AnchorStatus::new(attestry_file::AnchorRecord::new(
                anchor.name(),
            ))));
            let task = AnchorTask::new(anchor, Arc::clone(&store), schedule, Arc::clone(&status))
                .ok_or(NotAFileStore)?;
            let handle = tokio::spawn(task.run(closing.subscribe()));
            running.push(Running { status, handle });
        }
        Ok(Dispatcher { running, closing })
    }
}

/// Hands the checkpoints of a store over to anchors while it lives. See the [crate](crate).
///
/// Dropping it stops all hand-overs, also those in progress. The next dispatcher of the store repeats them.
pub struct Dispatcher {
    running: Vec<Running>,
    closing: watch::Sender<bool>,
}

struct Running {
    status: Arc<Mutex<AnchorStatus>>,
    handle: JoinHandle<()>,
}

impl Running {
    fn status(&self) -> AnchorStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dispatcher {
    /// A dispatcher without anchors.
    pub fn builder() -> DispatcherBuilder {
        DispatcherBuilder { anchors: Vec::new(), schedule: Schedule::default() }
    }

    /// The state of all anchors, in the order they were added.
    #[must_use]
    pub fn status(&self) -> Vec<AnchorStatus> {
        self.running.iter().map(Running::status).collect()
    }

    /// The state of all anchors, and the age of what is held elsewhere, as a struct or as JSON.
    ///
    /// ```
    /// # fn example(anchors: &attestry_anchor::Dispatcher) -> Result<(), Box<dyn std::error::Error>> {
    /// let metrics = anchors.metrics();
    /// if metrics.anchors.iter().any(|anchor| anchor.contradiction) {
    ///     eprintln!("a witness has seen another history of this log");
    /// }
    /// println!("{}", serde_json::to_string(&metrics)?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> AnchorMetrics {
        AnchorMetrics::new(self.status())
    }

    /// Hands over the latest checkpoint of the store where it is missing, and stops. After `limit`, what
    /// is not handed over is left to the next dispatcher of the store. Returns the final state.
    ///
    /// Sign a checkpoint first if the latest entries shall be covered, and close the store afterwards.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops all hand-overs.
    pub async fn close(mut self, limit: Duration) -> Vec<AnchorStatus> {
        self.closing.send_replace(true);
        let deadline = Instant::now() + limit;
        for running in &mut self.running {
            if timeout_at(deadline, &mut running.handle).await.is_err() {
                running.handle.abort();
            }
        }
        self.status()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.running.iter().for_each(|running| running.handle.abort());
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").field("status", &self.status()).finish_non_exhaustive()
    }
}
