//! Maps leaf ranges to segments.
//!
//! The file `places` is a log of events, one a line, in order:
//!
//! ```text
//! run LEAF SEGMENT        from LEAF on, leaves are lines of SEGMENT in file order
//! covered SEGMENT BYTES   the lines in these first bytes of SEGMENT are in the tree
//! renamed FROM TO         a segment was sealed
//! gone SEGMENT            a segment was removed
//! adopted LEAVES TIME     the tree was created over that many existing lines (the backfill)
//! ```
//!
//! Offsets of single lines are not stored: lines are identified by their hashes. Compaction, copies and
//! rewrites by the Python package need no bookkeeping.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use attestry_core::Timestamp;

use super::text_file::TextFile;
use crate::segment::SegmentName;

/// Room for the events of three million segments, which have some hundred terabytes.
const MAX_BYTES: u64 = 256 << 20;

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Run { leaf: u64, segment: SegmentName },
    Covered { segment: SegmentName, bytes: u64 },
    Renamed { from: SegmentName, to: SegmentName },
    Removed { segment: SegmentName },
    Backfilled { leaves: u64, at: Timestamp },
}

impl Event {
    pub(super) fn write(self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Run { leaf, segment } => writeln!(text, "run {leaf} {segment}"),
            Self::Covered { segment, bytes } => writeln!(text, "covered {segment} {bytes}"),
            Self::Renamed { from, to } => writeln!(text, "renamed {from} {to}"),
            Self::Removed { segment } => writeln!(text, "gone {segment}"),
            Self::Backfilled { leaves, at } => writeln!(text, "adopted {leaves} {at}"),
        };
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (kind, one, two) = (words.next()?, words.next()?, words.next());
        let segment = SegmentName::parse;
        let event = match kind {
            "run" => Self::Run { leaf: one.parse().ok()?, segment: segment(two?)? },
            "covered" => Self::Covered { segment: segment(one)?, bytes: two?.parse().ok()? },
            "renamed" => Self::Renamed { from: segment(one)?, to: segment(two?)? },
            "gone" => Self::Removed { segment: segment(one)? },
            "adopted" => Self::Backfilled { leaves: one.parse().ok()?, at: two?.parse().ok()? },
            _ => return None,
        };
        words.next().is_none().then_some(event)
    }
}

/// One segment, across renames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedSegment {
    /// Its current or last name.
    pub(super) name: SegmentName,
    pub(super) removed: bool,
    /// Bytes whose lines are in the tree. For the current segment, the tree head is more recent.
    pub(super) covered: u64,
    /// Indexes into `SegmentMap::runs`.
    runs: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    /// Index into `SegmentMap::segments`.
    segment: usize,
}

/// The state after all events.
#[derive(Debug, Clone, Default)]
pub(super) struct SegmentMap {
    segments: Vec<MappedSegment>,
    /// Those that were not removed.
    by_name: BTreeMap<SegmentName, usize>,
    runs: Vec<Run>,
    /// Where the last run of the file begins.
    last_leaf: u64,
    backfill: Option<(u64, Timestamp)>,
    /// Renames are recorded before they happen; this is the last one.
    last_rename: Option<(SegmentName, SegmentName)>,
    /// Events that are not in the file yet.
    unwritten: String,
}

impl SegmentMap {
    /// Reads the first `valid_len` bytes of the file.
    pub(super) fn read(file: &TextFile, valid_len: u64) -> super::error::Result<Self> {
        if valid_len > MAX_BYTES {
            return Err(file.damaged(format!("the tree head claims that it has {valid_len} bytes")));
        }
        let mut map = Self::default();
        file.for_each_line(0..valid_len, |line| map.apply_line(line))?;
        Ok(map)
    }

