//! Counts by hour and day of the entries of a part of the store.

use std::collections::{BTreeMap, HashMap, HashSet};

use attestry::{AuditEntry, Cursor, EntryId, Timestamp, metadata};

use super::cell::{Cell, Names};
use super::time::{DAY, HOUR, Range, floor, timestamp};

/// Hours are counted for so long. Then their day is.
const HOURS_KEPT: i64 = 35 * DAY;
/// Hours and days; of more, the oldest are not counted.
const MAX_CELLS: usize = 5_000;
/// Calls without an end that are held.
const MAX_OPEN: usize = 10_000;
/// Ends that are remembered until their start comes.
const MAX_ENDS: usize = 1 << 16;

/// Counts by hour and day.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// By the start of the hour or day, in microseconds.
    cells: BTreeMap<i64, Cell>,
    /// Start entries whose end was not met.
    open: HashMap<EntryId, AuditEntry>,
    /// Calls without an end that are not held, because there are too many.
    open_left_out: u64,
    /// When the calls ended whose start was not met.
    ends: HashMap<String, Timestamp>,
    /// Whether there were too many of them.
    ends_lost: bool,
    /// All entries that were read.
    pub(crate) read: u64,
    /// Before this, days are counted and not hours. The start of a day.
    coarse_before: i64,
    /// Before this, nothing is counted.
    pub(crate) counted_from: Option<i64>,
}

impl Part {
    /// Nothing; days are counted for what is old at the time `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { coarse_before: floor(now.unix_micros() - HOURS_KEPT, DAY), ..Self::default() }
    }

    /// Counts `entry`. Ends may come before their starts, as in a scan from the newest to the oldest entry.
    pub(crate) fn add(&mut self, mut entry: AuditEntry, names: &mut Names) {
        self.read += 1;
        if entry.phase() == Some(metadata::PHASE_START) {
            let ended = self.ends.remove(entry.id.as_str());
            if ended.is_some_and(|ended| ended >= entry.timestamp) {
                return;
            }
            if self.open.len() >= MAX_OPEN {
                self.open_left_out += 1;
                return;
            }
            strip(&mut entry);
            self.open.insert(entry.id.clone(), entry);
            return;
        }
        if let Some(call) = entry.call() {
            self.end(call, entry.timestamp);
        }
        let time = entry.timestamp.unix_micros();
        if self.counted_from.is_none_or(|from| time >= from) {
            let unit = if time < self.coarse_before { DAY } else { HOUR };
            self.cells.entry(floor(time, unit)).or_default().add(&entry, names);
            if self.cells.len() > MAX_CELLS {
                self.forget_oldest();
            }
        }
    }

    /// The call with this start entry ended.
    fn end(&mut self, call: &str, at: Timestamp) {
        let id = EntryId::new_unchecked(call);
        match self.open.get(&id) {
            Some(start) if start.timestamp <= at => drop(self.open.remove(&id)),
            _ if self.ends.len() >= MAX_ENDS => self.ends_lost = true,
            _ => drop(self.ends.insert(call.to_owned(), at)),
        }
    }

    /// Forgets the ends whose start was not met: it was read already, or it does not exist.
    pub(crate) fn forget_ends(&mut self) {
        self.ends = HashMap::new();
    }

    /// Adds `newer`, a part of newer entries. Returns false if it is not certain which calls have ended.
    pub(crate) fn absorb(&mut self, newer: Self, now: Timestamp) -> bool {
        self.coarsen(now);
        for (start, cell) in newer.cells {
            self.cells.entry(start).or_default().merge(&cell);
        }
        while self.cells.len() > MAX_CELLS {
            self.forget_oldest();
        }
        for (call, at) in newer.ends {
            self.end(&call, at);
        }
        self.forget_ends();
        for (id, entry) in newer.open {
            if self.open.len() < MAX_OPEN {
                self.open.insert(id, entry);
            } else {
                self.open_left_out += 1;
            }
        }
        self.open_left_out += newer.open_left_out;
        self.read += newer.read;
        !newer.ends_lost || self.open.is_empty()
    }

    fn forget_oldest(&mut self) {
        self.cells.pop_first();
        self.counted_from = self.cells.keys().next().copied();
    }

    /// Counts the days of hours that are old by now.
    fn coarsen(&mut self, now: Timestamp) {
        let before = floor(now.unix_micros() - HOURS_KEPT, DAY);
        if before <= self.coarse_before {
            return;
        }
        let rest = self.cells.split_off(&before);
        let old = std::mem::replace(&mut self.cells, rest);
        let mut days: BTreeMap<i64, Cell> = BTreeMap::new();
        for (start, cell) in old {
            days.entry(floor(start, DAY)).or_default().merge(&cell);
        }
        days.values_mut().for_each(Cell::shrink);
        self.cells.append(&mut days);
        self.coarse_before = before;
    }

    /// The oldest hour or day that has something.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.cells.keys().next().map(|start| timestamp(*start))
    }

    /// The start entries without an end.
    pub(crate) fn open_starts(&self) -> Vec<Cursor> {
        self.open.values().map(Cursor::from).collect()
    }

    /// These calls have ended after all.
    pub(crate) fn close(&mut self, starts: impl IntoIterator<Item = Cursor>) {
        for start in starts {
            self.open.remove(&start.id);
        }
    }
}

