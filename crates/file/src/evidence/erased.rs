//! The erasure records, with the leaves they are: the file `erasures`, a line each, of the number
//! of the leaf, a space and the record in its one form.

use std::collections::BTreeMap;
use std::ops::Range;

use attestry_evidence::ErasureRecord;

/// All erasure records of a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Erased {
    by_leaf: BTreeMap<u64, ErasureRecord>,
    /// Leaves of which some record says that they were erased: disjoint, ascending.
    leaves: Vec<Range<u64>>,
}

/// A record as it stands in the file.
pub(super) fn line(leaf: u64, record: &ErasureRecord) -> String {
    format!("{leaf} {}\n", record.to_line())
}

impl Erased {
    /// From the text of the file; the number of the line that cannot be read, if there is one.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut by_leaf = BTreeMap::new();
        for (number, line) in text.split_terminator('\n').enumerate() {
            let parsed = line.split_once(' ').and_then(|(leaf, record)| {
                Some((leaf.parse::<u64>().ok()?, ErasureRecord::from_line(record).ok()?))
            });
            let (leaf, record) = parsed.ok_or(number + 1)?;
            by_leaf.insert(leaf, record);
        }
        let mut leaves: Vec<Range<u64>> = Vec::new();
        let mut ranges: Vec<_> =
            by_leaf.values().map(|record| record.leaf()..record.end()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        for range in ranges {
            match leaves.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => leaves.push(range),
            }
        }
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
        let at = self.leaves.partition_point(|range| range.end <= leaf);
        self.leaves.get(at).is_some_and(|range| range.contains(&leaf))
    }

    /// What of `leaves` is neither a record nor erased.
    pub(super) fn lines_among(&self, leaves: Range<u64>) -> Vec<Range<u64>> {
        let records = self.by_leaf.range(leaves.clone()).map(|(&leaf, _)| leaf..leaf + 1);
        let from = self.leaves.partition_point(|range| range.end <= leaves.start);
        let erased =
            self.leaves[from..].iter().take_while(|range| range.start < leaves.end).cloned();
        let mut taken: Vec<_> = records.chain(erased).collect();
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
    }
}
