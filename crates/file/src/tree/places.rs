//! Where the lines of the leaves lie: which leaves belong to which segment.
//!
//! The file `places` is a list of what happened, a line each, in the order it happened:
//!
//! ```text
//! run LEAF SEGMENT        leaves from LEAF on are lines of SEGMENT, in their order there
//! covered SEGMENT BYTES   up to there its lines are in the tree
//! renamed FROM TO         a segment was rotated
//! gone SEGMENT            a segment was removed
//! adopted LEAVES TIME     so many lines were there before the tree was begun
//! ```
//!
//! Offsets of single lines are not kept: lines are known again by their hashes, so that compaction,
//! copies, and what the Python package does to a file need no account.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use attestry_core::Timestamp;

use crate::segment::SegmentName;

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Run { leaf: u64, segment: SegmentName },
    Covered { segment: SegmentName, bytes: u64 },
    Renamed { from: SegmentName, to: SegmentName },
    Gone { segment: SegmentName },
    Backfill { leaves: u64, at: Timestamp },
}

impl Event {
    pub(super) fn write(self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Run { leaf, segment } => writeln!(text, "run {leaf} {segment}"),
            Self::Covered { segment, bytes } => writeln!(text, "covered {segment} {bytes}"),
            Self::Renamed { from, to } => writeln!(text, "renamed {from} {to}"),
            Self::Gone { segment } => writeln!(text, "gone {segment}"),
            Self::Backfill { leaves, at } => writeln!(text, "adopted {leaves} {at}"),
        };
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (what, one, two) = (words.next()?, words.next()?, words.next());
        let segment = SegmentName::parse;
        let event = match what {
            "run" => Self::Run { leaf: one.parse().ok()?, segment: segment(two?)? },
            "covered" => Self::Covered { segment: segment(one)?, bytes: two?.parse().ok()? },
            "renamed" => Self::Renamed { from: segment(one)?, to: segment(two?)? },
            "gone" => Self::Gone { segment: segment(one)? },
            "adopted" => Self::Backfill { leaves: one.parse().ok()?, at: two?.parse().ok()? },
            _ => return None,
        };
        words.next().is_none().then_some(event)
    }
}

/// One segment, whatever it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its name, or the last one it had.
    pub(super) name: SegmentName,
    pub(super) gone: bool,
    /// Up to where its lines are in the tree; of the current segment, the head knows better.
    pub(super) covered: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    place: usize,
}

/// All that happened so far, and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    places: Vec<Place>,
    by_name: BTreeMap<SegmentName, usize>,
    runs: Vec<Run>,
    adopted: Option<(u64, Timestamp)>,
    /// The rename that was noted last: it is noted before it happens.
    announced: Option<(SegmentName, SegmentName)>,
    /// Text that is not in the file yet.
    unwritten: String,
}

