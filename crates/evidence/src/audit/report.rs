//! The result of an audit.

use thiserror::Error;

use crate::Hash;

/// A violation found in a log. Leaves are counted from 0; `count` leaves are consecutive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Finding {
    /// Lines are missing and no erasure record covers them.
    #[error("{count} line(s) from leaf {leaf} are missing without an erasure record")]
    Missing {
        /// The first leaf.
        leaf: u64,
        /// The number of leaves.
        count: u64,
    },
    /// Lines differ from those that were logged.
    #[error("{count} line(s) from leaf {leaf} were altered")]
    Altered {
        /// The first leaf.
        leaf: u64,
        /// The number of leaves.
        count: u64,
    },
    /// Lines are recorded as erased but present: the erasure was not finished, or lines were restored.
    #[error("{count} line(s) from leaf {leaf} are recorded as erased, but present")]
    StillThere {
        /// The first leaf.
        leaf: u64,
        /// The number of leaves.
        count: u64,
    },
    /// An announced erasure record is not in the tree: forged, or not appended yet.
    #[error("the erasure record of {count} leaf(s) from {leaf} is not in the log")]
    RecordNotLogged {
        /// The first leaf that it covers.
        leaf: u64,
        /// The number of leaves that it covers.
        count: u64,
    },
    /// An erasure record precedes leaves that it covers.
    #[error(
        "the erasure record at leaf {record} covers {count} leaf(s) from {leaf}, which come later"
    )]
    RecordTooEarly {
        /// The leaf of the record.
        record: u64,
        /// The first leaf that it covers.
        leaf: u64,
        /// The number of leaves that it covers.
        count: u64,
    },
    /// The hash of an erasure record is not that of the leaves that it covers.
    #[error("the erasure record at leaf {record} does not match the {count} leaf(s) from {leaf}")]
    RecordOfOtherLine {
        /// The leaf of the record.
        record: u64,
        /// The first leaf that it covers.
        leaf: u64,
        /// The number of leaves that it covers.
        count: u64,
    },
    /// An erasure record covers a leaf that many other records cover, too. It was not compared with its leaves.
    #[error(
        "the erasure record at leaf {record} covers {count} leaf(s) from {leaf}, as too many others do"
    )]
    RecordOverlaps {
        /// The leaf of the record.
        record: u64,
        /// The first leaf that it covers.
        leaf: u64,
        /// The number of leaves that it covers.
        count: u64,
    },
    /// An erasure record covers another record. Records are never erased.
    #[error("the erasure record at leaf {record} covers records among {count} leaf(s) from {leaf}")]
    RecordErased {
        /// The leaf of the record.
        record: u64,
        /// The first leaf that it covers.
        leaf: u64,
        /// The number of leaves that it covers.
        count: u64,
    },
}

impl Finding {
    /// Extends this finding by `other` if it is of the same kind and about the next leaves; returns
    /// whether it did.
    fn merge(&mut self, other: Self) -> bool {
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

/// The counts and findings of an audit.
///
/// Whether the log is the signed one is the result of [`Audit::check`](super::Audit::check).
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
    /// The maximum number of listed findings, which bounds memory. More are only counted.
    pub const MAX_FINDINGS: usize = 1000;

    /// The number of leaves in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of its tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The number of entries present.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of missing entries that announced records cover. Whether these records are valid is
    /// among the findings.
    #[must_use]
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// The number of erasure records in the log.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The findings, at most [`MAX_FINDINGS`](Self::MAX_FINDINGS); those of adjacent leaves are merged.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The number of findings that are not listed.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Whether there are no findings.
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
        if self.findings.last_mut().is_some_and(|last| last.merge(finding)) {
            return;
        }
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

/// Why a log does not match a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The log has more or fewer leaves than the checkpoint. If it ends with fewer, leaves were dropped.
    #[error("the checkpoint has {checkpoint} leaves, the log {found}")]
    Size {
        /// The size in the checkpoint.
        checkpoint: u64,
        /// The number of leaves added.
        found: u64,
    },
    /// The leaves differ: some were altered, inserted, dropped or moved.
    #[error("the first {size} leaves are not those that were signed")]
    Root {
        /// The number of leaves.
        size: u64,
        /// The root in the checkpoint.
        expected: Hash,
        /// The root of the log.
        found: Hash,
    },
}
