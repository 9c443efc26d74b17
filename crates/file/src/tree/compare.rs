//! Compares two checkpoints by the tree of a store.

use attestry_evidence::{Checkpoint, Hash, Policy, Tree, TreeError};

use super::checkpoints::Checkpoints;
use super::error::{EvidenceError, Result};
use super::snapshot::TreeSnapshot;
use super::tiles::Leaves;
use crate::fs::layout::Folder;

/// How two checkpoints of a log relate; the result of
/// [`FileStorage::compare`](crate::FileStorage::compare).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// They are of the same tree.
    Same,
    /// The tree of the greater one extends that of the smaller one.
    Grown,
    /// The log was forked: its key has signed two histories. Both checkpoints together prove that, with the
    /// leaf hashes of the store if their sizes differ.
    Forked,
    /// The tree of the store is not that of the greater checkpoint, or does not reach it. It cannot say how
    /// they relate.
    Unknown,
}

/// Compares two checkpoints of the log of `policy`, from the leaf hashes. The hashes above them are not
/// trusted.
pub(crate) fn compare(
    folder: &Folder,
    one: &Checkpoint,
    other: &Checkpoint,
    policy: &Policy,
) -> Result<Comparison> {
    let (old, new) = if one.size() <= other.size() { (one, other) } else { (other, one) };
    if old.size() == new.size() {
        let same = old.root() == new.root();
        return Ok(if same { Comparison::Same } else { Comparison::Forked });
    }
    // Before the tree: a checkpoint signed later may be larger.
    let signed = signed(folder, policy, new.size())?;
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let size = snapshot.head.size;
    if size < new.size() {
        return Ok(Comparison::Unknown);
    }
    let end = signed.as_ref().map_or(new.size(), |signed| signed.size().min(size));
    let (mut tree, mut leaves) = (Tree::new(), Leaves::new(0..end));
    let mut roots: [Option<Hash>; 2] = [None; 2];
    let path = folder.tree();
    loop {
        for (root, checkpoint) in roots.iter_mut().zip([old, new]) {
            if tree.size() == checkpoint.size() {
                *root = Some(tree.root());
            }
        }
        let leaf = leaves
            .next(&mut snapshot.tiles)
            .map_err(|source| EvidenceError::tree(&path, TreeError::Read(source)))?;
        let Some(leaf) = leaf else { break };
        tree.push(leaf);
    }
    let matches = [old, new].map(|checkpoint| roots.contains(&Some(checkpoint.root())));
    let is_signed = signed.is_some_and(|signed| signed.root() == tree.root());
    Ok(match matches {
        [true, true] => Comparison::Grown,
        // The leaves are those of the greater one; the smaller one is of others.
        [false, true] => Comparison::Forked,
        // The key has signed the leaves of the store, and at that size another root.
        [_, false] if is_signed => Comparison::Forked,
        [_, false] => Comparison::Unknown,
    })
}

/// The smallest stored checkpoint of at least `size` leaves that satisfies the policy.
fn signed(folder: &Folder, policy: &Policy, size: u64) -> Result<Option<Checkpoint>> {
    let mut found: Option<Checkpoint> = None;
    Checkpoints::of(folder).for_each(|note| {
        let Ok(opened) = policy.open(&note.text) else { return };
        let checkpoint = opened.checkpoint();
        let is_smaller = found.as_ref().is_none_or(|found| checkpoint.size() < found.size());
        if checkpoint.size() >= size && is_smaller {
            found = Some(checkpoint.clone());
        }
    })?;
    Ok(found)
}
