//! Going through a whole store: is every line that was logged still there, where it was, or its
//! erasure on record? Is the tree the one that was signed?

mod align;
mod cursor;
mod report;
mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use attestry_core::StorageError;
use attestry_evidence::{Audit, Checkpoint, Finding, OpenedCheckpoint, Policy};

use super::EvidenceError;
use super::places::Places;
use super::tiles::Leaves;
use super::view::{OpenSegment, View, keep_writers_out};
use crate::erase;
use crate::fs::epoch::{Epochs, Stamp};
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use cursor::{Found, SegmentCursor};
use report::Problems;
pub use report::{Backfill, CosignedCheckpoint, EvidenceProblem, ProblemKind, Verification};
use signed::Signed;

/// What looks wrong is looked at so often beside writers, who are kept from nothing; then once more
/// while they wait.
const LOOKS_BESIDE_WRITERS: usize = 2;

/// How often progress is told.
const LEAVES_BETWEEN_TOLD: u64 = 1 << 14;

/// What a store is held against; for [`FileStorage::verify`](crate::FileStorage::verify).
///
/// Without a [`policy`](Self::policy) nothing is known about who signed the store's checkpoints,
/// and only whether the store agrees with itself is looked at.
#[derive(Clone, Default)]
#[must_use = "it has to be given to a store"]
pub struct VerifyOptions {
    policy: Option<Policy>,
    kept: Vec<Checkpoint>,
    progress: Option<Arc<dyn Fn(VerifyProgress) + Send + Sync>>,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Leaves that were gone through.
    pub leaves: u64,
    /// How many there are.
    pub leaves_total: u64,
}

impl VerifyOptions {
    /// Holds the store against itself only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whose signatures count. The store's checkpoints of this log must be signed with its key, and
    /// there must be one, if there is anything to be signed. Where the policy asks for witnesses,
    /// one must be cosigned by enough of them.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Holds the store against a checkpoint that was kept elsewhere, too. This is what finds a store
    /// that was replaced by an older copy of itself, or rewritten by somebody who has the key.
    pub fn against(mut self, checkpoint: &OpenedCheckpoint) -> Self {
        self.kept.push(checkpoint.checkpoint().clone());
        self
    }

