//! Going through a whole log: does what is there make the tree that was signed, and is what is
//! missing accounted for?

mod report;

use std::collections::HashMap;

pub use report::{AuditReport, Finding, Mismatch};

use crate::{Checkpoint, ErasureRecord, Hash, Tree};

/// Rebuilds the tree of a log leaf by leaf, in the order of the log, and keeps book of what was
/// erased and whether it was recorded.
///
/// The caller goes through the log and names for each leaf what it found:
/// [`line`](Self::line), [`erased`](Self::erased), [`record`](Self::record) or, if it knows the
/// leaf's hash from the tiles and the line is another, [`altered`](Self::altered). Whenever
/// [`size`](Self::size) is that of a checkpoint, [`check`](Self::check) compares the two.
/// [`finish`](Self::finish) says what else is wrong.
///
/// The hashes of erased lines come from where they were stored and need not be trusted: a wrong
/// one leads to a wrong root.
///
/// ```
/// use attestry_evidence::{Audit, ErasureRecord, Finding, Policy, SigningKey, Tree, line_hash};
///
/// # let key = SigningKey::from_seed("example.com/log", &[7; 32])?;
/// // Two entries; the first is erased, which is recorded; then the log is signed.
/// let (first, second) = (line_hash(b"{\"id\": \"a\"}")?, line_hash(b"{\"id\": \"b\"}")?);
/// let at = "2026-01-28".parse()?;
/// let record = ErasureRecord::new(0, 1, first, at, "Art. 17 GDPR", "dpo@example.com")?;
/// let mut tree = Tree::new();
/// tree.extend([first, second, record.leaf_hash()]);
/// let opened = Policy::new(key.public()).open(&key.sign(3, tree.root()))?;
///
/// // Later, somebody goes through what is left.
/// let mut audit = Audit::new([record.clone()]);
/// audit.erased(first);
/// audit.line(second);
/// audit.record(&record);
/// audit.check(opened.checkpoint())?;
/// assert!(audit.finish().is_clean());
///
/// // Had the second line gone as well, with nothing to account for it:
/// let mut audit = Audit::new([record.clone()]);
/// audit.erased(first);
/// audit.erased(second);
/// audit.record(&record);
/// assert_eq!(audit.finish().findings(), [Finding::Missing { leaf: 1, count: 1 }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Audit {
    tree: Tree,
    /// What the records announced say, by the first leaf they are about.
    claims: Vec<Claim>,
    /// Which claim has which leaf hash.
    by_hash: HashMap<Hash, usize>,
    /// The first claim that begins at a leaf still to come.
    next: usize,
    /// The claims about the leaf that came last.
    open: Vec<OpenClaim>,
    report: AuditReport,
}

#[derive(Debug)]
struct Claim {
    record: ErasureRecord,
    /// Where the record itself stands in the tree.
    place: Option<u64>,
    /// The root of the leaves the record is about, once all have come.
    found: Option<Hash>,
    covers_record: bool,
}

#[derive(Debug)]
struct OpenClaim {
    claim: usize,
    /// The leaves the record is about, as far as they have come.
    leaves: Tree,
}

impl Audit {
    /// An audit of a log whose erasure records are these, in any order. They are needed beforehand
    /// and nothing is believed of them until [`record`](Self::record) finds them in the tree.
    ///
    /// Takes memory for each record, and none for entries. Records that overlap take time for each
    /// leaf that several of them are about.
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = ErasureRecord>) -> Self {
        let mut claims: Vec<Claim> = records
            .into_iter()
            .map(|record| Claim { record, place: None, found: None, covers_record: false })
            .collect();
        claims.sort_by_key(|claim| (claim.record.leaf(), claim.record.leaf_hash()));
        claims.dedup_by(|a, b| a.record == b.record);
        let hashes = claims.iter().map(|claim| claim.record.leaf_hash());
        let by_hash = hashes.enumerate().map(|(index, hash)| (hash, index)).collect();
        let report = AuditReport::new();
        Self { tree: Tree::new(), claims, by_hash, next: 0, open: Vec::new(), report }
    }

    /// How many leaves have come.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of the leaves that have come.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The next leaf is an entry whose line is there and has this hash.
    pub fn line(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        self.report.lines += 1;
        if !self.open.is_empty() {
            self.report.add(Finding::StillThere { leaf, count: 1 });
        }
    }

    /// The line of the next leaf is not there; this is the hash that was stored of it.
    pub fn erased(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        if self.open.is_empty() {
            self.report.add(Finding::Missing { leaf, count: 1 });
        } else {
            self.report.erased += 1;
        }
    }

    /// There is a line for the next leaf, but not the one that was logged, of which `hash` was
    /// stored. Where nothing was stored to compare with, use [`line`](Self::line): the altered
    /// line then shows as a root that is another.
    pub fn altered(&mut self, hash: Hash) {
        let leaf = self.push(hash);
        self.report.add(Finding::Altered { leaf, count: 1 });
    }

    /// The next leaf is this erasure record.
    pub fn record(&mut self, record: &ErasureRecord) {
        let hash = record.leaf_hash();
        let place = self.push(hash);
        self.report.records += 1;
        for open in &self.open {
            self.claims[open.claim].covers_record = true;
        }
        if let Some(claim) = self.by_hash.get(&hash) {
            self.claims[*claim].place.get_or_insert(place);
        }
    }

    /// Appends a leaf, and returns its index; `open` are then the claims about it.
    fn push(&mut self, hash: Hash) -> u64 {
        let leaf = self.tree.size();
        self.tree.push(hash);
        let claims = &mut self.claims;
        self.open.retain(|open| claims[open.claim].found.is_none());
        while claims.get(self.next).is_some_and(|claim| claim.record.leaf() == leaf) {
            self.open.push(OpenClaim { claim: self.next, leaves: Tree::new() });
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

    /// Whether the leaves that have come are those of this checkpoint: not one altered, inserted,
    /// dropped or moved.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Size`] when more or fewer leaves have come than it is of, [`Mismatch::Root`] when
    /// they are others.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), Mismatch> {
        let (size, found) = (self.size(), self.root());
        if checkpoint.size() != size {
            return Err(Mismatch::Size { checkpoint: checkpoint.size(), found: size });
        }
        let expected = checkpoint.root();
        if expected == found { Ok(()) } else { Err(Mismatch::Root { size, expected, found }) }
    }

    /// Settles which erasures were recorded as they should be.
    #[must_use]
    pub fn finish(self) -> AuditReport {
        let mut report = self.report;
        report.size = self.tree.size();
        report.root = self.tree.root();
        for claim in self.claims {
            let (leaf, count) = (claim.record.leaf(), claim.record.count());
            let Some(place) = claim.place else {
                report.add(Finding::RecordNotLogged { leaf, count });
                continue;
            };
            if place < claim.record.end() {
                report.add(Finding::RecordTooEarly { place, leaf, count });
            } else if claim.found != Some(claim.record.hash()) {
                report.add(Finding::RecordOfOtherLine { place, leaf, count });
            }
            if claim.covers_record {
                report.add(Finding::RecordErased { place, leaf, count });
            }
        }
        report
    }
}
