//! Verification of a whole store: is every logged line still there, in its place, or its erasure
//! recorded? Does the tree match its checkpoints?

mod checkpoint_checks;
mod diff;
mod options;
mod report;
mod segment_cursor;

use std::collections::{BTreeMap, BTreeSet};

use attestry_core::StorageError;
use attestry_evidence::{Audit, Finding, TreeError};

use super::error::{EvidenceError, Result};
use super::segment_map::SegmentMap;
use super::snapshot::{OpenSegment, TreeSnapshot, exclude_writers};
use super::tiles::Leaves;
use crate::erase;
use crate::fs::epoch::{Epochs, Stamp};
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use checkpoint_checks::CheckpointChecks;
use diff::LeafState;
pub use options::{VerifyOptions, VerifyProgress};
use report::Problems;
pub use report::{Backfill, CosignedCheckpoint, EvidenceProblem, ProblemKind, Verification};
use segment_cursor::{SegmentCursor, count_not_covered};

/// Passes without a lock. If problems remain, the last pass runs with writers excluded.
const UNLOCKED_PASSES: usize = 2;

const LEAVES_BETWEEN_PROGRESS: u64 = 1 << 14;

/// Verifies the store in `folder`.
pub(crate) fn run(folder: &Folder, options: &VerifyOptions) -> Result<Verification> {
    for _ in 0..UNLOCKED_PASSES {
        let before = changes(folder)?;
        let found = verify_once(folder, options)?;
        if found.is_clean() || (before.1 == 0 && before == changes(folder)?) {
            return Ok(found);
        }
    }
    let _lock = exclude_writers(folder);
    verify_once(folder, options)
}

/// What changes while lines are erased or segments renamed: the epochs, and the size of the pending
/// erasure.
fn changes(folder: &Folder) -> std::result::Result<(Epochs, usize), StorageError> {
    let pending = erase::pending(folder)?;
    Ok((Stamp::read(folder)?.epochs, pending.lines.len() + pending.segments.len()))
}

fn verify_once(folder: &Folder, options: &VerifyOptions) -> Result<Verification> {
    let mut problems = Problems::new(folder.clone());
    // Before the snapshot: a checkpoint signed later may be larger than its tree.
    let mut checks = CheckpointChecks::read(folder, options, &mut problems)?;
    let TreeSnapshot { head, map, records, mut tiles, segments, .. } = TreeSnapshot::full(folder)?;
    let tree = folder.tree();
    let unmapped = || EvidenceError::damaged(&tree.join("places"), "it does not map all leaves");
    let mut audit = Audit::new(records.iter().cloned());
    let mut cursors = Cursors::new(&map, &segments, head.current.zip(Some(head.covered)));
    checks.check(&audit, &mut problems);
    for (segment, run) in map.runs(head.size) {
        if run.start != audit.size() {
            return Err(unmapped());
        }
        let cursor = cursors.of(segment);
        let mut leaves = Leaves::new(run.clone());
        for leaf in run {
            let hash = leaves
                .next(&mut tiles)
                .map_err(|source| EvidenceError::tree(&tree, TreeError::Read(source)))?;
            let Some(hash) = hash else { break };
            match records.record_at(leaf) {
                Some(record) if record.leaf_hash() == hash => audit.record(record),
                Some(_) => {
                    audit.altered(hash);
                    let reason = "the erasure record differs from the logged one";
                    problems.add_record(ProblemKind::FalseRecord, leaf, reason);
                }
                None => {
                    let ranges = || map.runs(head.size).filter(move |(of, _)| *of == segment);
                    let ranges = || ranges().map(|(_, range)| range);
                    match cursor.next(leaf, hash, &records, ranges, &mut tiles, &mut problems)? {
                        LeafState::Intact => audit.line(hash),
                        LeafState::Missing => audit.erased(hash),
                        LeafState::Altered => audit.altered(hash),
                    }
                }
            }
            checks.check(&audit, &mut problems);
            if audit.size().is_multiple_of(LEAVES_BETWEEN_PROGRESS) {
                options.report_progress(audit.size(), head.size);
            }
        }
    }
    if audit.size() != head.size {
        return Err(unmapped());
    }
    options.report_progress(head.size, head.size);
    let not_covered = cursors.finish(folder, &mut problems)?;
    let report = audit.finish();
    for finding in report.findings() {
        add_finding(finding, &map, &mut problems);
    }
    problems.add_unlisted(report.unlisted());
    let foreign_checkpoints = checks.foreign;
    let (checkpoints, signed, witnessed) = checks.finish(report.size(), &mut problems);
    let adopted = map.backfill().filter(|(leaves, _)| *leaves > 0);
    let (problems, problems_unlisted) = problems.into_parts();
    Ok(Verification {
        leaves: report.size(),
        root: report.root(),
        lines: report.lines(),
        erased: report.erased(),
        records: report.records(),
        adopted: adopted.map(|(leaves, at)| Backfill { leaves, at }),
        not_covered,
        checkpoints,
        foreign_checkpoints,
        signed,
        witnessed,
        problems,
        problems_unlisted,
    })
}

