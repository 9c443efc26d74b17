//! Compares the lines of one segment with its leaves.

use std::collections::VecDeque;
use std::ops::Range;

use attestry_evidence::Hash;

use super::diff::{Leaf, LeafState, LineProblem, diff};
use super::report::{ProblemKind, Problems};
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::segment::SegmentName;
use crate::tree::error::{EvidenceError, Result};
use crate::tree::line_hashes::{HashedLine, LineHashes};
use crate::tree::records::Records;
use crate::tree::snapshot::OpenSegment;
use crate::tree::tiles::{Leaves, Tiles};
use crate::tree::tree_head::{TreeHead, TreeHeadFile};

/// Walks leaves and lines side by side in constant memory, while each line is that of the next leaf or
/// the leaf was erased. At the first difference, the rest of the segment is [diffed](diff) in memory.
pub(super) struct SegmentCursor<'a> {
    name: SegmentName,
    /// `None` if the segment does not exist.
    segment: Option<&'a OpenSegment>,
    lines: Option<LineHashes<'a>>,
    peeked: Option<HashedLine>,
    /// States of the leaves that follow, once they were diffed.
    diffed: Option<VecDeque<LeafState>>,
}

impl<'a> SegmentCursor<'a> {
    /// The lines of a segment, up to `end` for the current one.
    pub(super) fn new(
        name: SegmentName,
        segment: Option<&'a OpenSegment>,
        end: Option<u64>,
    ) -> Self {
        let lines = segment.map(|segment| {
            let end = end.unwrap_or(segment.length).min(segment.length);
            LineHashes::new(&segment.file, 0, end)
        });
        Self { name, segment, lines, peeked: None, diffed: None }
    }

    fn peek(&mut self, problems: &Problems) -> Result<Option<HashedLine>> {
        if self.peeked.is_none()
            && let Some(lines) = &mut self.lines
        {
            self.peeked = lines
                .next()
                .map_err(|source| EvidenceError::io("read", &problems.path(self.name), source))?;
        }
        Ok(self.peeked)
    }

    /// The state of the segment's next leaf. `ranges` returns all leaf ranges of the segment.
    pub(super) fn next(
        &mut self,
        leaf: u64,
        hash: Hash,
        records: &Records,
        ranges: impl FnOnce() -> Vec<Range<u64>>,
        tiles: &mut Tiles,
        problems: &mut Problems,
    ) -> Result<LeafState> {
        if let Some(diffed) = &mut self.diffed {
            return Ok(diffed.pop_front().unwrap_or(LeafState::Missing));
        }
        let Some(line) = self.peek(problems)? else { return Ok(LeafState::Missing) };
        match (line.hash == hash, records.is_erased(leaf)) {
            (true, false) => {
                self.peeked = None;
                return Ok(LeafState::Intact);
            }
            (false, true) => return Ok(LeafState::Missing),
            // The erased line still exists, or the line is that of a later leaf: the entry was written
            // again.
            (true, true) | (false, false) => {}
        }
        let mut leaves = Vec::new();
        for range in ranges() {
            let start = range.start.max(leaf);
            let mut hashes = Leaves::new(start..range.end);
            for leaf in start..range.end {
                let hash = hashes
                    .next(tiles)
                    .map_err(|source| EvidenceError::io("read", &problems.tree(), source))?;
                if let Some(hash) = hash.filter(|_| records.record_at(leaf).is_none()) {
                    leaves.push(Leaf { leaf, hash, erased: records.is_erased(leaf) });
                }
            }
        }
        let mut lines = Vec::new();
        while let Some(line) = self.peek(problems)? {
            lines.push(line);
            self.peeked = None;
        }
        let (mut states, line_problems) = diff(&leaves, &lines);
        for problem in line_problems {
            let (kind, line, leaf, reason) = match problem {
                LineProblem::Inserted(line) => {
                    (ProblemKind::Inserted, line, None, "the line was never logged")
                }
                LineProblem::Moved(line, leaf) => {
                    (ProblemKind::Moved, line, Some(leaf), "the line is not where it was logged")
                }
                LineProblem::Altered(line, leaf) => {
                    (ProblemKind::Altered, line, Some(leaf), "the line is not the one logged")
                }
            };
            problems.add_line(kind, self.name, self.segment, &line, leaf, reason);
        }
        let first = states.pop_front().unwrap_or(LeafState::Missing);
        self.diffed = Some(states);
        Ok(first)
    }

    /// Reports the lines behind the last leaf.
    pub(super) fn finish(&mut self, problems: &mut Problems) -> Result<()> {
        while let Some(line) = self.peek(problems)? {
            self.peeked = None;
            let (kind, reason) = (ProblemKind::Inserted, "the line is not in the tree");
            problems.add_line(kind, self.name, self.segment, &line, None, reason);
        }
        Ok(())
    }
}

/// Counts the segments, other than the `current` one, whose last byte is not a line break.
pub(super) fn count_unterminated(
    segments: &[OpenSegment],
    current: Option<SegmentName>,
) -> Result<u64> {
    let mut count = 0;
    let others = segments.iter().filter(|segment| Some(segment.name) != current);
    for segment in others.filter(|segment| segment.length > 0) {
        let mut last = [0];
        let read = sys::read_exact_at(&segment.file, &mut last, segment.length - 1);
        // Another program may have cut it since.
        count += u64::from(read.is_ok() && last != *b"\n");
    }
    Ok(count)
}

/// Counts the lines of the current segment that are still not in the tree: another program wrote them,
/// and the next append replays them.
pub(super) fn count_not_covered(
    folder: &Folder,
    name: SegmentName,
    segment: &OpenSegment,
    covered: u64,
) -> Result<u64> {
    if segment.length <= covered {
        return Ok(0);
    }
    let path = folder.tree().join("head");
    let head = TreeHeadFile::open(&path, false).and_then(|file| file.published());
    let head = head.map_err(|source| EvidenceError::io("read", &path, source))?;
    let covered_now =
        head.filter(|head| head.current == Some(name)).map_or(u64::MAX, |head| head.covered);
    count_lines(folder, segment, covered, covered_now)
}

/// Counts the lines of a segment that the tree of `head` does not know, and that are still not in the tree.
pub(super) fn count_not_covered_of_unknown(
    folder: &Folder,
    segment: &OpenSegment,
    head: &TreeHead,
) -> Result<u64> {
    let path = folder.tree().join("head");
    let now = TreeHeadFile::open(&path, false).and_then(|file| file.published());
    let now = now.map_err(|source| EvidenceError::io("read", &path, source))?;
    let is_same = |now: &TreeHead| (now.size, now.map_len) == (head.size, head.map_len);
    match now {
        // The tree has grown since: some of the lines may be in it.
        Some(now) if !is_same(&now) && now.current == Some(segment.name) => {
            count_lines(folder, segment, 0, now.covered)
        }
        Some(now) if !is_same(&now) => Ok(0),
        _ => count_lines(folder, segment, 0, 0),
    }
}

/// Counts the lines behind `from` that begin at `least` or later.
fn count_lines(folder: &Folder, segment: &OpenSegment, from: u64, least: u64) -> Result<u64> {
    let path = folder.segment(segment.name);
    let mut lines = LineHashes::new(&segment.file, from, segment.length);
    let mut count = 0;
    while let Some(line) =
        lines.next().map_err(|source| EvidenceError::io("read", &path, source))?
    {
        count += u64::from(line.offset >= least);
    }
    Ok(count)
}
