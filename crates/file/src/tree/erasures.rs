//! Which lines are on record as erased.

use std::collections::{HashMap, HashSet};

use attestry_core::Timestamp;
use attestry_evidence::{Hash, TreeError};

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

/// Reads the leaves of erased lines, and no others.
pub(crate) fn of(folder: &Folder, lines: &HashSet<Hash>) -> Result<Erasures> {
    let mut snapshot = TreeSnapshot::full(folder)?;
    let tree = folder.tree();
    let unreadable = |source| EvidenceError::tree(&tree, TreeError::Read(source));
    let mut found = HashMap::new();
    for record in snapshot.records.iter() {
        let mut leaves = Leaves::new(record.leaf()..record.end());
        while let Some(hash) = leaves.next(&mut snapshot.tiles).map_err(unreadable)? {
            if lines.contains(&hash) {
                let (reason, by) = (record.reason().to_owned(), record.by().to_owned());
                found.insert(hash, Erasure { at: record.erased_at(), reason, by });
            }
        }
    }
    Ok(Erasures { total: snapshot.records.erased_lines(), found })
}
