//! The figures of the overview: counts by hour, kept in memory.
//!
//! The first request for figures reads the store from the newest to the oldest entry. Each later one reads what came
//! since, and the entries of the last two minutes again, because parallel writers do not write in the order of time.
//! Entries that come later than that, and erasures, show in the number of entries of the store, and then all entries
//! are read again. Without requests nothing is read. The memory is bounded: see [`part`](self::part).

pub(crate) mod cell;
mod part;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use attestry::{AuditLogger, Cursor, ErrorChain, Order, Query, StorageError, Timestamp};
use futures_util::StreamExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use self::cell::{Cell, Names};
use self::part::{Merged, Part, bounds, merged};
use self::time::Range;

/// Entries that are younger are read again each time.
const SETTLED: Duration = Duration::from_secs(120);
/// A request waits so long for newer figures.
const PATIENCE: Duration = Duration::from_millis(100);
/// Reading takes at most one part of so many of the time.
const PAUSE: u32 = 10;
const LEAST_PAUSE: Duration = Duration::from_millis(300);
/// Entries that are counted under one lock.
const CHUNK: usize = 512;
/// Calls whose ends are looked up together.
const LOOKED_UP: usize = 1_024;

/// The figures of the overview, and what keeps them up to date.
#[derive(Debug)]
pub(crate) struct Overview {
    counts: Mutex<Counts>,
    wanted: Notify,
    /// How often the figures were brought up to date.
    updates: watch::Sender<u64>,
    /// Whether what was counted is no longer in the store.
    is_stale: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    names: Names,
    /// All entries up to `follow`; `None` before they were read.
    settled: Option<Settled>,
    newest: Part,
    /// What is counted by now of all entries, for the first time or again.
    building: Option<Part>,
    /// All settled entries, counted again.
    rebuilt: Option<Settled>,
    counted_at: Option<Timestamp>,
    /// Why the store could not be read.
    failed: Option<String>,
    /// Before this, no newer figures can be expected.
    pause_until: Option<Instant>,
}

#[derive(Debug)]
struct Settled {
    part: Part,
    /// The newest of these entries.
    follow: Option<Cursor>,
    unreadable: u64,
    /// By how much the number of entries of the store differs from that of the entries that are read: records that
    /// cannot be.
    uncounted: i128,
}

/// The time that figures are wanted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Last(Duration),
    Range(Timestamp, Timestamp),
}

/// The figures of a range.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) range: Range,
    pub(crate) total: Cell,
    pub(crate) points: Vec<(Range, Cell)>,
    /// Calls without an end.
    pub(crate) open: u64,
    /// Calls without an end, of any time, that are not counted.
    pub(crate) open_left_out: u64,
    /// When the store was last read to its end; `None` before the first time.
    pub(crate) counted_at: Option<Timestamp>,
    /// The store is being read; older entries are not counted yet.
    pub(crate) counted_back_to: Option<Timestamp>,
    /// Older entries are not counted, because there are too many days.
    pub(crate) counted_from: Option<Timestamp>,
    pub(crate) unreadable: u64,
    /// The time of all entries.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    pub(crate) failed: Option<String>,
}

impl Figures {
    /// Whether all entries of the store are counted that there were at [`counted_at`](Self::counted_at).
    pub(crate) fn is_complete(&self) -> bool {
        self.counted_at.is_some()
    }
}

impl Default for Overview {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
            wanted: Notify::new(),
            updates: watch::Sender::new(0),
            is_stale: AtomicBool::new(false),
        }
    }
}

impl Overview {
    /// Entries were erased: what was counted of them is wrong.
    pub(crate) fn forget(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    /// The figures, as new as they can be had soon.
    pub(crate) async fn figures(&self, wanted: Wanted) -> Figures {
        let mut updates = self.updates.subscribe();
        self.wanted.notify_one();
        let is_paused = self.lock().pause_until.is_some_and(|until| Instant::now() < until);
        if !is_paused {
            // Older ones, if there are none so soon.
            let _ = timeout(PATIENCE, updates.changed()).await;
        }
        self.lock().figures(wanted, Timestamp::now())
    }

    /// Brings the figures up to date when they are wanted, until `shutdown` is true.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the figures stay as they are.
    pub(crate) async fn run(&self, logger: &AuditLogger, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => {}
            () = self.follow(logger) => {}
        }
    }

    /// Never ends.
    async fn follow(&self, logger: &AuditLogger) {
        // The difference that the last time of reading everything left.
        let mut unexplained = None;
        loop {
            self.wanted.notified().await;
            let started = Instant::now();
            let updated = self.update(logger, &mut unexplained).await;
            let pause_until = Instant::now() + (started.elapsed() * PAUSE).max(LEAST_PAUSE);
            self.note(&updated, pause_until);
            self.updates.send_modify(|updates| *updates += 1);
            sleep_until(pause_until).await;
        }
    }

    fn note(&self, updated: &Result<(), StorageError>, pause_until: Instant) {
        let reason = updated.as_ref().err().map(|error| ErrorChain(error).to_string());
        if let Some(reason) = &reason {
            tracing::warn!(reason, "the figures of the overview could not be brought up to date");
        }
        let mut counts = self.lock();
        (counts.failed, counts.pause_until) = (reason, Some(pause_until));
    }

