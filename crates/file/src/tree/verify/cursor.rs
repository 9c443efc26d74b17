//! The lines of one segment beside its leaves.

use std::collections::VecDeque;
use std::ops::Range;

use attestry_evidence::Hash;

use super::align::{self, Extra};
use super::report::{ProblemKind, Problems};
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use crate::tree::EvidenceError;
use crate::tree::erased::Erased;
use crate::tree::head::HeadFile;
use crate::tree::lines::{HashedLine, HashedLines};
use crate::tree::tiles::{Leaves, Tiles};
use crate::tree::view::OpenSegment;

/// What there is of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Its line.
    Line,
    /// Nothing.
    Gone,
    /// Another line in its place.
    Altered,
}

/// Goes through a segment's leaves and lines side by side. As long as each line is that of the next
/// leaf, or the leaf is on record as erased, nothing is kept; at the first one that is neither or
/// both, what is left of the segment is [aligned](align) as a whole.
pub(super) struct SegmentCursor<'a> {
    name: SegmentName,
    /// `None` when the segment is not there.
    segment: Option<&'a OpenSegment>,
    lines: Option<HashedLines<'a>>,
    ahead: Option<HashedLine>,
    /// What became of the leaves to come, once that had to be looked at.
    aligned: Option<VecDeque<Found>>,
}

impl<'a> SegmentCursor<'a> {
    /// The lines of a segment, up to `end` only where it grows.
    pub(super) fn new(
        name: SegmentName,
        segment: Option<&'a OpenSegment>,
        end: Option<u64>,
    ) -> Self {
        let lines = segment.map(|segment| {
            let end = end.unwrap_or(segment.length).min(segment.length);
            HashedLines::new(&segment.file, 0, end)
        });
        Self { name, segment, lines, ahead: None, aligned: None }
    }

    fn peek(&mut self, problems: &Problems) -> Result<Option<HashedLine>, EvidenceError> {
        if self.ahead.is_none()
            && let Some(lines) = &mut self.lines
        {
            self.ahead = lines
                .next()
                .map_err(|source| EvidenceError::io("read", &problems.path(self.name), source))?;
        }
        Ok(self.ahead)
    }

    /// What there is of the segment's next leaf. `rest` gives all its leaves once more.
    pub(super) fn next<R: Iterator<Item = (usize, Range<u64>)>>(
        &mut self,
        leaf: u64,
        hash: Hash,
        erased: &Erased,
        rest: impl FnOnce() -> R,
        tiles: &mut Tiles,
        problems: &mut Problems,
    ) -> Result<Found, EvidenceError> {
        if let Some(aligned) = &mut self.aligned {
            return Ok(aligned.pop_front().unwrap_or(Found::Gone));
        }
        match self.peek(problems)? {
            // Recorded or not, with no line left there is nothing to align.
            None => return Ok(Found::Gone),
            Some(line) => match (line.hash == hash, erased.covers(leaf)) {
                (true, false) => {
                    self.ahead = None;
                    return Ok(Found::Line);
                }
                (false, true) => return Ok(Found::Gone),
                // An erased line that is there, or that of a later leaf: the entry written again.
                (true, true) | (false, false) => {}
            },
        }
        let mut leaves = Vec::new();
        for (_, range) in rest() {
            let start = range.start.max(leaf);
            let mut hashes = Leaves::new(start.min(range.end), range.end);
            for leaf in start..range.end {
                let hash = hashes
                    .next(tiles)
                    .map_err(|source| EvidenceError::io("read", &problems.tree(), source))?;
                if let Some(hash) = hash.filter(|_| erased.record_at(leaf).is_none()) {
                    leaves.push(align::Leaf { leaf, hash, erased: erased.covers(leaf) });
                }
            }
        }
        let mut lines = Vec::new();
        while let Some(line) = self.peek(problems)? {
            lines.push(line);
            self.ahead = None;
        }
        let (mut found, extras) = align::align(&leaves, &lines);
        for extra in extras {
            let (kind, line, leaf, reason) = match extra {
                Extra::Inserted(line) => {
                    (ProblemKind::Inserted, line, None, "the line was never logged")
                }
                Extra::Moved(line, leaf) => {
                    (ProblemKind::Moved, line, Some(leaf), "the line is not where it was logged")
                }
                Extra::Altered(line, leaf) => {
                    (ProblemKind::Altered, line, Some(leaf), "the line is not the one logged")
                }
            };
            problems.of_line(kind, self.name, self.segment, &line, leaf, reason);
        }
        let first = found.pop_front().unwrap_or(Found::Gone);
        self.aligned = Some(found);
        Ok(first)
    }

    /// Names the lines that are left when there are no more leaves.
    pub(super) fn finish(&mut self, problems: &mut Problems) -> Result<(), EvidenceError> {
        while let Some(line) = self.peek(problems)? {
            self.ahead = None;
            let (kind, reason) = (ProblemKind::Inserted, "the line is not in the tree");
            problems.of_line(kind, self.name, self.segment, &line, None, reason);
        }
        Ok(())
    }
}

/// How many lines of the segment that grows are not in the tree, though nobody of us is at work: those
/// of another program, which the next one who writes will take in.
pub(super) fn not_covered(
    folder: &Folder,
    name: SegmentName,
    segment: &OpenSegment,
    covered: u64,
) -> Result<u64, EvidenceError> {
    if segment.length <= covered {
        return Ok(0);
    }
    let path = folder.tree().join("head");
    let head = HeadFile::open(&path, false).and_then(|file| file.live());
    let head = head.map_err(|source| EvidenceError::io("read", &path, source))?;
    let by_now =
        head.filter(|head| head.current == Some(name)).map_or(u64::MAX, |head| head.covered);
    let mut lines = HashedLines::new(&segment.file, covered, segment.length);
    let mut count = 0;
    while let Some(line) =
        lines.next().map_err(|source| EvidenceError::io("read", &folder.segment(name), source))?
    {
        count += u64::from(line.offset >= by_now);
    }
    Ok(count)
}
