//! Compares the tree with checkpoints, stored and external ones.

use std::fs;
use std::path::Path;

use attestry_core::Timestamp;
use attestry_evidence::{Audit, Checkpoint, Cosignature, Hash, Mismatch, OpenError, Policy};

use super::options::VerifyOptions;
use super::record_checks::CLOCK_TOLERANCE_MICROS;
use super::report::{CosignedCheckpoint, NewestCheckpoint, Place, ProblemKind, Problems};
use crate::fs::layout::Folder;
use crate::tree::checkpoints::{Checkpoints, StoredNote, parse_unverified};
use crate::tree::error::Result;

/// Checkpoints in order of size.
pub(super) struct CheckpointChecks {
    checks: Vec<Check>,
    next: usize,
    /// The largest that matches so far: index into `checks`.
    matched: Option<usize>,
    witnessed: Option<CosignedCheckpoint>,
    /// Those that do not match, with the root of the tree at that size, and the largest size before that
    /// matches.
    mismatched: Vec<(usize, Hash, u64)>,
    signature_required: bool,
    cosignature_required: bool,
    /// How many have another origin.
    pub(super) foreign: u64,
    /// How many are of a key that was replaced or ended before.
    pub(super) ended: u64,
}

struct Check {
    size: u64,
    root: Hash,
    origin: String,
    /// File and offset; `None` for an external one.
    place: Place,
    cosigned: Vec<Cosignature>,
    /// Its signature counts; or signatures are not verified.
    counts: bool,
    /// Too few witnesses of the policy have cosigned it.
    lacks_witnesses: bool,
    /// It is of the tree together with lines that are not in it yet.
    ahead: bool,
}

impl Check {
    fn new(checkpoint: &Checkpoint, place: Place) -> Self {
        let (size, root) = (checkpoint.size(), checkpoint.root());
        let origin = checkpoint.origin().to_owned();
        let (cosigned, counts, lacks_witnesses, ahead) = (Vec::new(), true, false, false);
        Self { size, root, origin, place, cosigned, counts, lacks_witnesses, ahead }
    }

    fn external(&self) -> &'static str {
        if self.place.is_none() { "external " } else { "" }
    }
}

/// What the comparison has found.
pub(super) struct Compared {
    /// How many checkpoints there are.
    pub(super) checkpoints: u64,
    /// The size of the largest that matches and whose signature counts.
    pub(super) signed: Option<u64>,
    pub(super) witnessed: Option<CosignedCheckpoint>,
    pub(super) newest: Option<NewestCheckpoint>,
}

impl CheckpointChecks {
    /// Reads the stored checkpoints and verifies their signatures; a failure is a problem.
    pub(super) fn read(
        folder: &Folder,
        options: &VerifyOptions,
        policy: Option<&Policy>,
        problems: &mut Problems,
    ) -> Result<Self> {
        let mut checks: Vec<Check> =
            options.external.iter().map(|checkpoint| Check::new(checkpoint, None)).collect();
        let (mut cosignature_required, mut foreign) = (false, 0);
        let mut add = |text: &str, place: Place| match verify_note(text, policy) {
            Ok(Some(check)) => {
                cosignature_required |= check.lacks_witnesses;
                checks.push(Check { place, ..check });
            }
            Ok(None) if place.is_some() => foreign += 1,
            Ok(None) => problems.add_checkpoint(
                ProblemKind::Checkpoint,
                place,
                "external checkpoint: it is of another log".to_owned(),
            ),
            Err(reason) => {
                problems.add_checkpoint(ProblemKind::Checkpoint, place, reason);
            }
        };
        options.external_notes.iter().for_each(|note| add(note.as_str(), None));
        Checkpoints::of(folder)
            .for_each(|StoredNote { path, offset, text }| add(&text, Some((path, offset))))?;
        checks.sort_by_key(|check| check.size);
        Ok(Self {
            checks,
            next: 0,
            matched: None,
            witnessed: None,
            mismatched: Vec::new(),
            signature_required: policy.is_some(),
            cosignature_required,
            foreign,
            ended: 0,
        })
    }

    /// Compares the leaves so far with the checkpoints of that size.
    pub(super) fn check(&mut self, audit: &Audit) {
        while let Some(check) = self.checks.get(self.next)
            && check.size == audit.size()
        {
            let index = self.next;
            self.next += 1;
            let checkpoint = Checkpoint::new(&*check.origin, check.size, check.root);
            let matches = checkpoint.is_ok_and(|checkpoint| audit.check(&checkpoint).is_ok());
            if !matches {
                self.mismatched.push((index, audit.root(), self.matched_size().unwrap_or(0)));
            } else if !check.counts {
                self.ended += 1;
            } else {
                self.matched = Some(index);
                if !check.cosigned.is_empty() {
                    let by = check.cosigned.clone();
                    self.witnessed = Some(CosignedCheckpoint { leaves: check.size, by });
                }
            }
        }
    }

    /// Compares the checkpoints that are larger than the tree with the tree and the lines that are not in it yet:
    /// the files of the tree may have been copied before the others. Returns how many match.
    pub(super) fn check_ahead(
        &mut self,
        audit: &Audit,
        lines: impl FnOnce() -> Result<Vec<Hash>>,
    ) -> Result<u64> {
        if self.next == self.checks.len() {
            return Ok(0);
        }
        let mut audit = audit.clone();
        let mut next = self.next;
        let mut matching = 0;
        for hash in lines()? {
            audit.line(hash);
            drop(audit.take_stored());
            while let Some(check) =
                self.checks.get_mut(next).filter(|check| check.size <= audit.size())
            {
                check.ahead = check.size == audit.size() && check.root == audit.root();
                matching += u64::from(check.ahead);
                next += 1;
            }
        }
        Ok(matching)
    }