    async fn update(
        &self,
        logger: &AuditLogger,
        unexplained: &mut Option<i128>,
    ) -> Result<(), StorageError> {
        let store = logger.storage();
        let is_stale = self.is_stale.swap(false, Ordering::Relaxed);
        if !is_stale && self.lock().settled.is_some() {
            let before = store.count().await?;
            self.read_new(logger).await?;
            let after = store.count().await?;
            if self.lock().difference(before, after) == 0 {
                return Ok(());
            }
        }
        let before = store.count().await?;
        let read = self.read_all(logger).await;
        if read.is_err() {
            self.forget();
        }
        read?;
        self.read_new(logger).await?;
        let after = store.count().await?;
        let mut counts = self.lock();
        let difference = counts.difference(before, after);
        if difference == 0 {
            *unexplained = None;
        } else if *unexplained == Some(difference) {
            // It stays, so it is no change of the store.
            if let Some(settled) = &mut counts.settled {
                settled.uncounted += difference;
            }
        } else {
            *unexplained = Some(difference);
            self.forget();
        }
        Ok(())
    }

    /// Reads the entries after the settled ones.
    async fn read_new(&self, logger: &AuditLogger) -> Result<(), StorageError> {
        let now = Timestamp::now();
        let settled_until = now.saturating_sub(SETTLED);
        let mut follow =
            self.lock().settled_or_rebuilt().and_then(|settled| settled.follow.clone());
        let mut found = logger.query(Query::new().after(follow.clone())).ready_chunks(CHUNK);
        let (mut settled_since, mut newest) = (Part::new(now), Part::new(now));
        while let Some(chunk) = found.next().await {
            let names = &mut self.lock().names;
            for entry in chunk {
                match entry {
                    Ok(entry) if entry.timestamp <= settled_until => {
                        follow = Some(Cursor::from(&entry));
                        settled_since.add(entry, names);
                    }
                    Ok(entry) => newest.add(entry, names),
                    Err(StorageError::Corrupt(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut counts = self.lock();
        if let Some(rebuilt) = counts.rebuilt.take() {
            counts.settled = Some(rebuilt);
        }
        if let Some(settled) = &mut counts.settled {
            settled.follow = follow;
            if !settled.part.absorb(settled_since, now) {
                self.forget();
            }
        }
        counts.newest = newest;
        counts.counted_at = Some(now);
        Ok(())
    }

    /// Reads the settled entries, from the newest to the oldest.
    async fn read_all(&self, logger: &AuditLogger) -> Result<(), StorageError> {
        let now = Timestamp::now();
        let settled_until = now.saturating_sub(SETTLED);
        let query = Query::new().until(settled_until).order(Order::Descending);
        let mut found = logger.query(query).ready_chunks(CHUNK);
        {
            let mut counts = self.lock();
            counts.building = Some(Part::new(now));
            // Names that are not in the store any more make room.
            counts.names = Names::default();
        }
        let (mut follow, mut unreadable) = (None, 0);
        while let Some(chunk) = found.next().await {
            let mut counts = self.lock();
            let Counts { names, building: Some(part), .. } = &mut *counts else { return Ok(()) };
            for entry in chunk {
                match entry {
                    Ok(entry) => {
                        follow.get_or_insert_with(|| Cursor::from(&entry));
                        part.add(entry, names);
                    }
                    Err(StorageError::Corrupt(_)) => unreadable += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        let starts = self.lock().building.as_ref().map(Part::open_starts).unwrap_or_default();
        let mut ended = Vec::new();
        for starts in starts.chunks(LOOKED_UP) {
            let have_ended = logger.storage().have_ended(starts).await?;
            let known = starts.iter().zip(have_ended);
            ended.extend(known.filter(|(_, has_ended)| *has_ended).map(|(start, _)| start.clone()));
        }
        let mut counts = self.lock();
        if let Some(mut part) = counts.building.take() {
            part.forget_ends();
            part.close(ended);
            let uncounted = i128::from(unreadable);
            counts.rebuilt = Some(Settled { part, follow, unreadable, uncounted });
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// What entries are to be followed after.
    fn settled_or_rebuilt(&self) -> Option<&Settled> {
        self.rebuilt.as_ref().or(self.settled.as_ref())
    }

    /// How many entries more the store has than are counted, if it had `before` and `after` that.
    fn difference(&self, before: u64, after: u64) -> i128 {
        let Some(settled) = &self.settled else { return 0 };
        let read = i128::from(settled.part.read) + i128::from(self.newest.read);
        let known = read + settled.uncounted;
        known.clamp(before.min(after).into(), before.max(after).into()) - known
    }

    fn figures(&mut self, wanted: Wanted, now: Timestamp) -> Figures {
        let nothing = Part::new(now);
        let settled = self.settled.as_ref().or(self.rebuilt.as_ref());
        let part = match (settled, &self.building) {
            (Some(settled), _) => &settled.part,
            (None, Some(part)) => part,
            (None, None) => &nothing,
        };
        let span = bounds([part, &self.newest]);
        let range = match wanted {
            Wanted::Range(since, until) => Range::around(since, until),
            Wanted::Last(time) => Range::around(now.saturating_sub(time), now),
            Wanted::All => {
                let (first, last) = span.unwrap_or((now, now));
                Range::around(first, last)
            }
        };
        let Merged { range, points, open, open_left_out } =
            merged(part, &self.newest, range, &mut self.names);
        let mut total = Cell::default();
        points.iter().for_each(|(_, cell)| total.merge(cell));
        let is_first = self.settled.is_none();
        Figures {
            range,
            total,
            points,
            open,
            open_left_out,
            counted_at: self.counted_at,
            counted_back_to: is_first.then(|| part.oldest()).flatten(),
            counted_from: part.counted_from.map(time::timestamp),
            unreadable: self.settled.as_ref().map_or(0, |settled| settled.unreadable),
            span,
            failed: self.failed.clone(),
        }
    }
}
