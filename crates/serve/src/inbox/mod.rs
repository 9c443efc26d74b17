//! The durable inbox: parts of one call that arrive in different requests become one entry.
//!
//! A call that is complete in one request is written at once. Every other part is first stored in the inbox, a second
//! store of files, and then waits in memory for the others. When the call is complete, or its deadline has come, its
//! entry is written and its parts are marked as done. After a crash the parts that are not marked are read again, and give
//! the same entry with the same id, which is stored once.

mod late;
mod part;
mod recent;
mod recover;
mod reduce;
mod waiting;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attestry::{AuditEntry, AuditLogger, ErrorChain};
use attestry_genai::{CallRecord, JoinKey, JoinTable, UnmappedTexts};
use tokio::sync::{Notify, watch};

use self::part::{Part, PartError, PartStore};
use self::recent::Written;
use self::waiting::Waiting;
use crate::counter::Counter;
use crate::error::ServeError;
use crate::http::problem::Problem;

/// A larger part is not joined with others: with content of others, its entry might not fit a line.
const MAX_PART_BYTES: usize = 24 << 20;
/// Reasons for refusals that a response names at most.
const MAX_REASONS: usize = 3;

/// Where parts of calls wait for the others.
#[derive(Debug)]
pub(crate) struct Inbox {
    logger: AuditLogger,
    parts: PartStore,
    waiting: Mutex<Waiting>,
    /// A call is complete, or there are too many.
    ready: Notify,
    settings: InboxSettings,
    unmapped: UnmappedTexts,
    failing: Failing,
    pub(crate) counters: InboxCounters,
}

/// What fails in the background now.
#[derive(Debug, Default)]
struct Failing {
    writes: Failure,
    marks: Failure,
    sweeps: Failure,
}

/// Whether something fails that is tried again.
#[derive(Debug, Default)]
struct Failure(AtomicBool);

impl Failure {
    /// Logs the first of failures that follow each other.
    fn log(&self, error: &(dyn std::error::Error + 'static), what: &'static str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            let reason = ErrorChain(error).to_string();
            tracing::error!(reason, "{what}; it is tried again");
        }
    }

    fn ended(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Settings of an [`Inbox`].
#[derive(Debug, Clone)]
pub(crate) struct InboxSettings {
    pub(crate) folder: PathBuf,
    /// How long a part waits for the others.
    pub(crate) deadline: Duration,
    /// Bytes of the parts that wait; of more, the oldest are written before their deadline.
    pub(crate) bytes: usize,
}

/// The folder of the inbox of a store in `store`.
pub(crate) fn default_folder(store: &Path) -> PathBuf {
    store.join(".attestry").join("inbox")
}

/// What the inbox has done since the process started.
#[derive(Debug, Default)]
pub(crate) struct InboxCounters {
    /// Entries written.
    pub(crate) entries: Counter,
    /// Parts stored in the inbox.
    pub(crate) parts: Counter,
    /// Records that said nothing more than the entry of their call.
    pub(crate) repeated: Counter,
    /// Entries of what came after the entry of its call.
    pub(crate) late: Counter,
    /// Writes from the inbox that failed and are tried again.
    pub(crate) failed_writes: Counter,
    /// Entries of accepted calls that were reduced, because they would not be valid.
    pub(crate) reduced: Counter,
    /// Accepted calls of which nothing could be stored.
    pub(crate) dropped: Counter,
}

/// What became of the records of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Records that cannot be stored.
    pub(crate) refused: u64,
    /// Why, of the first ones.
    pub(crate) reasons: BTreeSet<String>,
}

/// The records of a request, ready to be stored: computed, with nothing written yet.
pub(crate) struct Prepared {
    direct: Vec<Direct>,
    /// Of `direct`.
    begun: Begun,
    parts: Vec<(CallRecord, AuditEntry, usize)>,
    accepted: Accepted,
}

/// A call that is complete in one request.
struct Direct {
    entry: AuditEntry,
    dated_now: bool,
    records: u64,
}

/// The keys of calls whose entries are being written. However that ends, other parts of them are not held up.
struct Begun {
    inbox: Arc<Inbox>,
    keys: Vec<BTreeSet<JoinKey>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut waiting = self.inbox.waiting();
        for keys in &self.keys {
            waiting.recent.forget(keys);
        }
    }
}

impl Accepted {
    fn refuse(&mut self, records: u64, reason: String) {
        self.refused += records;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.insert(reason);
        }
    }
}

impl Inbox {
    /// Opens the inbox, and reads what an earlier server left in it.
    pub(crate) async fn open(
        logger: AuditLogger,
        settings: InboxSettings,
    ) -> Result<Self, ServeError> {
        let failed = |source: PartError| ServeError::Inbox {
            path: settings.folder.clone(),
            source: Box::new(source),
        };
        let parts = PartStore::open(&settings.folder, &logger).await.map_err(failed)?;
        let waiting = recover::waiting(&parts, &logger, settings.deadline).await.map_err(failed)?;
        let unmapped = match logger.stores_plain_content() {
            true => UnmappedTexts::Keep,
            false => UnmappedTexts::Hash,
        };
        Ok(Self {
            logger,
            parts,
            waiting: Mutex::new(waiting),
            ready: Notify::new(),
            settings,
            unmapped,
            failing: Failing::default(),
            counters: InboxCounters::default(),
        })
    }

