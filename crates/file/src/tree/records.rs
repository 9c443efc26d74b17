//! The records of the tree: the file `erasures`, named after the only kind of the first version.
//!
//! One record a line: the number of the leaf that it is, a space, and its canonical text.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use attestry_evidence::{Record, SignedRecord, Tree};

use super::error::Result;
use super::text_file::TextFile;

/// All records of a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    by_leaf: BTreeMap<u64, Record>,
    erased: ErasedLeaves,
}

/// The leaves that records state as erased.
#[derive(Debug, Clone, Default)]
pub(super) struct ErasedLeaves {
    /// Start and end of disjoint ranges.
    ranges: BTreeMap<u64, u64>,
}

/// A record as a line of the file.
pub(super) fn encode(leaf: u64, record: &Record) -> String {
    format!("{leaf} {}\n", record.to_line())
}

/// Parses a line.
pub(super) fn decode(line: &str) -> Option<(u64, Record)> {
    let (leaf, record) = line.split_once(' ')?;
    let leaf = leaf.parse().ok().filter(|leaf| *leaf < Tree::MAX_SIZE)?;
    Some((leaf, Record::from_line(record).ok()?))
}

impl ErasedLeaves {
    fn add_record(&mut self, record: &Record) {
        if let Some(erasure) = record.erasure() {
            self.add(erasure.leaf()..erasure.end());
        }
    }

    /// Merges `range` with the ranges that it touches.
    fn add(&mut self, mut range: Range<u64>) {
        while let Some((&start, &end)) = self.ranges.range(..=range.end).next_back() {
            if end < range.start {
                break;
            }
            self.ranges.remove(&start);
            range = range.start.min(start)..range.end.max(end);
        }
        self.ranges.insert(range.start, range.end);
    }

    pub(super) fn contains(&self, leaf: u64) -> bool {
        self.ranges.range(..=leaf).next_back().is_some_and(|(_, &end)| leaf < end)
    }

    /// The ranges that overlap `leaves`, and possibly one before it, ascending.
    fn overlapping(&self, leaves: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let before = self.ranges.range(..leaves.start).next_back();
        let within = self.ranges.range(leaves.clone());
        before.into_iter().chain(within).map(|(&start, &end)| start..end)
    }
}

impl Records {
    /// Reads the first `valid_len` bytes of the file.
    pub(super) fn read(file: &TextFile, valid_len: u64) -> Result<Self> {
        let mut records = Self::default();
        file.for_each_line(0..valid_len, |line| {
            let (leaf, record) = decode(line)?;
            records.add(leaf, record)
        })?;
        Ok(records)
    }

    /// Parses text; the error is the number of the first invalid line.
    #[cfg(any(test, fuzzing))]
    pub(super) fn parse(text: &str) -> std::result::Result<Self, usize> {
        let mut records = Self::default();
        for (number, line) in text.split_terminator('\n').enumerate() {
            let added = decode(line).and_then(|(leaf, record)| records.add(leaf, record));
            added.ok_or(number + 1)?;
        }
        Ok(records)
    }

    /// Adds the record that is leaf `leaf`, which comes after all others.
    pub(super) fn add(&mut self, leaf: u64, record: Record) -> Option<()> {
        if self.by_leaf.last_key_value().is_some_and(|(last, _)| *last >= leaf) {
            return None;
        }
        self.erased.add_record(&record);
        self.by_leaf.insert(leaf, record);
        Some(())
    }

    /// All records, with the leaves that they are, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.by_leaf.iter().map(|(&leaf, record)| (leaf, record))
    }

    /// The signed ones.
    pub(super) fn signed(&self) -> impl Iterator<Item = (u64, &SignedRecord)> {
        self.iter().filter_map(|(leaf, record)| Some((leaf, record.signed()?)))
    }

    /// The record that is leaf `leaf`.
    pub(super) fn record_at(&self, leaf: u64) -> Option<&Record> {
        self.by_leaf.get(&leaf)
    }

    /// The number of leaves that were erased.
    pub(super) fn erased_lines(&self) -> u64 {
        self.erased.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether a record states that `leaf` was erased.
    pub(super) fn is_erased(&self, leaf: u64) -> bool {
        self.erased.contains(leaf)
    }

    /// The leaves among `leaves` that are neither records nor erased.
    pub(super) fn lines_among(&self, leaves: Range<u64>) -> Vec<Range<u64>> {
        let records = self.by_leaf.range(leaves.clone()).map(|(&leaf, _)| leaf..leaf + 1);
        let mut others: Vec<_> = records.chain(self.erased.overlapping(&leaves)).collect();
        others.sort_unstable_by_key(|range| range.start);
        let mut lines = Vec::new();
        let mut next = leaves.start;
        for range in others {
            if next < range.start {
                lines.push(next..range.start);
            }
            next = next.max(range.end);
        }
        if next < leaves.end {
            lines.push(next..leaves.end);
        }
        lines
    }
}

