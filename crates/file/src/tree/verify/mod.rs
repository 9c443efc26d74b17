//! Verification of a whole store: is every logged line still there, in its place, or its erasure
//! recorded? Does the tree match its checkpoints?

mod checkpoint_checks;
mod diff;
mod located;
mod observation;
mod options;
mod record_checks;
mod report;
mod segment_cursor;
mod stored_hashes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use attestry_core::{StorageError, Timestamp};
use attestry_evidence::{Audit, Finding, Hash, Policy, TreeError};

use super::error::{EvidenceError, Result};
use super::line_hashes::LineHashes;
use super::records::Records;
use super::segment_map::{MappedSegment, SegmentMap};
use super::snapshot::{OpenSegment, TreeSnapshot, exclude_writers};
use super::tiles::{Leaves, Tiles};
use super::tree_head::TreeHead;
use crate::erase;
use crate::fs::epoch::{Epochs, Stamp};
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use checkpoint_checks::{CheckpointChecks, Compared};
use diff::LeafState;
use located::{Located, Locator};
use observation::Observations;
pub use observation::{Observation, ObservationKind};
pub use options::{VerifyOptions, VerifyProgress};
use record_checks::Known;
use report::Problems;
pub use report::{
    Backfill, CosignedCheckpoint, EvidenceProblem, NewestCheckpoint, ProblemKind, Verification,
};
use segment_cursor::{
    SegmentCursor, count_not_covered, count_not_covered_of_unknown, count_unterminated,
};
use stored_hashes::StoredHashes;

/// Passes without a lock. If problems remain, the last pass runs with writers excluded.
const UNLOCKED_PASSES: usize = 2;

const LEAVES_BETWEEN_PROGRESS: u64 = 1 << 14;

/// Leaves without their line that are looked for elsewhere.
const MAX_LOST: usize = 1 << 16;

/// Verifies the store in `folder`.
pub(crate) fn run(folder: &Folder, options: &VerifyOptions) -> Result<Verification> {
    match verify_unless_changing(folder, options) {
        Err(EvidenceError::NotKept { path }) if options.has_external() => {
            let reason = format!(
                "{} has no tree, but there was one: a checkpoint of it was given; the folder .attestry, or a \
                 part of it, was removed, or this is another folder",
                path.display()
            );
            Ok(Verification::without_tree(reason))
        }
        verified => verified,
    }
}