    /// The size of the largest checkpoint that matches so far.
    pub(super) fn matched_size(&self) -> Option<u64> {
        self.matched.map(|index| self.checks[index].size)
    }

    /// Sizes that a witness has seen, and when.
    pub(super) fn seen(&self) -> Vec<(u64, Timestamp)> {
        let of = |check: &Check| {
            let size = check.size;
            check.cosigned.iter().map(move |by| (size, by.time())).collect::<Vec<_>>()
        };
        self.checks.iter().flat_map(of).collect()
    }

    /// How many cosignatures of known witnesses are dated later than the clock of this machine permits.
    pub(super) fn cosigned_in_the_future(&self) -> u64 {
        let latest = latest_time();
        let cosigned = self.checks.iter().flat_map(|check| &check.cosigned);
        cosigned.filter(|by| by.time().unix_micros() > latest).count() as u64
    }

    /// Reports checkpoints that do not match or are larger than the tree, and required ones that are
    /// missing.
    pub(super) fn finish(self, size: u64, problems: &mut Problems) -> Compared {
        let signed = self.matched_size();
        for &(index, found, since) in &self.mismatched {
            let check = &self.checks[index];
            let (kind, reason) = self.mismatch(check, found, since, signed);
            problems.add_checkpoint(kind, check.place.clone(), reason);
        }
        for check in self.checks[self.next..].iter().filter(|check| !check.ahead) {
            let reason = format!(
                "the {}checkpoint has {} leaves but the tree has {size}: leaves were removed, or the files \
                 of the tree are a copy that was taken while the store was written",
                check.external(),
                check.size
            );
            problems.add_checkpoint(ProblemKind::Checkpoint, check.place.clone(), reason);
        }
        let mut missing = |reason: &str| {
            problems.add_checkpoint(ProblemKind::Checkpoint, None, reason.to_owned());
        };
        if self.signature_required && size > 0 && self.checks.is_empty() {
            missing("the store has no checkpoint of this log");
        }
        if self.cosignature_required && self.witnessed.is_none() {
            missing("no matching checkpoint was cosigned by enough witnesses");
        }
        let newest = self.matched.and_then(|index| newest(&self.checks[index]));
        let checkpoints = self.checks.len() as u64;
        Compared { checkpoints, signed, witnessed: self.witnessed, newest }
    }

    /// What a checkpoint that does not match means. If the key has also signed a checkpoint that matches and
    /// covers as much, it has signed two histories.
    fn mismatch(
        &self,
        check: &Check,
        found: Hash,
        since: u64,
        signed: Option<u64>,
    ) -> (ProblemKind, String) {
        let (size, expected) = (check.size, check.root);
        if let Some(signed) = signed.filter(|&signed| signed >= size && self.signature_required) {
            let reason = format!(
                "fork: the log's key has signed two histories: this {}checkpoint of {size} leaves with root \
                 {expected}, and one of {signed} leaves of which the first {size} have root {found}; they \
                 differ behind leaf {since}",
                check.external()
            );
            return (ProblemKind::Fork, reason);
        }
        let prefix = if check.place.is_none() { "external checkpoint: " } else { "" };
        let mismatch = Mismatch::Root { size, expected, found };
        (ProblemKind::Checkpoint, format!("{prefix}{mismatch}; the change is behind leaf {since}"))
    }
}

/// When the checkpoint was signed: by the clock of a witness, or else when its file was written last.
fn newest(check: &Check) -> Option<NewestCheckpoint> {
    let leaves = check.size;
    let latest = latest_time();
    // One in the future would make the checkpoint new for ever.
    let times =
        check.cosigned.iter().map(Cosignature::time).filter(|at| at.unix_micros() <= latest);
    if let Some(at) = times.max() {
        return Some(NewestCheckpoint { leaves, at, witnessed: true });
    }
    let at = modified(&check.place.as_ref()?.0)?;
    Some(NewestCheckpoint { leaves, at, witnessed: false })
}

/// The latest time that is not in the future, in microseconds since 1970.
fn latest_time() -> i64 {
    Timestamp::now().unix_micros().saturating_add(CLOCK_TOLERANCE_MICROS)
}

fn modified(path: &Path) -> Option<Timestamp> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since)
}

/// The checkpoint of a note, if its signatures satisfy the policy; `None` if it has another origin.
fn verify_note(text: &str, policy: Option<&Policy>) -> std::result::Result<Option<Check>, String> {
    let invalid = || "the bytes here are not a checkpoint".to_owned();
    let unverified = parse_unverified(text).ok_or_else(invalid)?;
    let Some(policy) = policy else { return Ok(Some(Check::new(&unverified, None))) };
    if unverified.origin() != policy.origin() {
        return Ok(None);
    }
    match policy.open(text) {
        Ok(opened) => {
            let cosigned = opened.cosignatures().to_vec();
            Ok(Some(Check { cosigned, ..Check::new(opened.checkpoint(), None) }))
        }
        Err(OpenError::TooFewWitnesses { .. } | OpenError::NoQuorum { .. }) => {
            Ok(Some(Check { lacks_witnesses: true, ..Check::new(&unverified, None) }))
        }
        Err(OpenError::NotInForce { .. }) => {
            Ok(Some(Check { counts: false, ..Check::new(&unverified, None) }))
        }
        Err(error) => Err(error.to_string()),
    }
}
