//! Are the records of the tree authentic, and are their times possible?

use attestry_core::Timestamp;
use attestry_evidence::{ErasureRecord, LogKeys, SignedRecord, Statement};

use super::report::{ProblemKind, Problems};
use crate::tree::records::Records;
use crate::tree::segment_map::SegmentMap;

/// How far the clocks of this machine and of witnesses may differ.
pub(super) const CLOCK_TOLERANCE_MICROS: i64 = 10 * 60 * 1_000_000;

/// What is known about the tree besides its records.
pub(super) struct Known<'a> {
    /// `None` if signatures are not verified.
    pub(super) keys: Option<&'a LogKeys>,
    /// The size of the largest checkpoint that matches.
    pub(super) signed: u64,
    /// Sizes that a witness has seen, and when, ascending.
    pub(super) seen: &'a [(u64, Timestamp)],
    pub(super) map: &'a SegmentMap,
}

/// What the records are.
#[derive(Debug, Default)]
pub(super) struct RecordCounts {
    /// Those that are no erasures.
    pub(super) statements: u64,
    /// Erasure records without a signature that a checkpoint covers.
    pub(super) unsigned: u64,
    /// Records of an accepted contradiction.
    pub(super) accepted: u64,
}

/// Reports every record that is not authentic or has an impossible time.
pub(super) fn check(records: &Records, known: &Known<'_>, problems: &mut Problems) -> RecordCounts {
    let mut counts = RecordCounts::default();
    let times = Times::new(began(records, known), known.seen);
    for (leaf, record) in records.iter() {
        counts.statements += u64::from(record.erasure().is_none());
        match record.signed() {
            Some(record) => {
                if let Some(Err(error)) = known.keys.map(|keys| keys.check(leaf, record)) {
                    problems.add_record(ProblemKind::FalseRecord, leaf, error.to_string());
                } else if is_accepted(record) {
                    counts.accepted += 1;
                }
            }
            None if leaf < known.signed => counts.unsigned += 1,
            None => {
                let reason = "the erasure record is not signed, and no checkpoint covers it";
                problems.add_record(ProblemKind::FalseRecord, leaf, reason);
            }
        }
        if let Some(reason) = record.erasure().and_then(|erasure| times.impossible(leaf, erasure)) {
            problems.add_record(ProblemKind::FalseRecord, leaf, reason);
        }
    }
    counts
}

fn is_accepted(record: &SignedRecord) -> bool {
    matches!(record.statement(), Statement::Accepted { .. })
}

/// When the tree began, by its own records.
fn began(records: &Records, known: &Known<'_>) -> Option<Timestamp> {
    let adopted =
        records.iter().find_map(|(_, record)| match record.signed().map(SignedRecord::statement) {
            Some(Statement::Adopted { at, .. }) => Some(*at),
            _ => None,
        });
    adopted.or(known.map.backfill().map(|(_, at)| at))
}

/// What bounds the times of records.
struct Times {
    /// When the tree began, if that is known.
    began: Option<Timestamp>,
    /// Sizes that a witness has seen, ascending, each with the latest time up to it and the earliest from it on.
    seen: Vec<(u64, Timestamp, Timestamp)>,
}

impl Times {
    fn new(began: Option<Timestamp>, seen: &[(u64, Timestamp)]) -> Self {
        let mut seen: Vec<_> = seen.iter().map(|&(size, time)| (size, time, time)).collect();
        seen.sort_unstable();
        for at in 1..seen.len() {
            seen[at].1 = seen[at].1.max(seen[at - 1].1);
        }
        for at in (1..seen.len()).rev() {
            seen[at - 1].2 = seen[at - 1].2.min(seen[at].2);
        }
        Self { began, seen }
    }

    /// Why the record at `leaf` cannot have the time that it states.
    fn impossible(&self, leaf: u64, erasure: &ErasureRecord) -> Option<String> {
        let at = erasure.erased_at();
        let is_before = |one: Timestamp, other: Timestamp| {
            one.unix_micros().saturating_add(CLOCK_TOLERANCE_MICROS) < other.unix_micros()
        };
        if let Some(began) = self.began.filter(|&began| is_before(at, began)) {
            return Some(format!("the erasure is dated {at}, before the log began at {began}"));
        }
        let (without, with) =
            self.seen.split_at(self.seen.partition_point(|(size, ..)| *size <= leaf));
        let without = without.last().map(|(_, latest, _)| *latest);
        if let Some(seen) = without.filter(|&seen| is_before(at, seen)) {
            return Some(format!(
                "the erasure is dated {at}, but a witness saw the log without its record at {seen}"
            ));
        }
        let with = with.first().map(|(.., earliest)| *earliest);
        let seen = with.filter(|&seen| is_before(seen, at))?;
        Some(format!("the erasure is dated {at}, but a witness saw its record at {seen}"))
    }
}