fn verify_unless_changing(folder: &Folder, options: &VerifyOptions) -> Result<Verification> {
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
    let mut policy = options.policy.clone();
    if let Some(policy) = &mut policy {
        policy.keys_mut().follow(TreeSnapshot::records(folder)?.signed());
    }
    // Before the snapshot: a checkpoint signed later may be larger than its tree.
    let mut checks = CheckpointChecks::read(folder, options, policy.as_ref(), &mut problems)?;
    let TreeSnapshot { head, map, records, mut tiles, segments, .. } = TreeSnapshot::full(folder)?;
    if let Some(policy) = &mut policy {
        policy.keys_mut().follow(records.signed());
    }
    let mut stored = StoredHashes::new(Tiles::new(folder.tree(), false));
    let tree = folder.tree();
    let unmapped = || EvidenceError::damaged(&tree.join("places"), "it does not map all leaves");
    let mut audit = Audit::new(records.iter().map(|(_, record)| record.clone()));
    let located = Locator {
        folder,
        map: &map,
        size: head.size,
        records: &records,
        tiles: &mut tiles,
        segments: &segments,
    };
    let located = located.locate()?;
    let mut cursors = Cursors::new(&map, &located, &head);
    let mut lost: HashMap<Hash, u64> = HashMap::new();
    checks.check(&audit);
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
                    let ranges = || map.ranges_of(segment, head.size);
                    let state =
                        cursor.next(leaf, hash, &records, ranges, &mut tiles, &mut problems)?;
                    if state != LeafState::Intact
                        && lost.len() < MAX_LOST
                        && !records.is_erased(leaf)
                    {
                        lost.insert(hash, leaf);
                    }
                    match state {
                        LeafState::Intact => audit.line(hash),
                        LeafState::Missing => audit.erased(hash),
                        LeafState::Altered => audit.altered(hash),
                    }
                }
            }
            checks.check(&audit);
            if audit.size().is_multiple_of(LEAVES_BETWEEN_PROGRESS) {
                options.report_progress(audit.size(), head.size);
                stored.check(audit.take_stored(), &mut problems)?;
            }
        }
    }
    if audit.size() != head.size {
        return Err(unmapped());
    }
    options.report_progress(head.size, head.size);
    stored.check(audit.take_stored(), &mut problems)?;
    let mut observations = Observations::default();
    let not_covered = cursors.finish(folder, &mut problems)?;
    let current_now = head.current.map(|name| located.name_now(name));
    let unterminated = count_unterminated(&segments, current_now)?;
    let ahead = checks.check_ahead(&audit, || cursors.lines_not_covered(folder))?;
    let found_elsewhere = problems.find_moved(&lost);
    let mut copied = ahead;
    for renamed in &located.renamed {
        if renamed.is_before_rotation() {
            copied += 1;
        } else if !renamed.is_rotation() {
            let reason = format!("the file has the lines of {}: it was renamed", renamed.from);
            problems.add_leaf(ProblemKind::Renamed, Some(renamed.to), None, reason);
        }
    }
    let report = audit.finish();
    for finding in report.findings() {
        add_finding(finding, &map, &records, &found_elsewhere, report.size(), &mut problems);
    }
    problems.add_unlisted(report.unlisted());
    let known = Known {
        keys: policy.as_ref().map(Policy::keys),
        signed: checks.matched_size().unwrap_or(0),
        seen: &checks.seen(),
        map: &map,
    };
    let counts = record_checks::check(&records, &known, &mut problems);
    let (foreign_checkpoints, ended) = (checks.foreign, checks.ended);
    let in_the_future = checks.cosigned_in_the_future();
    let Compared { checkpoints, signed, witnessed, newest } =
        checks.finish(report.size(), &mut problems);
    check_age(options, newest, &mut problems);
    let adopted = map.backfill().filter(|(leaves, _)| *leaves > 0);
    use ObservationKind as Kind;
    let empty = report.lines() == 0;
    let without_key = if policy.is_none() { checkpoints } else { 0 };
    for (kind, count, singular, plural) in [
        (Kind::Empty, u64::from(empty), "store without any line", "stores without any line"),
        (
            Kind::Adopted,
            adopted.map_or(0, |(leaves, _)| leaves),
            "line existed before the tree",
            "lines existed before the tree",
        ),
        (
            Kind::NotCovered,
            not_covered,
            "line is not in the tree yet",
            "lines are not in the tree yet",
        ),
        (
            Kind::Unterminated,
            unterminated,
            "sealed segment ends without a line break",
            "sealed segments end without a line break",
        ),
        (
            Kind::CopiedWhileWriting,
            copied,
            "file is older or newer than others: it was copied while the store was written",
            "files are older or newer than others: they were copied while the store was written",
        ),
        (
            Kind::Unsigned,
            report.size() - signed.unwrap_or(0).min(report.size()),
            "leaf is not covered by a checkpoint",
            "leaves are not covered by a checkpoint",
        ),
        (
            Kind::UnsignedRecord,
            counts.unsigned,
            "erasure record is not signed",
            "erasure records are not signed",
        ),
        (
            Kind::Accepted,
            counts.accepted,
            "contradiction was accepted by the owner",
            "contradictions were accepted by the owner",
        ),
        (
            Kind::FutureCosignature,
            in_the_future,
            "cosignature is dated in the future",
            "cosignatures are dated in the future",
        ),
        (
            Kind::EndedKey,
            ended,
            "checkpoint is of a key that was replaced or ended",
            "checkpoints are of keys that were replaced or ended",
        ),
        (
            Kind::ForeignCheckpoint,
            foreign_checkpoints,
            "checkpoint has another origin",
            "checkpoints have another origin",
        ),
        (
            Kind::NotVerified,
            without_key,
            "checkpoint whose signature was not verified",
            "checkpoints whose signatures were not verified",
        ),
    ] {
        observations.add(kind, count, singular, plural);
    }
    let (problems, problems_unlisted) = problems.into_parts();
    Ok(Verification {
        leaves: report.size(),
        root: report.root(),
        lines: report.lines(),
        erased: report.erased(),
        records: report.records(),
        statements: counts.statements,
        adopted: adopted.map(|(leaves, at)| Backfill { leaves, at }),
        not_covered,
        checkpoints,
        foreign_checkpoints,
        signed,
        witnessed,
        newest,
        observations: observations.into_vec(),
        problems,
        problems_unlisted,
    })
}

/// Reports a newest checkpoint that is too old, or that there is none.
fn check_age(options: &VerifyOptions, newest: Option<NewestCheckpoint>, problems: &mut Problems) {
    let Some(max_age) = options.max_age else { return };
    let reason = match newest {
        None => "there is no checkpoint that matches and has a time".to_owned(),
        Some(NewestCheckpoint { at, leaves, .. }) => {
            let expires = at.checked_add(max_age);
            if expires.is_none_or(|expires| Timestamp::now() <= expires) {
                return;
            }
            format!("the newest checkpoint, of {leaves} leaves, was signed at {at}")
        }
    };
    problems.add_checkpoint(ProblemKind::Outdated, None, reason);
}

