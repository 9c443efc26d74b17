//! Which lines are on record as erased, and the records of that.

use std::collections::{HashMap, HashSet};

use attestry_core::Timestamp;
use attestry_evidence::{Hash, Policy, RecordError, TreeError};

use super::checkpoints::{Checkpoints, parse_unverified};
use super::error::{EvidenceError, Result};
use super::snapshot::TreeSnapshot;
use super::tiles::Leaves;
use crate::fs::layout::Folder;

/// What the erasure records of a store say about some lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Erasures {
    /// The number of all lines that are on record as erased.
    pub total: u64,
    /// The erasure of each given line that is on record as erased.
    pub found: HashMap<Hash, Erasure>,
}

/// What an erasure record says about the line it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// When it was erased.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
}

/// An erasure record of a store, for [`FileStorage::erasure_records`](crate::FileStorage::erasure_records).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedErasure {
    /// The leaf that the record is.
    pub record: u64,
    /// The first leaf that was erased.
    pub leaf: u64,
    /// The number of leaves that were erased.
    pub count: u64,
    /// When, by whom and why.
    pub erasure: Erasure,
    /// The keys that it is signed with, as `name+1a2b3c4d`; none if it is not signed.
    pub signers: Vec<String>,
    /// Whether the signature was verified, and is that of a key that may erase.
    pub signature: RecordSignature,
    /// The size of the smallest stored checkpoint that covers the record; its own signature is not verified
    /// here.
    pub checkpoint: Option<u64>,
}

/// What is known about the signature of an erasure record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordSignature {
    /// It has none: an earlier version wrote the record, or an attacker.
    Unsigned,
    /// It was not verified, because no public key was given.
    NotVerified,
    /// It is valid.
    Authentic,
    /// It is not.
    Forged(RecordError),
}

impl RecordSignature {
    /// A stable name: `unsigned`, `not-verified`, `authentic`, `forged`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::NotVerified => "not-verified",
            Self::Authentic => "authentic",
            Self::Forged(_) => "forged",
        }
    }
}

/// The last `limit` erasure records, in the order of the tree, and the number of all of them.
pub(crate) fn newest(
    folder: &Folder,
    policy: Option<&Policy>,
    limit: usize,
) -> Result<(Vec<RecordedErasure>, usize)> {
    let records = TreeSnapshot::records(folder)?;
    let keys = policy.map(|policy| {
        let mut keys = policy.keys().clone();
        keys.follow(records.signed());
        keys
    });
    let mut sizes = Vec::new();
    Checkpoints::of(folder)
        .for_each(|note| sizes.extend(parse_unverified(&note.text).map(|found| found.size())))?;
    sizes.sort_unstable();
    let erasures =
        || records.iter().filter_map(|(leaf, record)| Some((leaf, record, record.erasure()?)));
    let total = erasures().count();
    let mut list = Vec::with_capacity(limit.min(total));
    // Verifying a signature is what takes long.
    for (leaf, record, erasure) in erasures().skip(total.saturating_sub(limit)) {
        let signature = match (record.signed(), &keys) {
            (None, _) => RecordSignature::Unsigned,
            (Some(_), None) => RecordSignature::NotVerified,
            (Some(record), Some(keys)) => match keys.check(leaf, record) {
                Ok(_) => RecordSignature::Authentic,
                Err(error) => RecordSignature::Forged(error),
            },
        };
        let (reason, by) = (erasure.reason().to_owned(), erasure.by().to_owned());
        let covering = sizes.partition_point(|&size| size <= leaf);
        list.push(RecordedErasure {
            record: leaf,
            leaf: erasure.leaf(),
            count: erasure.count(),
            erasure: Erasure { at: erasure.erased_at(), reason, by },
            signers: record.signed().map(|record| record.signers()).unwrap_or_default(),
            signature,
            checkpoint: sizes.get(covering).copied(),
        });
    }
    Ok((list, total))
}

/// Reads the leaves of erased lines, and no others.
pub(crate) fn of(folder: &Folder, lines: &HashSet<Hash>) -> Result<Erasures> {
    let mut snapshot = TreeSnapshot::full(folder)?;
    let tree = folder.tree();
    let unreadable = |source| EvidenceError::tree(&tree, TreeError::Read(source));
    let mut found = HashMap::new();
    let records = snapshot.records.iter().filter_map(|(_, record)| record.erasure());
    let mut records: Vec<_> = records.collect();
    records.sort_by_key(|record| record.leaf());
    let mut next = 0;
    for record in records {
        // Each leaf once, also where records overlap.
        let mut leaves = Leaves::new(next.max(record.leaf())..record.end());
        next = next.max(record.end());
        while let Some(hash) = leaves.next(&mut snapshot.tiles).map_err(unreadable)? {
            if lines.contains(&hash) {
                let (reason, by) = (record.reason().to_owned(), record.by().to_owned());
                found.insert(hash, Erasure { at: record.erased_at(), reason, by });
            }
        }
    }
    Ok(Erasures { total: snapshot.records.erased_lines(), found })
}
