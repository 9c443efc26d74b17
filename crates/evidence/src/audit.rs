//! Auditing a whole log: rebuilds the tree for comparison with signed checkpoints, and matches missing
//! lines with erasure records.

mod report;

use std::collections::HashMap;

pub use report::{AuditReport, Finding, Mismatch};

use crate::{Checkpoint, ErasureRecord, Hash, Record, StoredHash, Tree};

/// Rebuilds the tree of a log leaf by leaf, in log order, and matches erased leaves with erasure records.
///
/// The caller reads the log and reports each leaf: [`line`](Self::line), [`erased`](Self::erased),
/// [`record`](Self::record), or [`altered`](Self::altered) if the line does not match the stored leaf
/// hash. When [`size`](Self::size) is that of a checkpoint, [`check`](Self::check) compares the two.
/// [`finish`](Self::finish) returns all other findings.
///
/// The stored hashes of erased lines need not be trusted: a wrong hash leads to a wrong root.
///
/// ```
/// use attestry_evidence::{
///     Audit, ErasureRecord, Finding, Policy, Record, SignedRecord, SigningKey, Statement, Tree, line_hash,
/// };
///
/// # let key = SigningKey::from_seed("example.com/log", &[7; 32])?;
/// // Two entries; the first is erased, which is recorded; then the log is signed.
/// let (first, second) = (line_hash(b"{\"id\": \"a\"}")?, line_hash(b"{\"id\": \"b\"}")?);
/// let at = "2026-01-28".parse()?;
/// let record = Statement::Erasure(ErasureRecord::new(0, 1, first, at, "Art. 17 GDPR", "dpo@example.com")?);
/// let record: Record = SignedRecord::sign("example.com/log", &record, &[&key])?.into();
/// let mut tree = Tree::new();
/// tree.extend([first, second, record.leaf_hash()]);
/// let opened = Policy::new(key.public()).open(&key.sign(3, tree.root()))?;
///
/// // Later, an auditor reads the log.
/// let mut audit = Audit::new([record.clone()]);
/// audit.erased(first);
/// audit.line(second);
/// audit.record(&record);
/// audit.check(opened.checkpoint())?;
/// assert!(audit.finish().is_clean());
///
/// // If the second line is missing too, without a record:
/// let mut audit = Audit::new([record.clone()]);
/// audit.erased(first);
/// audit.erased(second);
/// audit.record(&record);
/// assert_eq!(audit.finish().findings(), [Finding::Missing { leaf: 1, count: 1 }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Audit {
    tree: Tree,
    /// The announced records, by their first erased leaf.
    claims: Vec<Claim>,
    /// Indexes of claims by the leaf hash of their record.
    by_hash: HashMap<Hash, usize>,
    /// The first claim about later leaves.
    next: usize,
    /// The claims that cover the last leaf, at most [`MAX_OVERLAPPING`].
    open: Vec<OpenClaim>,
    report: AuditReport,
    /// Hashes above the leaves, since they were last taken.
    stored: Vec<StoredHash>,
}

#[derive(Debug, Clone)]
struct Claim {
    leaf_hash: Hash,
    record: ErasureRecord,
    /// The leaf index of the record itself.
    position: Option<u64>,
    /// The root of the covered leaves, once all were added.
    found: Option<Hash>,
    covers_record: bool,
    /// Too many others cover its first leaf.
    overlaps: bool,
}

/// How many records may cover a leaf. A log has one for each erased leaf, and a second one where a crash came
/// between the record and the note that it was written.
const MAX_OVERLAPPING: usize = 8;

#[derive(Debug, Clone)]
struct OpenClaim {
    claim: usize,
    /// The covered leaves added so far.
    leaves: Tree,
}