    /// Parses text; the error is the number of the first invalid line.
    #[cfg(any(test, fuzzing))]
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut map = Self::default();
        for (number, line) in text.split_terminator('\n').enumerate() {
            map.apply_line(line).ok_or(number + 1)?;
        }
        if text.is_empty() || text.ends_with('\n') {
            Ok(map)
        } else {
            Err(text.split('\n').count())
        }
    }

    /// Applies a line of the file; `None` if it is invalid.
    fn apply_line(&mut self, line: &str) -> Option<()> {
        let event = Event::parse(line)?;
        if let Event::Run { leaf, .. } = event
            && leaf < self.last_leaf
        {
            return None;
        }
        self.apply(event);
        Some(())
    }

    /// Applies an event, and adds it to the [unwritten](Self::take_unwritten) text.
    pub(super) fn record(&mut self, event: Event) {
        event.write(&mut self.unwritten);
        self.apply(event);
    }

    /// The text to append to the file.
    pub(super) fn take_unwritten(&mut self) -> String {
        std::mem::take(&mut self.unwritten)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Run { leaf, segment } => {
                self.last_leaf = leaf;
                let segment = self.index_of(segment);
                if let Some(empty) = self.runs.pop_if(|last| last.first == leaf) {
                    self.segments[empty.segment].runs.pop();
                }
                if self.runs.last().is_none_or(|last| last.segment != segment) {
                    self.segments[segment].runs.push(self.runs.len());
                    self.runs.push(Run { first: leaf, segment });
                }
            }
            Event::Covered { segment, bytes } => {
                let segment = self.index_of(segment);
                self.segments[segment].covered = bytes;
            }
            Event::Renamed { from, to } => {
                self.last_rename = Some((from, to));
                if let Some(segment) = self.by_name.remove(&from) {
                    self.segments[segment].name = to;
                    self.by_name.insert(to, segment);
                }
            }
            Event::Removed { segment } => {
                if let Some(segment) = self.by_name.remove(&segment) {
                    self.segments[segment].removed = true;
                }
            }
            Event::Backfilled { leaves, at } => self.backfill = Some((leaves, at)),
        }
    }

    fn index_of(&mut self, name: SegmentName) -> usize {
        *self.by_name.entry(name).or_insert_with(|| {
            let (removed, covered, runs) = (false, 0, Vec::new());
            self.segments.push(MappedSegment { name, removed, covered, runs });
            self.segments.len() - 1
        })
    }

    /// Reverts the last rename if, judging by the names that `exists` in the folder, it was recorded
    /// but has not happened yet. Returns the recorded name and the actual one.
    pub(super) fn revert_pending_rename(
        &mut self,
        exists: impl Fn(SegmentName) -> bool,
    ) -> Option<(SegmentName, SegmentName)> {
        // It has happened if another segment has taken the old name since.
        let (from, to) = self.last_rename.filter(|&(from, _)| !self.contains(from))?;
        if !exists(from) || exists(to) {
            return None;
        }
        self.apply(Event::Renamed { from: to, to: from });
        Some((to, from))
    }

    /// How many lines existed when the tree was created, and when that was.
    pub(super) fn backfill(&self) -> Option<(u64, Timestamp)> {
        self.backfill
    }

    /// Bytes of a segment whose lines are in the tree; `None` for an unknown segment.
    pub(super) fn covered(&self, name: SegmentName) -> Option<u64> {
        self.by_name.get(&name).map(|&segment| self.segments[segment].covered)
    }

    /// The segments that were not removed.
    #[cfg(any(test, fuzzing))]
    pub(super) fn names(&self) -> impl Iterator<Item = SegmentName> {
        self.by_name.keys().copied()
    }

    /// Those of the day of `name`.
    pub(super) fn names_of_day(&self, name: SegmentName) -> impl Iterator<Item = SegmentName> {
        let (first, last) = name.bounds_of_day();
        self.by_name.range(first..=last).map(|(&name, _)| name)
    }

    pub(super) fn contains(&self, name: SegmentName) -> bool {
        self.by_name.contains_key(&name)
    }

    /// `name`, then every other name that its segment can have been given by a concurrent rename.
    pub(super) fn possible_names(&self, name: SegmentName) -> Vec<SegmentName> {
        let day = self.names_of_day(name).filter(move |other| *other != name);
        std::iter::once(name).chain(day).collect()
    }

    /// The leaves of a segment in a tree of `size` leaves, in order. Erasure records may be among them.
    pub(super) fn leaf_ranges(&self, name: SegmentName, size: u64) -> Vec<Range<u64>> {
        self.by_name.get(&name).map_or_else(Vec::new, |&segment| self.ranges_of(segment, size))
    }

    /// [`leaf_ranges`](Self::leaf_ranges) by an index into [`segments`](Self::segments).
    pub(super) fn ranges_of(&self, segment: usize, size: u64) -> Vec<Range<u64>> {
        let runs = self.segments[segment].runs.iter();
        runs.filter_map(|&number| self.range_of(number, size)).collect()
    }

    /// The leaves of a run in a tree of `size` leaves.
    fn range_of(&self, number: usize, size: u64) -> Option<Range<u64>> {
        let first = self.runs[number].first;
        let end = self.runs.get(number + 1).map_or(size, |next| next.first).min(size);
        (first < end).then_some(first..end)
    }

    /// All leaves of a tree of `size` leaves in order, run by run, with indexes into
    /// [`segments`](Self::segments).
    pub(super) fn runs(&self, size: u64) -> impl Iterator<Item = (usize, Range<u64>)> {
        let run =
            move |(number, run): (usize, &Run)| Some((run.segment, self.range_of(number, size)?));
        self.runs.iter().enumerate().filter_map(run)
    }

    /// All segments that ever were.
    pub(super) fn segments(&self) -> &[MappedSegment] {
        &self.segments
    }

    /// The segment that a leaf belongs to.
    pub(super) fn segment_of(&self, leaf: u64) -> Option<SegmentName> {
        let at = self.runs.partition_point(|run| run.first <= leaf).checked_sub(1)?;
        Some(self.segments[self.runs[at].segment].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SegmentName {
        SegmentName::parse(text).unwrap()
    }

    #[test]
    fn parsed_map_equals_the_recorded_one() {
        let (a, sealed, b) = (
            name("audit_20260128.jsonl"),
            name("audit_20260128_001.jsonl"),
            name("audit_20260129.jsonl"),
        );
        let mut recorded = SegmentMap::default();
        for event in [
            Event::Run { leaf: 0, segment: a },
            Event::Renamed { from: a, to: sealed },
            Event::Backfilled { leaves: 5, at: Timestamp::UNIX_EPOCH },
            Event::Run { leaf: 7, segment: a },
            Event::Run { leaf: 7, segment: b },
            Event::Covered { segment: b, bytes: 99 },
            Event::Run { leaf: 9, segment: sealed },
            Event::Run { leaf: 12, segment: b },
        ] {
            recorded.record(event);
        }
        let text = recorded.take_unwritten();
        let mut parsed = SegmentMap::parse(&text).unwrap();
        for map in [&recorded, &parsed] {
            assert_eq!(map.leaf_ranges(sealed, 20), [0..7, 9..12]);
            assert_eq!(map.leaf_ranges(b, 20), [7..9, 12..20]);
            assert_eq!(map.leaf_ranges(a, 20), []);
            assert_eq!(map.leaf_ranges(b, 8), vec![7..8]);
            assert_eq!(map.covered(b), Some(99));
            assert_eq!(map.segment_of(11), Some(sealed));
            assert_eq!(map.backfill(), Some((5, Timestamp::UNIX_EPOCH)));
        }
        parsed.record(Event::Removed { segment: b });
        assert!(!parsed.contains(b) && parsed.contains(a));
        assert_eq!(parsed.take_unwritten(), "gone audit_20260129.jsonl\n");
        // Another segment may get the name.
        parsed.record(Event::Run { leaf: 20, segment: b });
        assert_eq!(parsed.leaf_ranges(b, 30), vec![20..30]);
    }

    #[test]
    fn rename_is_reverted_only_while_its_old_name_is_free() {
        let (a, sealed) = (name("audit_20260128.jsonl"), name("audit_20260128_001.jsonl"));
        let mut map = SegmentMap::default();
        map.record(Event::Run { leaf: 0, segment: a });
        map.record(Event::Renamed { from: a, to: sealed });
        assert_eq!(map.clone().revert_pending_rename(|name| name == sealed), None);
        let mut pending = map.clone();
        assert_eq!(pending.revert_pending_rename(|name| name == a), Some((sealed, a)));
        assert_eq!(pending.leaf_ranges(a, 3), vec![0..3]);
        // The renamed segment was removed, and another one has its old name.
        map.record(Event::Run { leaf: 3, segment: a });
        assert_eq!(map.revert_pending_rename(|name| name == a), None);
    }

    #[test]
    fn invalid_lines_are_rejected() {
        assert_eq!(SegmentMap::parse("gone audit_20260129.jsonl").unwrap_err(), 1);
        for line in [
            "",
            "run 1",
            "run x audit_20260129.jsonl",
            "gone ../x",
            "went away",
            "run 1 audit_20260129.jsonl 2",
        ] {
            let text = format!("gone audit_20260129.jsonl\n{line}\n");
            assert_eq!(SegmentMap::parse(&text).unwrap_err(), 2, "{line}");
        }
    }
}
