//! The checkpoints that the tree is held against.

use std::path::PathBuf;

use attestry_evidence::{Audit, Checkpoint, Cosignature, Hash, Mismatch, OpenError};

use super::VerifyOptions;
use super::report::{CosignedCheckpoint, Problems};
use crate::fs::layout::Folder;
use crate::tree::EvidenceError;
use crate::tree::checkpoints::{Checkpoints, Stored};
use crate::tree::keeper::checkpoints_folder;

/// Checkpoints by their size, the smallest first, and how far they have been come to.
pub(super) struct Signed {
    checks: Vec<Check>,
    next: usize,
    /// The largest that holds.
    good: Option<u64>,
    witnessed: Option<CosignedCheckpoint>,
    /// Whether somebody must have signed, and cosigned.
    must_be_signed: bool,
    must_be_cosigned: bool,
    /// How many are of other logs.
    pub(super) foreign: u64,
}

struct Check {
    size: u64,
    root: Hash,
    origin: String,
    /// Where it stands; `None` where it was kept elsewhere.
    place: Option<(PathBuf, u64)>,
    cosigned: Vec<Cosignature>,
}

impl Check {
    fn new(checkpoint: &Checkpoint, place: Option<(PathBuf, u64)>) -> Self {
        let (size, root) = (checkpoint.size(), checkpoint.root());
        let origin = checkpoint.origin().to_owned();
        Self { size, root, origin, place, cosigned: Vec::new() }
    }
}

impl Signed {
    /// Those of the store, and those that were kept elsewhere. What is not genuine is a problem.
    pub(super) fn gather(
        folder: &Folder,
        options: &VerifyOptions,
        problems: &mut Problems,
    ) -> Result<Self, EvidenceError> {
        let mut checks: Vec<Check> =
            options.kept.iter().map(|kept| Check::new(kept, None)).collect();
        let (mut must_be_cosigned, mut foreign) = (false, 0);
        let path = checkpoints_folder(folder);
        let checkpoints = Checkpoints::new(path.clone());
        checkpoints
            .for_each(|note| {
                let place = Some((note.path.clone(), note.offset));
                match genuine(&note, options) {
                    Ok(Some(check)) => checks.push(Check { place, ..check }),
                    Ok(None) => foreign += 1,
                    Err(Refused::NotCosigned(check)) => {
                        must_be_cosigned = true;
                        checks.push(Check { place, ..check });
                    }
                    Err(Refused::Because(reason)) => problems.of_checkpoint(place, reason),
                }
            })
            .map_err(|source| EvidenceError::io("read", &path, source))?;
        checks.sort_by_key(|check| check.size);
        let must_be_signed = options.policy.is_some();
        let (next, good, witnessed) = (0, None, None);
        Ok(Self { checks, next, good, witnessed, must_be_signed, must_be_cosigned, foreign })
    }

    /// Holds the leaves that have come against the checkpoints of that size.
    pub(super) fn check(&mut self, audit: &Audit, problems: &mut Problems) {
        while let Some(check) = self.checks.get(self.next)
            && check.size == audit.size()
        {
            self.next += 1;
            let checkpoint = Checkpoint::new(&*check.origin, check.size, check.root);
            let holds = checkpoint.is_ok_and(|checkpoint| audit.check(&checkpoint).is_ok());
            if !holds {
                let (size, expected, found) = (check.size, check.root, audit.root());
                let since = self.good.unwrap_or(0);
                let reason = format!(
                    "{}{}; the change lies behind leaf {since}",
                    if check.place.is_none() { "of the checkpoint that was kept: " } else { "" },
                    Mismatch::Root { size, expected, found }
                );
                problems.of_checkpoint(check.place.clone(), reason);
                continue;
            }
            self.good = Some(check.size);
            if !check.cosigned.is_empty() {
                let by = check.cosigned.clone();
                self.witnessed = Some(CosignedCheckpoint { leaves: check.size, by });
            }
        }
    }

    /// Names the checkpoints that are of more leaves than there are. Returns how many there were,
    /// the largest that holds, and the largest that was cosigned.
    pub(super) fn finish(
        self,
        size: u64,
        problems: &mut Problems,
    ) -> (u64, Option<u64>, Option<CosignedCheckpoint>) {
        for check in &self.checks[self.next..] {
            let kept = if check.place.is_none() { " that was kept" } else { "" };
            let reason = format!(
                "the checkpoint{kept} is of {} leaves, and the tree has {size}: leaves were dropped",
                check.size
            );
            problems.of_checkpoint(check.place.clone(), reason);
        }
        if self.must_be_signed && size > 0 && self.checks.is_empty() {
            problems.of_checkpoint(None, "no checkpoint of this log is there".to_owned());
        }
        if self.must_be_cosigned && self.witnessed.is_none() {
            let reason = "no checkpoint that holds was cosigned by enough witnesses";
            problems.of_checkpoint(None, reason.to_owned());
        }
        (self.checks.len() as u64, self.good, self.witnessed)
    }
}

enum Refused {
    /// It is genuine, but not cosigned by enough witnesses.
    NotCosigned(Check),
    Because(String),
}

/// What a note says, if it is to be believed; nothing where it is of another log.
fn genuine(note: &Stored, options: &VerifyOptions) -> Result<Option<Check>, Refused> {
    let none = || Refused::Because("what stands there is no checkpoint".to_owned());
    let unproven = note.unproven().ok_or_else(none)?;
    let Some(policy) = &options.policy else { return Ok(Some(Check::new(&unproven, None))) };
    if unproven.origin() != policy.origin() {
        return Ok(None);
    }
    match policy.open(&note.text) {
        Ok(opened) => {
            let cosigned = opened.cosignatures().to_vec();
            Ok(Some(Check { cosigned, ..Check::new(opened.checkpoint(), None) }))
        }
        Err(OpenError::TooFewWitnesses { .. }) => {
            Err(Refused::NotCosigned(Check::new(&unproven, None)))
        }
        Err(error) => Err(Refused::Because(error.to_string())),
    }
}
