//! Proofs as of RFC 6962: that a leaf is in a tree, and that a tree grew out of an older one.
//!
//! The functions here make and check the bare lists of hashes. [`InclusionProof`] and
//! [`ConsistencyProof`] are those with the signed checkpoint they lead to, as files that others
//! read: to check one takes a public key, and no store.

mod consistency;
mod error;
mod inclusion;

pub use consistency::ConsistencyProof;
pub use error::{InvalidProof, ProofError, VerifyError};
pub use inclusion::InclusionProof;

use crate::stored::{ReadHashes, TreeError, read_range};
use crate::{Hash, node_hash};

/// No proof has more hashes than this.
pub const MAX_PATH: usize = 63;

/// The path from leaf `index` to the root of the tree of the first `size` leaves.
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

/// The proof that the tree of the first `new` leaves grew out of that of the first `old`.
/// It is empty where there is nothing to show: the sizes are equal, or `old` is 0.
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
    // Whoever verifies knows the older root; any other subtree it must be told.
    if start != 0 {
        path.push(read_range(stored, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Where RFC 6962 splits a tree: the greatest power of two less than its size, which is above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Checks that leaf `index` of the tree with this `size` and `root` has the hash `leaf`.
///
/// # Errors
///
/// [`ProofError`]. After any of them, nothing is known about the leaf.
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

/// Checks that the tree with `new` leaves and `new_root` holds, as its first leaves and unchanged,
/// those of the tree with `old` leaves and `old_root`.
///
/// # Errors
///
/// [`ProofError`]. After any of them, nothing is known about the two trees.
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
    // The largest subtree that ends where the older tree ends. Where it is all of it, its hash
    // is known and the proof leaves it out.
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

/// Which side of a node its sibling stands on.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root, as RFC 9162 (2.1.3.2) walks it.
struct Climb {
    /// The node's number within its height.
    node: u64,
    /// The number of the last node of that height.
    last: u64,
}

impl Climb {
    /// Goes up to the next node that has a sibling below it, and says where that is; `None` at
    /// the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 {
            Side::Left
        } else if self.node == self.last {
            // Without a sibling a node rises until it is the right one of two.
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

/// The hashes of a proof, a line each, up to an empty line; and the checkpoint after it.
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

/// A decimal number as these formats want it: without sign or leading zeroes.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