/// The file, with what is needed of its beginning in memory.
///
/// Arguments named `valid_len` are the valid bytes that the tree head states.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: TextFile,
    /// Bytes that the rest was read from.
    read_len: u64,
    erased: ErasedLeaves,
    /// The signed records that are no erasures, with their leaves: those of keys, for example.
    others: Vec<(u64, SignedRecord)>,
}

impl RecordFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = TextFile::open(path.to_path_buf(), true)?;
        Ok(Self { file, read_len: 0, erased: ErasedLeaves::default(), others: Vec::new() })
    }

    /// Reads what was appended since the last call.
    fn refresh(&mut self, valid_len: u64) -> Result<()> {
        if self.read_len < valid_len {
            for (leaf, record) in self.since(self.read_len, valid_len)? {
                self.erased.add_record(&record);
                match record {
                    Record::Signed(record) if record.statement().erasure().is_none() => {
                        self.others.push((leaf, *record));
                    }
                    _ => {}
                }
            }
            self.read_len = valid_len;
        }
        Ok(())
    }

    /// The erased leaves.
    pub(super) fn erased(&mut self, valid_len: u64) -> Result<&ErasedLeaves> {
        self.refresh(valid_len)?;
        Ok(&self.erased)
    }

    /// The signed records that are no erasures, ascending.
    pub(super) fn others(&mut self, valid_len: u64) -> Result<&[(u64, SignedRecord)]> {
        self.refresh(valid_len)?;
        Ok(&self.others)
    }

    /// The records from byte `start` on, where one begins.
    pub(super) fn since(&self, start: u64, valid_len: u64) -> Result<Vec<(u64, Record)>> {
        let mut records = Vec::new();
        self.file.for_each_line(start..valid_len.max(start), |line| {
            records.push(decode(line)?);
            Some(())
        })?;
        Ok(records)
    }

    pub(super) fn records(&self, valid_len: u64) -> Result<Records> {
        Records::read(&self.file, valid_len)
    }

    /// Forgets what was read from behind `durable_len`: another process may have rewritten it.
    pub(super) fn invalidate_after(&mut self, durable_len: u64) {
        if self.read_len > durable_len {
            (self.read_len, self.erased) = (0, ErasedLeaves::default());
            self.others.clear();
        }
    }

    pub(super) fn append(&self, text: &str, valid_len: u64) -> Result<()> {
        self.file.append(text, valid_len)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;
    use attestry_evidence::{ErasureRecord, Hash};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_neither_records_nor_erased() {
        let record = |leaf, count| {
            let (hash, at) = (Hash::EMPTY_TREE, Timestamp::UNIX_EPOCH);
            Record::from(ErasureRecord::new(leaf, count, hash, at, "why", "dpo").unwrap())
        };
        let text = [encode(7, &record(2, 3)), encode(9, &record(4, 2)), encode(12, &record(11, 1))]
            .concat();
        let records = Records::parse(&text).unwrap();
        assert_eq!(records.record_at(9), Some(&record(4, 2)));
        assert_eq!(records.iter().count(), 3);
        let erased: Vec<u64> = (0..15).filter(|&leaf| records.is_erased(leaf)).collect();
        assert_eq!(erased, [2, 3, 4, 5, 11]);
        assert_eq!(records.lines_among(0..15), [0..2, 6..7, 8..9, 10..11, 13..15]);
        assert_eq!(records.lines_among(3..5), []);
        assert_eq!(records.lines_among(3..7), vec![6..7]);
        assert_eq!(Records::parse(&format!("{text}x\n")).unwrap_err(), 4);
        // Line by line, as the file grows.
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::open(&folder.path().join("erasures")).unwrap();
        let mut valid_len = 0;
        for line in text.split_inclusive('\n') {
            file.append(line, valid_len).unwrap();
            valid_len += line.len() as u64;
            file.erased(valid_len).unwrap();
        }
        let leaves = file.erased(valid_len).unwrap();
        assert_eq!((0..15).filter(|&leaf| leaves.contains(leaf)).collect::<Vec<_>>(), erased);
        file.append("x\n", valid_len).unwrap();
        assert!(file.erased(valid_len + 2).is_err());
    }

    proptest! {
        #[test]
        fn erased_leaves_are_the_union_of_all_ranges(
            ranges in proptest::collection::vec((0..200u64, 1..20u64), 0..40),
            (from, count) in (0..200u64, 0..50u64),
        ) {
            let mut leaves = ErasedLeaves::default();
            ranges.iter().for_each(|&(start, count)| leaves.add(start..start + count));
            let erased = |leaf| ranges.iter().any(|(start, n)| (*start..start + n).contains(&leaf));
            for leaf in 0..230 {
                prop_assert_eq!(leaves.contains(leaf), erased(leaf), "{}", leaf);
            }
            let merged: Vec<_> = leaves.ranges.iter().collect();
            prop_assert!(merged.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", merged);
            let window = from..from + count;
            let overlapping: Vec<_> = leaves.overlapping(&window).flatten().collect();
            prop_assert!(window.filter(|&leaf| erased(leaf)).all(|leaf| overlapping.contains(&leaf)));
        }
    }
}
