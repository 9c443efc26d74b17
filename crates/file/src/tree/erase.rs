//! Finds the leaves of lines to be erased, and records their erasure.

use std::collections::HashSet;
use std::ops::Range;

use attestry_evidence::{ErasureRecord, Record, SignedRecord, Statement, Tree};

use super::error::Result;
use super::keys::Eraser;
use super::records;
use super::tiles::Leaves;
use super::tree_writer::TreeWriter;
use crate::observer::EraseReason;
use crate::segment::SegmentName;

impl TreeWriter {
    /// The leaves of a segment that are lines and were not erased.
    pub(super) fn line_leaves(&mut self, name: SegmentName) -> Result<Vec<(u64, u64)>> {
        let records = self.records.records(self.head.records_len)?;
        let ranges = self.map.leaf_ranges(name, self.head.size);
        let lines = ranges.into_iter().flat_map(|range| records.lines_among(range));
        Ok(lines.map(|range| (range.start, range.end)).collect())
    }

    /// Appends an erasure record for each of `ranges`, ascending, signed by `eraser`, and persists the head.
    /// With `redo`, records that exist are not repeated.
    pub(super) fn record_erasure(
        &mut self,
        ranges: &[(u64, u64)],
        reason: &EraseReason,
        eraser: &Eraser,
        redo: bool,
    ) -> Result<()> {
        let mut erasures = Vec::new();
        for range in merged(ranges) {
            let (first, count) = (range.start, range.end - range.start);
            let mut leaves = Leaves::new(range);
            let mut erased = Tree::new();
            while let Some(hash) =
                leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))?
            {
                erased.push(hash);
            }
            let EraseReason { reason, by, at } = reason;
            erasures.push(ErasureRecord::new(first, count, erased.root(), *at, &**reason, &**by)?);
        }
        if redo && !erasures.is_empty() {
            let existing = self.records.records(self.head.records_len)?;
            let existing: HashSet<&ErasureRecord> =
                existing.iter().filter_map(|(_, record)| record.erasure()).collect();
            erasures.retain(|erasure| !existing.contains(erasure));
        }
        let sign = |erasure| {
            let statement = Statement::Erasure(erasure);
            let signed = SignedRecord::sign(&eraser.origin, &statement, &[&eraser.key])?;
            Ok(signed.into())
        };
        let records: Vec<Record> = erasures.into_iter().map(sign).collect::<Result<_>>()?;
        if !records.is_empty() {
            self.append_records(&records)?;
        }
        // Existing records may be published only, by a process that died: opening the store would
        // drop them with everything behind the persisted head.
        self.persist_if_changed()
    }

    /// Appends records as leaves.
    pub(super) fn append_records(&mut self, records: &[Record]) -> Result<()> {
        let leaves = (self.head.size..).zip(records);
        let text: String = leaves.map(|(leaf, record)| records::encode(leaf, record)).collect();
        self.stale = true;
        self.records.append(&text, self.head.records_len)?;
        self.head.records_len += text.len() as u64;
        let covered = self.head.covered;
        self.append(records.iter().map(Record::leaf_hash), covered)
    }
}

/// `ranges`, ascending, without empty ones; those that touch are merged.
fn merged(ranges: &[(u64, u64)]) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for &(start, end) in ranges.iter().filter(|(start, end)| start < end) {
        match merged.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => merged.push(start..end),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;
    use attestry_evidence::{SigningKey, leaf_hash};

    use super::*;
    use crate::fs::layout::Folder;
    use crate::recovery;

    /// The other process died after it had written the record, before it persisted the head.
    #[test]
    fn existing_erasure_record_is_persisted_not_repeated() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut other = TreeWriter::create(&folder, true).unwrap();
        let leaves = [leaf_hash(b"a"), leaf_hash(b"b")];
        other.append(leaves, 0).unwrap();
        other.persist().unwrap();
        let mut ours = TreeWriter::open(&folder, true).unwrap().unwrap();
        let (reason, by, at) = ("expired".to_owned(), String::new(), Timestamp::UNIX_EPOCH);
        let mut erased = Tree::new();
        erased.push(leaves[1]);
        let record = ErasureRecord::new(1, 1, erased.root(), at, &*reason, &*by).unwrap();
        let key = SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap();
        let eraser = Eraser { origin: key.name().to_owned(), key };
        other.refresh().unwrap();
        other.append_records(&[record.into()]).unwrap();
        drop(other);
        ours.refresh().unwrap();
        ours.record_erasure(&[(1, 2)], &EraseReason { reason, by, at }, &eraser, true).unwrap();
        assert_eq!(ours.size(), 3, "it was written once");
        drop(ours);
        let mut opened = TreeWriter::open(&folder, true).unwrap().unwrap();
        let valid_len = opened.head.records_len;
        assert!(opened.records.erased(valid_len).unwrap().contains(1));
    }
}