fn add_finding(
    finding: &Finding,
    map: &SegmentMap,
    records: &Records,
    found_elsewhere: &BTreeSet<u64>,
    size: u64,
    problems: &mut Problems,
) {
    let reason = finding.to_string();
    match *finding {
        // Added with its offset by the cursor.
        Finding::Altered { .. } => {}
        Finding::Missing { leaf, count } => {
            // Those between lines that were moved; these are problems of their own.
            let end = leaf + count;
            let moved = found_elsewhere.range(leaf..end).copied().chain([end]);
            let mut first = leaf;
            for moved in moved {
                if first < moved {
                    let part = Finding::Missing { leaf: first, count: moved - first };
                    let mut reason = part.to_string();
                    if (moved..size).all(|leaf| records.record_at(leaf).is_some()) {
                        reason.push_str(
                            "; no line follows: the end was cut off, or this is a copy that was taken while \
                             the store was written, with the segments before .attestry",
                        );
                    }
                    let segment = map.segment_of(first);
                    problems.add_leaf(ProblemKind::Missing, segment, Some(first), reason);
                }
                first = moved + 1;
            }
        }
        Finding::StillThere { leaf, .. } => {
            let segment = map.segment_of(leaf);
            problems.add_leaf(ProblemKind::StillThere, segment, Some(leaf), reason);
        }
        Finding::RecordNotLogged { leaf: place, .. }
        | Finding::RecordTooEarly { record: place, .. }
        | Finding::RecordOfOtherLine { record: place, .. }
        | Finding::RecordOverlaps { record: place, .. }
        | Finding::RecordErased { record: place, .. } => {
            problems.add_record(ProblemKind::FalseRecord, place, reason);
        }
        _ => problems.add_record(ProblemKind::FalseRecord, 0, reason),
    }
}

/// One cursor for each segment of the map.
struct Cursors<'a> {
    map: &'a SegmentMap,
    located: &'a Located<'a>,
    head: &'a TreeHead,
    by_index: BTreeMap<usize, SegmentCursor<'a>>,
}

impl<'a> Cursors<'a> {
    fn new(map: &'a SegmentMap, located: &'a Located<'a>, head: &'a TreeHead) -> Self {
        Self { map, located, head, by_index: BTreeMap::new() }
    }

    /// The cursor of the segment with this index in the map.
    fn of(&mut self, index: usize) -> &mut SegmentCursor<'a> {
        let (map, located, head) = (self.map, self.located, self.head);
        self.by_index.entry(index).or_insert_with(|| {
            let mapped = &map.segments()[index];
            let file = located.file(index);
            let is_current = !mapped.removed && head.current == Some(mapped.name);
            let end = is_current.then_some(head.covered);
            SegmentCursor::new(file.map_or(mapped.name, |file| file.name), file, end)
        })
    }

    /// The file of the current segment.
    fn current(&self) -> Option<&'a OpenSegment> {
        let current = self.head.current?;
        let is_current = |mapped: &MappedSegment| !mapped.removed && mapped.name == current;
        let index = self.map.segments().iter().position(is_current)?;
        self.located.file(index)
    }

    /// The files that were begun after everything in the tree.
    fn begun_later(&self) -> impl Iterator<Item = &'a OpenSegment> {
        let located = self.located;
        let now = |mapped: &MappedSegment| match mapped.removed {
            true => mapped.name,
            false => located.name_now(mapped.name),
        };
        let newest = self.map.segments().iter().map(now).max();
        located.unknown.iter().copied().filter(move |file| Some(file.name) > newest)
    }

    /// Reports the lines that have no leaf. Returns the number of lines that are not in the tree yet.
    fn finish(&mut self, folder: &Folder, problems: &mut Problems) -> Result<u64> {
        // Those of segments without leaves, too. How far these are covered is not trusted.
        for index in 0..self.map.segments().len() {
            if self.located.file(index).is_some() {
                self.of(index);
            }
        }
        for cursor in self.by_index.values_mut() {
            cursor.finish(problems)?;
        }
        let mut not_covered = 0;
        if let (Some(file), Some(name)) = (self.current(), self.head.current) {
            not_covered += count_not_covered(folder, name, file, self.head.covered)?;
        }
        let later: BTreeSet<SegmentName> = self.begun_later().map(|file| file.name).collect();
        for file in &self.located.unknown {
            let is_current = self.head.current == Some(file.name);
            if is_current && !self.map.contains(file.name) {
                // The head says that its lines are in the tree; the map knows none.
                let covered = self.head.covered;
                SegmentCursor::new(file.name, Some(file), Some(covered)).finish(problems)?;
                not_covered += count_not_covered(folder, file.name, file, covered)?;
            } else if later.contains(&file.name) {
                not_covered += count_not_covered_of_unknown(folder, file, self.head)?;
            } else {
                SegmentCursor::new(file.name, Some(file), None).finish(problems)?;
            }
        }
        Ok(not_covered)
    }

    /// The lines that are not in the tree, in the order in which they will be.
    fn lines_not_covered(&self, folder: &Folder) -> Result<Vec<Hash>> {
        let current = self.current().map(|file| (file, self.head.covered));
        let later = self.begun_later().map(|file| (file, 0));
        let mut hashes = Vec::new();
        for (file, from) in current.into_iter().chain(later) {
            let path = folder.segment(file.name);
            let mut lines = LineHashes::new(&file.file, from, file.length);
            while let Some(line) =
                lines.next().map_err(|source| EvidenceError::io("read", &path, source))?
            {
                hashes.push(line.hash);
                if hashes.len() == MAX_LOST {
                    return Ok(hashes);
                }
            }
        }
        Ok(hashes)
    }
}