    /// Decides which records are written at once, and computes what is stored. Takes about 10 µs a kilobyte.
    pub(crate) fn prepare(self: &Arc<Self>, records: Vec<CallRecord>) -> Prepared {
        let mut joined = JoinTable::new();
        for record in records {
            joined.add(record, ());
        }
        let mut calls = joined.into_calls();
        let is_direct: Vec<bool> = {
            let mut waiting = self.waiting();
            let decide = |call: &attestry_genai::JoinedCall<()>| {
                let is_direct =
                    call.record.is_complete() && !waiting.has_seen(&call.record, &call.keys);
                if is_direct {
                    waiting.recent.set(&call.keys, call.record.started(), &Written::Begun);
                }
                is_direct
            };
            calls.iter().map(decide).collect()
        };
        let mut prepared = Prepared {
            direct: Vec::new(),
            begun: Begun { inbox: Arc::clone(self), keys: Vec::new() },
            parts: Vec::new(),
            accepted: Accepted::default(),
        };
        for (call, is_direct) in calls.drain(..).zip(is_direct) {
            let count = call.tags.len() as u64;
            if is_direct {
                self.prepare_direct(&mut prepared, call.record, call.keys, count);
            } else {
                self.prepare_part(&mut prepared, call.record, call.keys, count);
            }
        }
        prepared
    }

    fn prepare_direct(
        &self,
        prepared: &mut Prepared,
        record: CallRecord,
        keys: BTreeSet<JoinKey>,
        records: u64,
    ) {
        let interaction = record.into_interaction(self.unmapped);
        let dated_now = interaction.given_timestamp().is_none();
        match self.logger.prepare(interaction) {
            Ok(entry) => {
                prepared.direct.push(Direct { entry, dated_now, records });
                prepared.begun.keys.push(keys);
            }
            Err(error) => {
                self.waiting().recent.forget(&keys);
                prepared.accepted.refuse(records, ErrorChain(&error).to_string());
            }
        }
    }

    fn prepare_part(
        &self,
        prepared: &mut Prepared,
        record: CallRecord,
        keys: BTreeSet<JoinKey>,
        records: u64,
    ) {
        let json = record.to_json();
        if json.len() > MAX_PART_BYTES {
            return self.prepare_direct(prepared, record, keys, records);
        }
        // What cannot be stored is refused now: later, its client could not be answered.
        let whole = self.logger.prepare(record.clone().into_interaction(self.unmapped));
        match whole.and_then(|_| self.parts.line(&json)) {
            Ok(line) => prepared.parts.push((record, line, json.len())),
            Err(error) => prepared.accepted.refuse(records, ErrorChain(&error).to_string()),
        }
    }

    /// Stores what was prepared. When it returns, everything is durable that is not refused.
    ///
    /// If the future is dropped, some of it may be stored; sent again, it is stored once.
    pub(crate) async fn store(&self, prepared: Prepared) -> Result<Accepted, Problem> {
        let Prepared { direct, begun, parts, mut accepted } = prepared;
        let (written, kept) = tokio::join!(self.write_direct(direct, begun), self.keep(parts));
        kept?;
        let refused = written?;
        accepted.refused += refused.refused;
        accepted.reasons.extend(refused.reasons);
        Ok(accepted)
    }

    /// Stores parts in the inbox.
    async fn keep(&self, parts: Vec<(CallRecord, AuditEntry, usize)>) -> Result<(), Problem> {
        if parts.is_empty() {
            return Ok(());
        }
        let stored = Arc::new(AtomicBool::new(false));
        let due = tokio::time::Instant::now() + self.settings.deadline;
        let mut lines = Vec::with_capacity(parts.len());
        {
            let mut waiting = self.waiting();
            if waiting.bytes() > self.settings.bytes.saturating_mul(2) {
                return Err(Problem::overloaded("too many parts of calls wait to be written"));
            }
            for (record, mut line, bytes) in parts {
                line.timestamp = waiting.next_time();
                // Before it is on disk, so that a part that comes meanwhile finds it.
                waiting.add(record, Part::new(&line, bytes, due, &stored));
                lines.push(line);
            }
        }
        let mut unstored = Unstored { inbox: self, lines: &lines, is_stored: false };
        self.parts.append(&lines).await?;
        unstored.is_stored = true;
        drop(unstored);
        stored.store(true, Ordering::Release);
        self.counters.parts.add_many(lines.len() as u64);
        self.ready.notify_one();
        Ok(())
    }

    /// Writes calls when they are complete or due, until `shutdown` is true. `note` gets the results.
    pub(crate) async fn run(
        &self,
        mut shutdown: watch::Receiver<bool>,
        note: impl Fn(Result<(), Problem>),
    ) {
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                () = self.ready.notified() => {}
                () = tokio::time::sleep_until(self.waiting().next_wake()) => {}
            }
            if let Some(result) = self.write_ready(false).await {
                note(result);
            }
            self.sweep(false).await;
        }
    }

    /// Writes all calls, whether they are complete or not, and closes the inbox. What cannot be written stays in it.
    pub(crate) async fn close(&self) -> Result<(), attestry::AuditError> {
        self.write_ready(true).await;
        self.sweep(true).await;
        self.parts.close().await
    }

    /// The number of calls that wait, and the bytes of their parts.
    pub(crate) fn waiting_calls(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.len(), waiting.bytes())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parts that wait and are not known to be on disk. If they are not stored, they are not waited for.
struct Unstored<'a> {
    inbox: &'a Inbox,
    lines: &'a [AuditEntry],
    is_stored: bool,
}

impl Drop for Unstored<'_> {
    fn drop(&mut self) {
        if !self.is_stored {
            self.inbox.waiting().remove_parts(self.lines.iter().map(|line| &line.id));
        }
    }
}
