//! What an audit found.

use thiserror::Error;

use crate::Hash;

/// Something in a log that should not be. Leaves are counted from 0; `count` stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Finding {
    /// Lines are gone and no erasure record says why.
    #[error("{count} line(s) from leaf {leaf} on are missing, and no record says they were erased")]
    Missing {
        /// The first leaf.
        leaf: u64,
        /// How many.
        count: u64,
    },
    /// Lines are other than those that were logged.
    #[error("{count} line(s) from leaf {leaf} on are not those that were logged")]
    Altered {
        /// The first leaf.
        leaf: u64,
        /// How many.
        count: u64,
    },
    /// Lines are recorded as erased and still there: an erasure that was not finished, or a line
    /// put back.
    #[error("{count} line(s) from leaf {leaf} on are recorded as erased, but still there")]
    StillThere {
        /// The first leaf.
        leaf: u64,
        /// How many.
        count: u64,
    },
    /// An erasure record was shown that is not in the tree: made up later, or not signed yet.
    #[error("the record that {count} leaf(s) from {leaf} on were erased is not in the log")]
    RecordNotLogged {
        /// The first leaf it says was erased.
        leaf: u64,
        /// How many it says were.
        count: u64,
    },
    /// An erasure record stands before what it says was erased.
    #[error("leaf {place} records the erasure of {count} leaf(s) from {leaf} on, which come later")]
    RecordTooEarly {
        /// The record's leaf.
        place: u64,
        /// The first leaf it says was erased.
        leaf: u64,
        /// How many it says were.
        count: u64,
    },
    /// An erasure record has another hash than the leaves it says were erased.
    #[error("leaf {place} records the erasure of other lines than leaf {leaf} and {count} on were")]
    RecordOfOtherLine {
        /// The record's leaf.
        place: u64,
        /// The first leaf it says was erased.
        leaf: u64,
        /// How many it says were.
        count: u64,
    },
    /// An erasure record says that an erasure record was erased. Those stay for ever.
    #[error("leaf {place} says that erasure records among {count} leaf(s) from {leaf} were erased")]
    RecordErased {
        /// The record's leaf.
        place: u64,
        /// The first leaf it says was erased.
        leaf: u64,
        /// How many it says were.
        count: u64,
    },
}

impl Finding {
    /// Whether `other` is the same about the leaves that follow; then it is made part of this.
    fn absorb(&mut self, other: Self) -> bool {
        use Finding::{Altered, Missing, StillThere};
        match (self, other) {
            (Missing { leaf, count }, Missing { leaf: next, count: more })
            | (Altered { leaf, count }, Altered { leaf: next, count: more })
            | (StillThere { leaf, count }, StillThere { leaf: next, count: more })
                if *leaf + *count == next =>
            {
                *count += more;
                true
            }
            _ => false,
        }
    }
}

/// What a whole log is, and what is wrong with it.
///
/// It does not say whether the log is the one that was signed; [`Audit::check`](super::Audit::check)
/// does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) lines: u64,
    pub(super) erased: u64,
    pub(super) records: u64,
    findings: Vec<Finding>,
    unlisted: u64,
}

impl AuditReport {
    /// No more findings than this are listed; the rest is only counted, so that a log that is all
    /// wrong does not fill the memory.
    pub const MAX_FINDINGS: usize = 1000;

    /// How many leaves the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of its tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// How many entries are there.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many entries are gone that a record shown says were erased. Whether those records hold
    /// is among the findings.
    #[must_use]
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// How many leaves are erasure records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What is wrong, at most [`MAX_FINDINGS`](Self::MAX_FINDINGS); neighbours are joined.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings are not listed.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn new() -> Self {
        Self {
            size: 0,
            root: Hash::EMPTY_TREE,
            lines: 0,
            erased: 0,
            records: 0,
            findings: Vec::new(),
            unlisted: 0,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.last_mut().is_some_and(|last| last.absorb(finding)) {
            return;
        }
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

/// Why a log is not what a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// It has more or fewer leaves than the checkpoint is of. Where it ends with fewer, leaves
    /// were dropped.
    #[error("the checkpoint is of {checkpoint} leaves, these are {found}")]
    Size {
        /// The size in the checkpoint.
        checkpoint: u64,
        /// How many leaves have come.
        found: u64,
    },
    /// As many leaves, but not those: some were altered, inserted, dropped or moved.
    #[error("the first {size} leaves are not those that were signed")]
    Root {
        /// How many leaves.
        size: u64,
        /// The root in the checkpoint.
        expected: Hash,
        /// The root of what is there.
        found: Hash,
    },
}