fn add_finding(finding: &Finding, map: &SegmentMap, problems: &mut Problems) {
    let reason = finding.to_string();
    match *finding {
        // Added with its offset by the cursor.
        Finding::Altered { .. } => {}
        Finding::Missing { leaf, .. } => {
            problems.add_leaf(ProblemKind::Missing, map.segment_of(leaf), leaf, reason);
        }
        Finding::StillThere { leaf, .. } => {
            problems.add_leaf(ProblemKind::StillThere, map.segment_of(leaf), leaf, reason);
        }
        Finding::RecordNotLogged { leaf: place, .. }
        | Finding::RecordTooEarly { record: place, .. }
        | Finding::RecordOfOtherLine { record: place, .. }
        | Finding::RecordErased { record: place, .. } => {
            problems.add_record(ProblemKind::FalseRecord, place, reason);
        }
        _ => problems.add_record(ProblemKind::FalseRecord, 0, reason),
    }
}

/// One cursor for each segment of the map.
struct Cursors<'a> {
    map: &'a SegmentMap,
    segments: &'a [OpenSegment],
    /// The current segment, and its bytes whose lines are in the tree.
    current: Option<(SegmentName, u64)>,
    by_index: BTreeMap<usize, SegmentCursor<'a>>,
}

impl<'a> Cursors<'a> {
    fn new(
        map: &'a SegmentMap,
        segments: &'a [OpenSegment],
        current: Option<(SegmentName, u64)>,
    ) -> Self {
        Self { map, segments, current, by_index: BTreeMap::new() }
    }

    /// The cursor of the segment with this index in the map.
    fn of(&mut self, index: usize) -> &mut SegmentCursor<'a> {
        let (map, segments, current) = (self.map, self.segments, self.current);
        self.by_index.entry(index).or_insert_with(|| {
            let mapped = &map.segments()[index];
            let is_it = |segment: &&OpenSegment| segment.name == mapped.name && !mapped.removed;
            let end = current.filter(|(name, _)| *name == mapped.name).map(|(_, covered)| covered);
            SegmentCursor::new(mapped.name, segments.iter().find(is_it), end)
        })
    }

    /// Reports the lines that have no leaf. Returns the number of lines that are not in the tree yet.
    fn finish(mut self, folder: &Folder, problems: &mut Problems) -> Result<u64> {
        let mut not_covered = 0;
        for cursor in self.by_index.values_mut() {
            cursor.finish(problems)?;
        }
        let seen: BTreeSet<SegmentName> = self
            .by_index
            .keys()
            .map(|&index| &self.map.segments()[index])
            .filter(|mapped| !mapped.removed)
            .map(|mapped| mapped.name)
            .collect();
        for segment in self.segments {
            let current = self.current.filter(|(name, _)| *name == segment.name);
            if let Some((name, covered)) = current {
                not_covered += count_not_covered(folder, name, segment, covered)?;
            }
            // A segment without leaves has no cursor yet. How far it is covered is not trusted.
            if !seen.contains(&segment.name) {
                let end = current.map(|(_, covered)| covered);
                SegmentCursor::new(segment.name, Some(segment), end).finish(problems)?;
            }
        }
        Ok(not_covered)
    }
}
