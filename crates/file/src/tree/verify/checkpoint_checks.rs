//! Compares the tree with checkpoints, stored and external ones.

use std::path::PathBuf;

use attestry_evidence::{Audit, Checkpoint, Cosignature, Hash, Mismatch, OpenError};

use super::options::VerifyOptions;
use super::report::{CosignedCheckpoint, Problems};
use crate::fs::layout::Folder;
use crate::tree::checkpoints::{Checkpoints, StoredNote, parse_unverified};
use crate::tree::error::{EvidenceError, Result};

/// Checkpoints in order of size.
pub(super) struct CheckpointChecks {
    checks: Vec<Check>,
    next: usize,
    /// Size of the largest that matches so far.
    matched: Option<u64>,
    witnessed: Option<CosignedCheckpoint>,
    signature_required: bool,
    cosignature_required: bool,
    /// How many have another origin.
    pub(super) foreign: u64,
}

struct Check {
    size: u64,
    root: Hash,
    origin: String,
    /// File and offset; `None` for an external one.
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

impl CheckpointChecks {
    /// Reads the stored checkpoints and verifies their signatures; a failure is a problem.
    pub(super) fn read(
        folder: &Folder,
        options: &VerifyOptions,
        problems: &mut Problems,
    ) -> Result<Self> {
        let mut checks: Vec<Check> =
            options.external.iter().map(|checkpoint| Check::new(checkpoint, None)).collect();
        let (mut cosignature_required, mut foreign) = (false, 0);
        let checkpoints = Checkpoints::of(folder);
        checkpoints
            .for_each(|note| {
                let place = Some((note.path.clone(), note.offset));
                match verify_note(&note, options) {
                    Ok(Some(check)) => checks.push(Check { place, ..check }),
                    Ok(None) => foreign += 1,
                    Err(Refused::TooFewWitnesses(check)) => {
                        cosignature_required = true;
                        checks.push(Check { place, ..check });
                    }
                    Err(Refused::Invalid(reason)) => problems.add_checkpoint(place, reason),
                }
            })
            .map_err(|source| EvidenceError::io("read", checkpoints.folder(), source))?;
        checks.sort_by_key(|check| check.size);
        Ok(Self {
            checks,
            next: 0,
            matched: None,
            witnessed: None,
            signature_required: options.policy.is_some(),
            cosignature_required,
            foreign,
        })
    }

    /// Compares the leaves so far with the checkpoints of that size.
    pub(super) fn check(&mut self, audit: &Audit, problems: &mut Problems) {
        while let Some(check) = self.checks.get(self.next)
            && check.size == audit.size()
        {
            self.next += 1;
            let checkpoint = Checkpoint::new(&*check.origin, check.size, check.root);
            let matches = checkpoint.is_ok_and(|checkpoint| audit.check(&checkpoint).is_ok());
            if !matches {
                let (size, expected, found) = (check.size, check.root, audit.root());
                let since = self.matched.unwrap_or(0);
                let reason = format!(
                    "{}{}; the change is behind leaf {since}",
                    if check.place.is_none() { "external checkpoint: " } else { "" },
                    Mismatch::Root { size, expected, found }
                );
                problems.add_checkpoint(check.place.clone(), reason);
                continue;
            }
            self.matched = Some(check.size);
            if !check.cosigned.is_empty() {
                let by = check.cosigned.clone();
                self.witnessed = Some(CosignedCheckpoint { leaves: check.size, by });
            }
        }
    }

    /// Reports checkpoints that are larger than the tree, and required ones that are missing. Returns
    /// how many there are, the size of the largest that matches, and the largest cosigned one.
    pub(super) fn finish(
        self,
        size: u64,
        problems: &mut Problems,
    ) -> (u64, Option<u64>, Option<CosignedCheckpoint>) {
        for check in &self.checks[self.next..] {
            let external = if check.place.is_none() { "external " } else { "" };
            let reason = format!(
                "the {external}checkpoint has {} leaves but the tree has {size}: leaves were removed",
                check.size
            );
            problems.add_checkpoint(check.place.clone(), reason);
        }
        if self.signature_required && size > 0 && self.checks.is_empty() {
            problems.add_checkpoint(None, "the store has no checkpoint of this log".to_owned());
        }
        if self.cosignature_required && self.witnessed.is_none() {
            let reason = "no matching checkpoint was cosigned by enough witnesses";
            problems.add_checkpoint(None, reason.to_owned());
        }
        (self.checks.len() as u64, self.matched, self.witnessed)
    }
}

enum Refused {
    /// Correctly signed, but cosigned by too few witnesses.
    TooFewWitnesses(Check),
    Invalid(String),
}

/// The checkpoint of a note, if its signatures satisfy the policy; `None` if it has another origin.
fn verify_note(
    note: &StoredNote,
    options: &VerifyOptions,
) -> std::result::Result<Option<Check>, Refused> {
    let invalid = || Refused::Invalid("the bytes here are not a checkpoint".to_owned());
    let unverified = parse_unverified(&note.text).ok_or_else(invalid)?;
    let Some(policy) = &options.policy else { return Ok(Some(Check::new(&unverified, None))) };
    if unverified.origin() != policy.origin() {
        return Ok(None);
    }
    match policy.open(&note.text) {
        Ok(opened) => {
            let cosigned = opened.cosignatures().to_vec();
            Ok(Some(Check { cosigned, ..Check::new(opened.checkpoint(), None) }))
        }
        Err(OpenError::TooFewWitnesses { .. }) => {
            Err(Refused::TooFewWitnesses(Check::new(&unverified, None)))
        }
        Err(error) => Err(Refused::Invalid(error.to_string())),
    }
}