    /// Calls `tell` now and then with how far it has come, and at the end.
    pub fn on_progress(mut self, tell: impl Fn(VerifyProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    fn tell(&self, leaves: u64, leaves_total: u64) {
        if let Some(tell) = &self.progress {
            tell(VerifyProgress { leaves, leaves_total });
        }
    }
}

impl fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("policy", &self.policy)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// Goes through the store in `folder`.
pub(crate) fn run(folder: &Folder, options: &VerifyOptions) -> Result<Verification, EvidenceError> {
    for _ in 0..LOOKS_BESIDE_WRITERS {
        let before = doings(folder)?;
        let found = pass(folder, options)?;
        if found.is_clean() || (before.1 == 0 && before == doings(folder)?) {
            return Ok(found);
        }
    }
    let _lock = keep_writers_out(folder);
    pass(folder, options)
}

/// What changes while lines are erased or segments renamed: the counters, and how much is being
/// erased.
fn doings(folder: &Folder) -> Result<(Epochs, usize), StorageError> {
    let plan = erase::pending(folder)?;
    Ok((Stamp::read(folder)?.epochs, plan.lines.len() + plan.segments.len()))
}

fn pass(folder: &Folder, options: &VerifyOptions) -> Result<Verification, EvidenceError> {
    let mut problems = Problems::new(folder.clone());
    // First: a checkpoint signed later may be of more leaves than are looked at.
    let mut signed = Signed::gather(folder, options, &mut problems)?;
    let View { head, places, erased, mut tiles, segments, .. } = View::of_all(folder)?;
    let tree = folder.tree();
    let mut audit = Audit::new(erased.records().cloned());
    let mut cursors = Cursors::new(&places, &segments, head.current.zip(Some(head.covered)));
    signed.check(&audit, &mut problems);
    for (place, run) in places.runs(head.size) {
        if run.start != audit.size() {
            return Err(EvidenceError::damaged(&tree.join("places"), "leaves belong nowhere"));
        }
        let cursor = cursors.of(place);
        let mut leaves = Leaves::new(run.start, run.end);
        for leaf in run {
            let hash = leaves.next(&mut tiles).map_err(|source| {
                EvidenceError::tree(&tree, attestry_evidence::TreeError::Read(source))
            })?;
            let Some(hash) = hash else { break };
            match erased.record_at(leaf) {
                Some(record) if record.leaf_hash() == hash => audit.record(record),
                Some(_) => {
                    audit.altered(hash);
                    problems.of_leaf(
                        ProblemKind::FalseRecord,
                        leaf,
                        "the erasure record is not the one that was logged",
                    );
                }
                None => {
                    let rest = || places.runs(head.size).filter(move |(of, _)| *of == place);
                    let found =
                        cursor.next(leaf, hash, &erased, rest, &mut tiles, &mut problems)?;
                    match found {
                        Found::Line => audit.line(hash),
                        Found::Gone => audit.erased(hash),
                        Found::Altered => audit.altered(hash),
                    }
                }
            }
            signed.check(&audit, &mut problems);
            if audit.size().is_multiple_of(LEAVES_BETWEEN_TOLD) {
                options.tell(audit.size(), head.size);
            }
        }
    }
    if audit.size() != head.size {
        return Err(EvidenceError::damaged(&tree.join("places"), "leaves belong nowhere"));
    }
    options.tell(head.size, head.size);
    let not_covered = cursors.finish(folder, &mut problems)?;
    let report = audit.finish();
    for finding in report.findings() {
        let reason = finding.to_string();
        match *finding {
            // Told with its place before.
            Finding::Altered { .. } => {}
            Finding::Missing { leaf, .. } => {
                let name = places.segment_of(leaf);
                problems.of_leaves(ProblemKind::Missing, name, leaf, reason);
            }
            Finding::StillThere { leaf, .. } => {
                let name = places.segment_of(leaf);
                problems.of_leaves(ProblemKind::StillThere, name, leaf, reason);
            }
            Finding::RecordNotLogged { leaf: place, .. }
            | Finding::RecordTooEarly { place, .. }
            | Finding::RecordOfOtherLine { place, .. }
            | Finding::RecordErased { place, .. } => {
                problems.of_leaf(ProblemKind::FalseRecord, place, reason);
            }
            _ => problems.of_leaf(ProblemKind::FalseRecord, 0, reason),
        }
    }
    problems.unlisted(report.unlisted());
    let foreign_checkpoints = signed.foreign;
    let (checkpoints, signed, witnessed) = signed.finish(report.size(), &mut problems);
    let adopted = places.adopted().filter(|(leaves, _)| *leaves > 0);
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

/// Where each segment's lines were read up to.
struct Cursors<'a> {
    places: &'a Places,
    segments: &'a [OpenSegment],
    /// The segment that grows, and up to where the tree has it.
    current: Option<(SegmentName, u64)>,
    by_place: BTreeMap<usize, SegmentCursor<'a>>,
}

impl<'a> Cursors<'a> {
    fn new(
        places: &'a Places,
        segments: &'a [OpenSegment],
        current: Option<(SegmentName, u64)>,
    ) -> Self {
        Self { places, segments, current, by_place: BTreeMap::new() }
    }

    /// The cursor of the segment with this number among the places.
    fn of(&mut self, place: usize) -> &mut SegmentCursor<'a> {
        let (places, segments, current) = (self.places, self.segments, self.current);
        self.by_place.entry(place).or_insert_with(|| {
            let place = &places.all()[place];
            let there = |segment: &&OpenSegment| segment.name == place.name && !place.gone;
            let end = current.filter(|(name, _)| *name == place.name).map(|(_, covered)| covered);
            SegmentCursor::new(place.name, segments.iter().find(there), end)
        })
    }

    /// Goes through what lines are left, which no leaf stands for; returns how many of them may just
    /// not be in the tree yet.
    fn finish(mut self, folder: &Folder, problems: &mut Problems) -> Result<u64, EvidenceError> {
        let mut not_covered = 0;
        for cursor in self.by_place.values_mut() {
            cursor.finish(problems)?;
        }
        let seen: BTreeSet<SegmentName> = self
            .by_place
            .keys()
            .map(|&place| &self.places.all()[place])
            .filter(|place| !place.gone)
            .map(|place| place.name)
            .collect();
        for segment in self.segments {
            let current = self.current.filter(|(name, _)| *name == segment.name);
            if let Some((name, covered)) = current {
                not_covered += cursor::not_covered(folder, name, segment, covered)?;
            }
            // No leaf stands for any of its lines, whatever is said of how far it is covered.
            if !seen.contains(&segment.name) {
                let end = current.map(|(_, covered)| covered);
                SegmentCursor::new(segment.name, Some(segment), end).finish(problems)?;
            }
        }
        Ok(not_covered)
    }
}