impl Audit {
    /// An audit of a log with these records, in any order. They are needed in advance, and are not trusted
    /// until [`record`](Self::record) finds them in the tree. Signatures are not verified here:
    /// [`LogKeys::check`](crate::LogKeys::check) does.
    ///
    /// Uses memory per record, but not per entry. Of records that cover the same leaf, eight are compared
    /// with it; any other is a [finding](Finding::RecordOverlaps).
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = Record>) -> Self {
        let claim = |record: Record| {
            let leaf_hash = record.leaf_hash();
            let record = record.erasure()?.clone();
            let (position, found, covers_record, overlaps) = (None, None, false, false);
            Some(Claim { leaf_hash, record, position, found, covers_record, overlaps })
        };
        let mut claims: Vec<Claim> = records.into_iter().filter_map(claim).collect();
        claims.sort_by_key(|claim| (claim.record.leaf(), claim.leaf_hash));
        claims.dedup_by(|a, b| a.leaf_hash == b.leaf_hash);
        let hashes = claims.iter().map(|claim| claim.leaf_hash);
        let by_hash = hashes.enumerate().map(|(index, hash)| (hash, index)).collect();
        let (report, open, stored) = (AuditReport::new(), Vec::new(), Vec::new());
        Self { tree: Tree::new(), claims, by_hash, next: 0, open, report, stored }
    }

    /// Takes the hashes above the leaves that the leaves added since the last call have made final: what
    /// [`Tree::push_with`] passes to its callback, except the leaves. One for every 256 leaves, and a few
    /// above. Take them now and then: they are kept in memory until then.
    pub fn take_stored(&mut self) -> Vec<StoredHash> {
        std::mem::take(&mut self.stored)
    }

    /// The number of leaves added.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of the leaves added.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Adds an entry whose line is present and has this hash.
    pub fn line(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        self.report.lines += 1;
        if !self.open.is_empty() {
            self.report.add(Finding::StillThere { leaf, count: 1 });
        }
    }

    /// Adds a leaf whose line is missing; `hash` is its stored leaf hash.
    pub fn erased(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        if self.open.is_empty() {
            self.report.add(Finding::Missing { leaf, count: 1 });
        } else {
            self.report.erased += 1;
        }
    }

    /// Adds a leaf whose line is not the logged one; `hash` is the stored leaf hash. Without a stored hash,
    /// use [`line`](Self::line): an altered line then leads to a wrong root.
    pub fn altered(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        self.report.add(Finding::Altered { leaf, count: 1 });
    }

    /// Adds a record.
    pub fn record(&mut self, record: &Record) {
        let hash = record.leaf_hash();
        let position = self.push(hash);
        self.report.records += u64::from(record.erasure().is_some());
        for open in &self.open {
            self.claims[open.claim].covers_record = true;
        }
        if let Some(claim) = self.by_hash.get(&hash) {
            self.claims[*claim].position.get_or_insert(position);
        }
    }

    /// Appends a leaf and returns its index. Afterwards, `open` has the claims that cover it.
    fn push(&mut self, hash: Hash) -> u64 {
        let leaf = self.tree.size();
        let stored = &mut self.stored;
        self.tree.push_with(hash, |hash| {
            if hash.level > 0 {
                stored.push(hash);
            }
        });
        let claims = &mut self.claims;
        self.open.retain(|open| claims[open.claim].found.is_none());
        while claims.get(self.next).is_some_and(|claim| claim.record.leaf() == leaf) {
            if self.open.len() < MAX_OVERLAPPING {
                self.open.push(OpenClaim { claim: self.next, leaves: Tree::new() });
            } else {
                claims[self.next].overlaps = true;
            }
            self.next += 1;
        }
        for open in &mut self.open {
            open.leaves.push(hash);
            let claim = &mut claims[open.claim];
            if open.leaves.size() == claim.record.count() {
                claim.found = Some(open.leaves.root());
            }
        }
        leaf
    }

    /// Checks that the leaves added are those of this checkpoint: none altered, inserted, dropped or
    /// moved.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Size`] when the numbers of leaves differ, [`Mismatch::Root`] when the leaves differ.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), Mismatch> {
        let (size, found) = (self.size(), self.root());
        if checkpoint.size() != size {
            return Err(Mismatch::Size { checkpoint: checkpoint.size(), found: size });
        }
        let expected = checkpoint.root();
        if expected == found { Ok(()) } else { Err(Mismatch::Root { size, expected, found }) }
    }

    /// Validates the erasure records and returns all findings.
    #[must_use]
    pub fn finish(self) -> AuditReport {
        let mut report = self.report;
        report.size = self.tree.size();
        report.root = self.tree.root();
        for claim in self.claims {
            let (leaf, count) = (claim.record.leaf(), claim.record.count());
            let Some(position) = claim.position else {
                report.add(Finding::RecordNotLogged { leaf, count });
                continue;
            };
            if claim.overlaps {
                report.add(Finding::RecordOverlaps { record: position, leaf, count });
            } else if position < claim.record.end() {
                report.add(Finding::RecordTooEarly { record: position, leaf, count });
            } else if claim.found != Some(claim.record.hash()) {
                report.add(Finding::RecordOfOtherLine { record: position, leaf, count });
            }
            if claim.covers_record {
                report.add(Finding::RecordErased { record: position, leaf, count });
            }
        }
        report
    }
}
