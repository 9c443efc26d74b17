//! The thread that stores calls, and its bounded queue.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use attestry_logger::{AuditLogger, Interaction};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tracing_core::dispatcher::{self, Dispatch};

/// Calls that are stored together at most.
const BATCH: usize = 256;

enum Message {
    Record(Box<Interaction<'static>>),
    /// Everything before it is stored, or has failed.
    Flush(oneshot::Sender<()>),
}

/// The number of calls since the layer was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Calls that were stored.
    pub recorded: u64,
    /// Calls that were dropped because the queue was full.
    pub refused: u64,
    /// Calls that the logger could not store. The logger's
    /// [failure policy](attestry_logger::FailurePolicy) can receive their entries: with `FailOpen` they
    /// are passed to its handler and count as recorded.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    recorded: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// Waits for and counts the calls of an [`AuditLayer`](crate::AuditLayer). Cloning is cheap.
///
/// The thread that records ends when the layer and all its handles are dropped and the queue is empty.
#[derive(Clone)]
pub struct AuditHandle {
    messages: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl AuditHandle {
    /// Returns once every span that was closed before is stored, refused or failed. Call it before the
    /// process ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.messages.send(Message::Flush(done)).await.is_ok() {
            // The sender is dropped only with the thread.
            let _ = is_done.await;
        }
    }

    /// The number of calls so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters { recorded, refused, failed } = &*self.counters;
        Counts {
            recorded: recorded.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for AuditHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditHandle").field("counts", &self.counts()).finish()
    }
}

impl AuditHandle {
    /// Adds a call to the queue, or counts it as refused.
    pub(crate) fn send(&self, interaction: Interaction<'static>) {
        if self.messages.try_send(Message::Record(Box::new(interaction))).is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts the thread.
pub(crate) fn start(logger: AuditLogger, queue: usize) -> io::Result<AuditHandle> {
    let (messages, queued) = mpsc::channel(queue);
    let counters = Arc::new(Counters::default());
    let of_thread = Arc::clone(&counters);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("attestry-tracing".into()).spawn(move || {
        // Tasks of this runtime run on this thread. What they trace must not reach the layer: it would be
        // recorded, which would be traced again.
        dispatcher::with_default(&Dispatch::none(), || {
            runtime.block_on(run(&logger, queued, &of_thread));
        });
    })?;
    Ok(AuditHandle { messages, counters })
}

async fn run(logger: &AuditLogger, mut queued: mpsc::Receiver<Message>, counters: &Counters) {
    let mut messages = Vec::with_capacity(BATCH);
    while queued.recv_many(&mut messages, BATCH).await > 0 {
        let mut batch = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Record(interaction) => batch.push(*interaction),
                Message::Flush(done) => {
                    store(logger, std::mem::take(&mut batch), counters).await;
                    // A caller that no longer waits needs no answer.
                    let _ = done.send(());
                }
            }
        }
        store(logger, batch, counters).await;
    }
}

/// Stores a batch. If it is refused, its calls are stored one by one: one that is invalid must not keep the
/// others from being stored.
async fn store(logger: &AuditLogger, batch: Vec<Interaction<'static>>, counters: &Counters) {
    if batch.is_empty() {
        return;
    }
    // Ids are chosen here: a batch that failed may have been stored in part.
    let with_ids =
        |interaction: Interaction<'static>| interaction.id(attestry_core::create_entry_id());
    let batch: Vec<_> = batch.into_iter().map(with_ids).collect();
    if logger.log_batch(batch.iter().cloned()).await.is_ok() {
        counters.recorded.fetch_add(batch.len() as u64, Ordering::Relaxed);
        return;
    }
    for interaction in batch {
        let counter = match logger.log(interaction).await {
            Ok(_) => &counters.recorded,
            Err(_) => &counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