impl Places {
    /// From the text of the file; the number of the line that cannot be read, if there is one.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut places = Self::default();
        for (number, line) in text.split_terminator('\n').enumerate() {
            places.apply(Event::parse(line).ok_or(number + 1)?);
        }
        if text.is_empty() || text.ends_with('\n') {
            Ok(places)
        } else {
            Err(text.split('\n').count())
        }
    }

    /// Takes down that something happened; [`take_unwritten`](Self::take_unwritten) has the text.
    pub(super) fn note(&mut self, event: Event) {
        event.write(&mut self.unwritten);
        self.apply(event);
    }

    /// What is to be appended to the file.
    pub(super) fn take_unwritten(&mut self) -> String {
        std::mem::take(&mut self.unwritten)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Run { leaf, segment } => {
                let place = self.place_of(segment);
                if self.runs.last().is_some_and(|last| last.first == leaf) {
                    self.runs.pop(); // it has no leaves
                }
                if self.runs.last().is_none_or(|last| last.place != place) {
                    self.runs.push(Run { first: leaf, place });
                }
            }
            Event::Covered { segment, bytes } => {
                let place = self.place_of(segment);
                self.places[place].covered = bytes;
            }
            Event::Renamed { from, to } => {
                self.announced = Some((from, to));
                if let Some(place) = self.by_name.remove(&from) {
                    self.places[place].name = to;
                    self.by_name.insert(to, place);
                }
            }
            Event::Gone { segment } => {
                if let Some(place) = self.by_name.remove(&segment) {
                    self.places[place].gone = true;
                }
            }
            Event::Backfill { leaves, at } => self.adopted = Some((leaves, at)),
        }
    }

    fn place_of(&mut self, name: SegmentName) -> usize {
        *self.by_name.entry(name).or_insert_with(|| {
            self.places.push(Place { name, gone: false, covered: 0 });
            self.places.len() - 1
        })
    }

    /// Takes a rename back that was noted and, by the names that are there, has not happened yet.
    /// Returns the segment's name as noted, and as it is.
    pub(super) fn not_yet_renamed(
        &mut self,
        is_there: impl Fn(SegmentName) -> bool,
    ) -> Option<(SegmentName, SegmentName)> {
        // Where another segment has taken the old name since, it did happen.
        let (from, to) = self.announced.filter(|&(from, _)| !self.knows(from))?;
        if !is_there(from) || is_there(to) {
            return None;
        }
        self.apply(Event::Renamed { from: to, to: from });
        Some((to, from))
    }

    pub(super) fn adopted(&self) -> Option<(u64, Timestamp)> {
        self.adopted
    }

    /// Up to where the lines of a segment are in the tree; `None` of one that is not known.
    pub(super) fn covered(&self, name: SegmentName) -> Option<u64> {
        self.by_name.get(&name).map(|&place| self.places[place].covered)
    }

    /// The segments that are there under their names.
    pub(super) fn known(&self) -> impl Iterator<Item = SegmentName> {
        self.by_name.keys().copied()
    }

    pub(super) fn knows(&self, name: SegmentName) -> bool {
        self.by_name.contains_key(&name)
    }

    /// This name first, then what the segment of that name may be called otherwise: it may just be
    /// being renamed.
    pub(super) fn names_like(&self, name: SegmentName) -> Vec<SegmentName> {
        let day = self.known().filter(move |other| other.day() == name.day() && *other != name);
        std::iter::once(name).chain(day).collect()
    }

    /// The leaves of a segment in a tree of `size` leaves, in their order. Erasure records may lie
    /// among them.
    pub(super) fn leaves(&self, name: SegmentName, size: u64) -> Vec<Range<u64>> {
        let Some(&wanted) = self.by_name.get(&name) else { return Vec::new() };
        self.runs(size).filter(|(place, _)| *place == wanted).map(|(_, leaves)| leaves).collect()
    }

    /// All leaves of a tree of `size` leaves, stretch by stretch, with the number of their segment.
    pub(super) fn runs(&self, size: u64) -> impl Iterator<Item = (usize, Range<u64>)> {
        self.runs.iter().enumerate().filter_map(move |(number, run)| {
            let end = self.runs.get(number + 1).map_or(size, |next| next.first).min(size);
            (run.first < end).then_some((run.place, run.first..end))
        })
    }

    /// The segments by the numbers that [`runs`](Self::runs) gives.
    pub(super) fn all(&self) -> &[Place] {
        &self.places
    }

    /// The name of the segment that leaf `leaf` belongs to.
    pub(super) fn segment_of(&self, leaf: u64) -> Option<SegmentName> {
        let at = self.runs.partition_point(|run| run.first <= leaf).checked_sub(1)?;
        Some(self.places[self.runs[at].place].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SegmentName {
        SegmentName::parse(text).unwrap()
    }

    #[test]
    fn what_happened_is_read_back() {
        let (a, sealed, b) = (
            name("audit_20260128.jsonl"),
            name("audit_20260128_001.jsonl"),
            name("audit_20260129.jsonl"),
        );
        let mut places = Places::default();
        for event in [
            Event::Run { leaf: 0, segment: a },
            Event::Renamed { from: a, to: sealed },
            Event::Backfill { leaves: 5, at: Timestamp::UNIX_EPOCH },
            Event::Run { leaf: 7, segment: a },
            Event::Run { leaf: 7, segment: b },
            Event::Covered { segment: b, bytes: 99 },
            Event::Run { leaf: 9, segment: sealed },
            Event::Run { leaf: 12, segment: b },
        ] {
            places.note(event);
        }
        let text = places.take_unwritten();
        let read = Places::parse(&text).unwrap();
        for places in [&places, &read] {
            assert_eq!(places.leaves(sealed, 20), [0..7, 9..12]);
            assert_eq!(places.leaves(b, 20), [7..9, 12..20]);
            assert_eq!(places.leaves(a, 20), []);
            assert_eq!(places.leaves(b, 8), vec![7..8]);
            assert_eq!(places.covered(b), Some(99));
            assert_eq!(places.segment_of(11), Some(sealed));
            assert_eq!(places.adopted(), Some((5, Timestamp::UNIX_EPOCH)));
        }
        let mut read = read;
        read.note(Event::Gone { segment: b });
        assert!(!read.knows(b) && read.knows(a));
        assert_eq!(read.take_unwritten(), "gone audit_20260129.jsonl\n");
        // The name may be used again, by another segment.
        read.note(Event::Run { leaf: 20, segment: b });
        assert_eq!(read.leaves(b, 30), vec![20..30]);
    }

    #[test]
    fn a_rename_is_taken_back_only_while_nothing_else_has_the_name() {
        let (a, sealed) = (name("audit_20260128.jsonl"), name("audit_20260128_001.jsonl"));
        let mut places = Places::default();
        places.note(Event::Run { leaf: 0, segment: a });
        places.note(Event::Renamed { from: a, to: sealed });
        assert_eq!(places.clone().not_yet_renamed(|name| name == sealed), None);
        let mut early = places.clone();
        assert_eq!(early.not_yet_renamed(|name| name == a), Some((sealed, a)));
        assert_eq!(early.leaves(a, 3), vec![0..3]);
        // The renamed one is gone by now, and another has its old name.
        places.note(Event::Run { leaf: 3, segment: a });
        assert_eq!(places.not_yet_renamed(|name| name == a), None);
    }

    #[test]
    fn other_lines_are_refused() {
        assert_eq!(Places::parse("gone audit_20260129.jsonl").unwrap_err(), 1);
        for line in [
            "",
            "run 1",
            "run x audit_20260129.jsonl",
            "gone ../x",
            "went away",
            "run 1 audit_20260129.jsonl 2",
        ] {
            let text = format!("gone audit_20260129.jsonl\n{line}\n");
            assert_eq!(Places::parse(&text).unwrap_err(), 2, "{line}");
        }
    }
}
