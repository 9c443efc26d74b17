//! The task of one anchor.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use attestry_core::{StorageBackend, Timestamp, event};
use attestry_evidence::{Checkpoint, SignedCheckpoint};
use attestry_file::{AnchorRecord, CheckpointReader, FileStorage, HeldCheckpoint};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::anchor::{Anchor, AnchorError, HandedOver, with_causes};
use crate::backoff::Backoff;
use crate::status::AnchorStatus;

/// When a checkpoint is handed over.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// At least this long after the last hand-over.
    pub(super) interval: Duration,
    pub(super) poll: Duration,
    pub(super) timeout: Duration,
    pub(super) backoff: Backoff,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            interval: Duration::ZERO,
            poll: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            backoff: Backoff::default(),
        }
    }
}

pub(super) struct AnchorTask {
    anchor: Box<dyn Anchor>,
    store: Arc<dyn StorageBackend>,
    reader: CheckpointReader,
    schedule: Schedule,
    record: AnchorRecord,
    status: Arc<Mutex<AnchorStatus>>,
    /// The latest checkpoint and when it was first seen.
    seen: Option<(SignedCheckpoint, Timestamp)>,
    /// In a row, by this process.
    failures: u32,
}

/// What to do after a look at the store.
enum Next {
    /// The anchor has the latest checkpoint, or the interval is not over.
    Nothing,
    HandOver(SignedCheckpoint, Checkpoint, Timestamp),
    /// The store cannot be read.
    Failed(AnchorError),
}

impl AnchorTask {
    /// `None` if `store` is not a file store.
    pub(super) fn new(
        anchor: Box<dyn Anchor>,
        store: Arc<dyn StorageBackend>,
        schedule: Schedule,
        status: Arc<Mutex<AnchorStatus>>,
    ) -> Option<Self> {
        let reader = as_files(&*store)?.checkpoint_reader();
        let record = AnchorRecord::new(anchor.name());
        Some(Self { anchor, store, reader, schedule, record, status, seen: None, failures: 0 })
    }

    pub(super) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        self.load().await;
        loop {
            let is_closing = *closing.borrow_and_update();
            let pause = match self.look().await {
                Next::Nothing if is_closing => return,
                Next::Nothing => {
                    self.failures = 0;
                    self.schedule.poll
                }
                Next::HandOver(signed, checkpoint, seen) => {
                    match self.hand_over(&signed, &checkpoint, seen).await {
                        Ok(()) | Err(AnchorError::Superseded) => continue,
                        Err(error) => self.failed(&error).await,
                    }
                }
                Next::Failed(error) => self.failed(&error).await,
            };
            tokio::select! {
                () = sleep(pause) => {}
                // An attempt at once, whatever pause is left.
                Ok(()) = closing.changed() => {}
            }
        }
    }

    /// What processes before this one handed over.
    async fn load(&mut self) {
        let Some(files) = as_files(&*self.store) else { return };
        // A record that cannot be read causes one hand-over more.
        let records = files.anchor_records().await.unwrap_or_default();
        if let Some(record) = records.into_iter().find(|r| r.anchor == self.record.anchor) {
            self.record = record.clone();
            self.update(|status| *status = AnchorStatus::new(record));
        }
    }

    async fn look(&mut self) -> Next {
        let latest = match self.reader.latest().await {
            Ok(Some(latest)) => latest,
            Ok(None) => return Next::Nothing,
            Err(error) => return Next::Failed(error.into()),
        };
        let seen = match &self.seen {
            Some((before, at)) if *before == latest => *at,
            _ => Timestamp::now(),
        };
        self.seen = Some((latest.clone(), seen));
        let Some(checkpoint) = checkpoint_of(&latest) else { return Next::Nothing };
        let pending = self.is_due() && !self.is_held(&checkpoint);
        self.update(|status| status.pending = pending);
        if pending { Next::HandOver(latest, checkpoint, seen) } else { Next::Nothing }
    }

    fn is_held(&self, latest: &Checkpoint) -> bool {
        self.record.held.as_ref().is_some_and(|held| {
            (&*held.origin, held.leaves, held.root)
                == (latest.origin(), latest.size(), latest.root())
        })
    }

    fn is_due(&self) -> bool {
        let Some(held) = &self.record.held else { return true };
        let since = Timestamp::now().unix_micros() - held.at.unix_micros();
        // A clock that went back must not stop hand-overs for long.
        u64::try_from(since)
            .map_or(true, |since| Duration::from_micros(since) >= self.schedule.interval)
    }

    async fn hand_over(
        &mut self,
        signed: &SignedCheckpoint,
        checkpoint: &Checkpoint,
        seen: Timestamp,
    ) -> Result<(), AnchorError> {
        let Some(files) = as_files(&*self.store) else { return Ok(()) };
        let limit = self.schedule.timeout;
        let attempt = timeout(limit, self.anchor.hand_over(signed, files)).await;
        let HandedOver { lacking } =
            attempt.map_err(|_| AnchorError::Timeout { seconds: limit.as_secs() })??;
        let (origin, leaves) = (checkpoint.origin(), checkpoint.size());
        event!(DEBUG, anchor = %self.record.anchor, leaves = leaves, "handed a checkpoint over");
        self.record.held = Some(HeldCheckpoint::new(origin, leaves, checkpoint.root(), seen));
        self.record.failures = 0;
        self.record.last_error = lacking;
        self.failures = 0;
        self.update(|status| {
            status.handed_over += 1;
            status.contradiction = false;
            status.pending = false;
        });
        self.save().await;
        Ok(())
    }

    /// Counts a failure and returns the pause until the next attempt.
    async fn failed(&mut self, error: &AnchorError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.record.failures = self.record.failures.saturating_add(1);
        self.record.last_error = Some(with_causes(error));
        let contradiction = error.is_contradiction();
        let reason = self.record.last_error.as_deref();
        let anchor = &self.record.anchor;
        match contradiction {
            true => {
                event!(ERROR, anchor = %anchor, reason = reason, "an anchor contradicts the store")
            }
            false => {
                event!(WARN, anchor = %anchor, reason = reason, "a checkpoint was not handed over");
            }
        }
        self.update(|status| {
            status.failed += 1;
            status.contradiction = contradiction;
        });
        self.save().await;
        self.schedule.backoff.pause(self.failures)
    }

    async fn save(&mut self) {
        self.record.attempted_at = Timestamp::now();
        let record = &self.record;
        self.update(|status| {
            status.held.clone_from(&record.held);
            status.failures_in_a_row = record.failures;
            status.last_error.clone_from(&record.last_error);
        });
        // A record that is not stored causes one hand-over more after a restart.
        if let Some(files) = as_files(&*self.store) {
            let _ = files.store_anchor_record(&self.record).await;
        }
    }

    fn update(&self, change: impl FnOnce(&mut AnchorStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn as_files(store: &dyn StorageBackend) -> Option<&FileStorage> {
    store.as_any()?.downcast_ref()
}

/// The checkpoint of a note; signatures are not verified, because this store has just signed it.
fn checkpoint_of(note: &SignedCheckpoint) -> Option<Checkpoint> {
    let text = note.as_str();
    text[..=text.find("\n\n")?].parse().ok()
}
