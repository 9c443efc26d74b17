//! Inclusion and consistency proofs (RFC 6962).
//!
//! The functions here create and verify plain lists of hashes. [`InclusionProof`] and
//! [`ConsistencyProof`] add the signed checkpoint, in standard file formats: verification needs a public
//! key, but no store.

mod consistency;
mod error;
mod inclusion;

pub use consistency::ConsistencyProof;
pub use error::{InvalidProof, ProofError, VerifyError};
pub use inclusion::InclusionProof;

use crate::stored::{ReadHashes, TreeError, read_range};
use crate::{Hash, node_hash};

/// The maximum number of hashes in a proof.
pub const MAX_PATH: usize = 63;

/// Creates the inclusion proof of leaf `index` in the tree of the first `size` leaves.
///
/// # Errors
///
/// [`TreeError::NoSuchLeaf`], [`TreeError::TooLarge`], or [`TreeError::Read`] with the reader's
/// error.
pub fn inclusion<R: ReadHashes>(
    index: u64,
    size: u64,
    stored: &mut R,
) -> Result<Vec<Hash>, TreeError<R::Error>> {
    TreeError::check_size(size)?;
    if index >= size {
        return Err(TreeError::NoSuchLeaf { index, size });
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let split = start + split(end - start);
        if index < split {
            path.push(read_range(stored, split, end)?);
            end = split;
        } else {
            path.push(read_range(stored, start, split)?);
            start = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// Creates the proof that the tree of the first `new` leaves is consistent with that of the first `old`.
/// It is empty if the sizes are equal or `old` is 0.
///
/// # Errors
///
/// [`TreeError::Shrunk`], [`TreeError::TooLarge`], or [`TreeError::Read`] with the reader's error.
pub fn consistency<R: ReadHashes>(
    old: u64,
    new: u64,
    stored: &mut R,
) -> Result<Vec<Hash>, TreeError<R::Error>> {
    TreeError::check_size(new)?;
    if old > new {
        return Err(TreeError::Shrunk { old, new });
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, new);
    while old != 0 && end != old {
        let split = start + split(end - start);
        if old <= split {
            path.push(read_range(stored, split, end)?);
            end = split;
        } else {
            path.push(read_range(stored, start, split)?);
            start = split;
        }
    }
    // The verifier knows the older root, but no other subtree.
    if start != 0 {
        path.push(read_range(stored, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// The split point of RFC 6962: the largest power of two less than `size`, which is above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Verifies that leaf `index` of the tree with this `size` and `root` has the hash `leaf`.
///
/// # Errors
///
/// [`ProofError`]: the proof says nothing about the leaf.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let wrong_length = ProofError::WrongLength { found: path.len() };
    let mut climb = Climb { node: index, last: size - 1 };
    let mut found = leaf;
    for hash in path {
        found = match climb.up().ok_or(wrong_length)? {
            Side::Left => node_hash(*hash, found),
            Side::Right => node_hash(found, *hash),
        };
    }
    if climb.last != 0 {
        return Err(wrong_length);
    }
    if found == root { Ok(()) } else { Err(ProofError::NotIncluded { expected: root, found }) }
}

/// Verifies that the first leaves of the tree with `new` leaves and `new_root` are those of the tree with
/// `old` leaves and `old_root`.
///
/// # Errors
///
/// [`ProofError`]: the proof says nothing about the trees.
pub fn verify_consistency(
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let wrong_length = ProofError::WrongLength { found: path.len() };
    let not_consistent = ProofError::NotConsistent { old, new };
    let agree = |holds: bool| if holds { Ok(()) } else { Err(not_consistent) };
    if old == 0 || old == new {
        if !path.is_empty() {
            return Err(wrong_length);
        }
        let expected = if old == 0 { Hash::EMPTY_TREE } else { new_root };
        let empty = new == 0 && new_root != Hash::EMPTY_TREE;
        return agree(old_root == expected && !empty);
    }
    // The largest subtree that ends where the older tree ends. If it is the whole older tree, its hash is
    // known and not part of the proof.
    let mut climb = Climb { node: old - 1, last: new - 1 };
    climb.skip(climb.node.trailing_ones());
    let (start, rest) = match path.split_first() {
        _ if climb.node == 0 => (&old_root, path),
        Some(parts) => parts,
        None => return Err(wrong_length),
    };
    let (mut found_old, mut found_new) = (*start, *start);
    for hash in rest {
        match climb.up().ok_or(wrong_length)? {
            Side::Left => {
                found_old = node_hash(*hash, found_old);
                found_new = node_hash(*hash, found_new);
            }
            Side::Right => found_new = node_hash(found_new, *hash),
        }
    }
    if climb.last != 0 {
        return Err(wrong_length);
    }
    agree(found_old == old_root && found_new == new_root)
}

/// The side of a node's sibling.
enum Side {
    Left,
    Right,
}

/// The path from a node to the root, as in RFC 9162, section 2.1.3.2.
struct Climb {
    /// The node's number within its height.
    node: u64,
    /// The number of the last node of that height.
    last: u64,
}

impl Climb {
    /// Moves up to the next node with two children and returns the side of the sibling below it; `None`
    /// at the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 {
            Side::Left
        } else if self.node == self.last {
            // A node without a sibling is promoted until it is a right child.
            self.skip(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.skip(1);
        Some(side)
    }

    fn skip(&mut self, heights: u32) {
        self.node = self.node.checked_shr(heights).unwrap_or(0);
        self.last = self.last.checked_shr(heights).unwrap_or(0);
    }
}

/// Parses the hashes of a proof, one per line, up to an empty line, and the checkpoint after it.
fn parse_path(text: &str) -> Result<(Vec<Hash>, &str), InvalidProof> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let (line, after) = rest.split_once('\n').ok_or(InvalidProof::NoCheckpoint)?;
        rest = after;
        if line.is_empty() {
            break;
        }
        if path.len() == MAX_PATH {
            return Err(InvalidProof::TooLong);
        }
        let number = path.len() + 1;
        path.push(line.parse().map_err(|source| InvalidProof::Hash { number, source })?);
    }
    if rest.is_empty() { Err(InvalidProof::NoCheckpoint) } else { Ok((path, rest)) }
}