/// What two parts have in a range: one that stays, and the newest entries, which are read again each time.
pub(crate) struct Merged {
    pub(crate) range: Range,
    pub(crate) points: Vec<(Range, Cell)>,
    /// Calls without an end, which are counted in the points, too.
    pub(crate) open: u64,
    pub(crate) open_left_out: u64,
}

/// The first and the last time that the parts have something of.
pub(crate) fn bounds(parts: [&Part; 2]) -> Option<(Timestamp, Timestamp)> {
    let cells = || parts.iter().flat_map(|part| part.cells.values());
    let opened = || parts.iter().flat_map(|part| part.open.values()).map(|entry| entry.timestamp);
    let first = cells().filter_map(|cell| cell.summary.span).map(|span| span.0).chain(opened());
    let last = cells().filter_map(|cell| cell.summary.span).map(|span| span.1).chain(opened());
    first.min().zip(last.max())
}

/// What `settled` and `newest` have in `range`, by the points of a chart.
pub(crate) fn merged(settled: &Part, newest: &Part, range: Range, names: &mut Names) -> Merged {
    let coarse_before = settled.coarse_before.max(newest.coarse_before);
    let range = range.fitting(coarse_before);
    let mut points: Vec<(Range, Cell)> =
        range.points(coarse_before).into_iter().map(|range| (range, Cell::default())).collect();
    for part in [settled, newest] {
        for (start, cell) in part.cells.range(range.start..range.end) {
            if let Some(point) = point_of(&mut points, *start) {
                point.merge(cell);
            }
        }
    }
    let ended: HashSet<&str> = newest.ends.keys().map(String::as_str).collect();
    let mut open = 0;
    for entry in settled.open.values().chain(newest.open.values()) {
        let time = entry.timestamp.unix_micros();
        let is_in = (range.start..range.end).contains(&time) && !ended.contains(entry.id.as_str());
        if let Some(point) = is_in.then(|| point_of(&mut points, time)).flatten() {
            point.add(entry, names);
            open += 1;
        }
    }
    Merged { range, points, open, open_left_out: settled.open_left_out + newest.open_left_out }
}

fn point_of(points: &mut [(Range, Cell)], time: i64) -> Option<&mut Cell> {
    let after = points.partition_point(|(range, _)| range.start <= time);
    points.get_mut(after.checked_sub(1)?).map(|(_, cell)| cell)
}

/// Leaves what a cell counts.
fn strip(entry: &mut AuditEntry) {
    (entry.input_content, entry.output_content, entry.block_reason) = (None, None, None);
    entry.alerts.clear();
    entry.metadata.retain(|key, _| key == metadata::USER);
}
