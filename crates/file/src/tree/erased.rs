//! The erasure records, with the leaves they are: the file `erasures`, a line each, of the number
//! of the leaf, a space and the record in its one form.

use std::collections::BTreeMap;
use std::ops::Range;

use attestry_evidence::ErasureRecord;

/// All erasure records of a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Erased {
    by_leaf: BTreeMap<u64, ErasureRecord>,
    leaves: ErasedLeaves,
}

/// Leaves of which some record says that they were erased.
#[derive(Debug, Clone, Default)]
pub(super) struct ErasedLeaves {
    /// Disjoint ranges, the ends by the starts.
    ends: BTreeMap<u64, u64>,
}

/// A record as it stands in the file.
pub(super) fn line(leaf: u64, record: &ErasureRecord) -> String {
    format!("{leaf} {}\n", record.to_line())
}

/// Each line of a text of records, with the number of the leaf that it is; or the number of the line, if
/// that cannot be read.
fn lines(text: &str) -> impl Iterator<Item = Result<(u64, ErasureRecord), usize>> {
    text.split_terminator('\n').enumerate().map(|(number, line)| {
        let parsed = line.split_once(' ').and_then(|(leaf, record)| {
            Some((leaf.parse::<u64>().ok()?, ErasureRecord::from_line(record).ok()?))
        });
        parsed.ok_or(number + 1)
    })
}

impl ErasedLeaves {
    /// Takes in what the records of `text` say, whole lines of the file; the number of the line that
    /// cannot be read, if there is one.
    pub(super) fn take_in(&mut self, text: &str) -> Result<(), usize> {
        for line in lines(text) {
            let (_, record) = line?;
            self.add(record.leaf()..record.end());
        }
        Ok(())
    }

    fn add(&mut self, mut range: Range<u64>) {
        // From behind: the last that begins no later than its end, and so on.
        while let Some((&start, &end)) = self.ends.range(..=range.end).next_back() {
            if end < range.start {
                break;
            }
            self.ends.remove(&start);
            range = range.start.min(start)..range.end.max(end);
        }
        self.ends.insert(range.start, range.end);
    }

    /// Whether some record says that `leaf` was erased.
    pub(super) fn covers(&self, leaf: u64) -> bool {
        self.ends.range(..=leaf).next_back().is_some_and(|(_, &end)| leaf < end)
    }

    /// Those that touch `leaves`, ascending.
    fn among(&self, leaves: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let before = self.ends.range(..leaves.start).next_back();
        let within = self.ends.range(leaves.clone());
        before.into_iter().chain(within).map(|(&start, &end)| start..end)
    }
}

impl Erased {
    /// From the text of the file; the number of the line that cannot be read, if there is one.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let by_leaf = lines(text).collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut leaves = ErasedLeaves::default();
        by_leaf.values().for_each(|record| leaves.add(record.leaf()..record.end()));
        Ok(Self { by_leaf, leaves })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &ErasureRecord> {
        self.by_leaf.values()
    }

    /// The record that is leaf `leaf`.
    pub(super) fn record_at(&self, leaf: u64) -> Option<&ErasureRecord> {
        self.by_leaf.get(&leaf)
    }

    /// Whether some record says that `leaf` was erased.
    pub(super) fn covers(&self, leaf: u64) -> bool {
        self.leaves.covers(leaf)
    }

    /// What of `leaves` is neither a record nor erased.
    pub(super) fn lines_among(&self, leaves: Range<u64>) -> Vec<Range<u64>> {
        let records = self.by_leaf.range(leaves.clone()).map(|(&leaf, _)| leaf..leaf + 1);
        let mut taken: Vec<_> = records.chain(self.leaves.among(&leaves)).collect();
        taken.sort_unstable_by_key(|range| range.start);
        let mut left = Vec::new();
        let mut next = leaves.start;
        for range in taken {
            if next < range.start {
                left.push(next..range.start);
            }
            next = next.max(range.end);
        }
        if next < leaves.end {
            left.push(next..leaves.end);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;
    use attestry_evidence::Hash;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_what_is_neither_record_nor_erased() {
        let record = |leaf, count| {
            ErasureRecord::new(leaf, count, Hash::EMPTY_TREE, Timestamp::UNIX_EPOCH, "why", "who")
                .unwrap()
        };
        let text =
            [line(7, &record(2, 3)), line(9, &record(4, 2)), line(12, &record(11, 1))].concat();
        let erased = Erased::parse(&text).unwrap();
        assert_eq!(erased.record_at(9), Some(&record(4, 2)));
        assert_eq!(erased.records().count(), 3);
        let covered: Vec<u64> = (0..15).filter(|&leaf| erased.covers(leaf)).collect();
        assert_eq!(covered, [2, 3, 4, 5, 11]);
        assert_eq!(erased.lines_among(0..15), [0..2, 6..7, 8..9, 10..11, 13..15]);
        assert_eq!(erased.lines_among(3..5), []);
        assert_eq!(erased.lines_among(3..7), vec![6..7]);
        assert_eq!(Erased::parse(&format!("{text}x\n")).unwrap_err(), 4);
        // Part by part, as the file grows.
        let mut leaves = ErasedLeaves::default();
        text.split_inclusive('\n').for_each(|part| leaves.take_in(part).unwrap());
        assert_eq!((0..15).filter(|&leaf| leaves.covers(leaf)).collect::<Vec<_>>(), covered);
        assert_eq!(leaves.take_in("x\n").unwrap_err(), 1);
    }

    proptest! {
        #[test]
        fn leaves_are_erased_where_any_record_says_so(
            ranges in proptest::collection::vec((0..200u64, 1..20u64), 0..40),
            (from, count) in (0..200u64, 0..50u64),
        ) {
            let mut leaves = ErasedLeaves::default();
            ranges.iter().for_each(|&(start, count)| leaves.add(start..start + count));
            let erased = |leaf| ranges.iter().any(|(start, n)| (*start..start + n).contains(&leaf));
            for leaf in 0..230 {
                prop_assert_eq!(leaves.covers(leaf), erased(leaf), "{}", leaf);
            }
            let known: Vec<_> = leaves.ends.iter().collect();
            prop_assert!(known.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", known);
            let asked = from..from + count;
            let among: Vec<_> = leaves.among(&asked).flatten().collect();
            prop_assert!(asked.filter(|&leaf| erased(leaf)).all(|leaf| among.contains(&leaf)));
        }
    }
}
