//! The stored hashes of a tree, and the recomputation of the others.
//!
//! As in C2SP tlog-tiles, every eighth height of the tree is stored. Nodes between are computed from at
//! most 128 stored hashes when a proof needs them.

use std::error::Error;

use thiserror::Error;

use crate::tile::{MAX_TREE_SIZE, TILE_HEIGHT};
use crate::{Hash, node_hash};

/// A hash to store, and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredHash {
    /// The tile level: 0 for leaves, 1 for roots of 256 leaves, 2 for roots of 65,536.
    pub level: u8,
    /// The number of the hash within the level, from 0. It is hash `index % 256` of tile `index / 256`.
    pub index: u64,
    /// The hash.
    pub hash: Hash,
}

/// Reads the hashes that [`Tree::push_with`](crate::Tree::push_with) passed to its callback. Implemented for closures and
/// [`MemoryTiles`](crate::MemoryTiles).
///
/// The hashes need not be trusted: a proof made of wrong hashes fails to verify.
pub trait ReadHashes {
    /// The error of reading.
    type Error: Error + 'static;

    /// Fills `out` with the hashes `first`, `first + 1`, … of `level`.
    ///
    /// They are 1 to 128 hashes of one tile, `first / 256`.
    ///
    /// # Errors
    ///
    /// When the hashes cannot be read or do not exist.
    fn read_hashes(&mut self, level: u8, first: u64, out: &mut [Hash]) -> Result<(), Self::Error>;
}

impl<F, E> ReadHashes for F
where
    F: FnMut(u8, u64, &mut [Hash]) -> Result<(), E>,
    E: Error + 'static,
{
    type Error = E;

    fn read_hashes(&mut self, level: u8, first: u64, out: &mut [Hash]) -> Result<(), E> {
        self(level, first, out)
    }
}

/// Why a proof could not be created or a tree could not be restored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError<E: Error + 'static> {
    /// The leaf is not in a tree of that size.
    #[error("there is no leaf {index} in a tree of {size} leaves")]
    NoSuchLeaf {
        /// The requested leaf, counted from 0.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The older tree has more leaves than the newer.
    #[error("a tree of {new} leaves cannot extend a tree of {old}")]
    Shrunk {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The tree would have more leaves than [`Tree::MAX_SIZE`](crate::Tree::MAX_SIZE).
    #[error("a tree of {size} leaves is too large")]
    TooLarge {
        /// The size.
        size: u64,
    },
    /// The stored hashes cannot be read.
    #[error("cannot read the hashes of the tree")]
    Read(#[source] E),
}

impl<E: Error + 'static> TreeError<E> {
    pub(crate) fn check_size(size: u64) -> Result<(), Self> {
        if size > MAX_TREE_SIZE { Err(Self::TooLarge { size }) } else { Ok(()) }
    }
}

/// The node `index` at `height`: the root of `1 << height` leaves from `index << height`.
pub(crate) fn read_node<R: ReadHashes>(
    stored: &mut R,
    height: u8,
    index: u64,
) -> Result<Hash, TreeError<R::Error>> {
    let above = height % TILE_HEIGHT;
    let mut buffer = [Hash::ZERO; 1 << (TILE_HEIGHT - 1)];
    let mut count = 1 << above;
    stored
        .read_hashes(height / TILE_HEIGHT, index << above, &mut buffer[..count])
        .map_err(TreeError::Read)?;
    while count > 1 {
        count /= 2;
        for i in 0..count {
            buffer[i] = node_hash(buffer[2 * i], buffer[2 * i + 1]);
        }
    }
    Ok(buffer[0])
}

/// The root of the leaves `start..end`.
///
/// `start` must be a multiple of a power of two that is at least `end - start`, as at all splits of
/// RFC 6962.
pub(crate) fn read_range<R: ReadHashes>(
    stored: &mut R,
    mut start: u64,
    end: u64,
) -> Result<Hash, TreeError<R::Error>> {
    let mut peaks = [Hash::ZERO; 64];
    let mut count = 0;
    while start < end {
        let height = (end - start).ilog2();
        peaks[count] = read_node(stored, height as u8, start >> height)?;
        count += 1;
        start += 1 << height;
    }
    let joined = peaks[..count].iter().rev().copied().reduce(|right, left| node_hash(left, right));
    Ok(joined.unwrap_or(Hash::EMPTY_TREE))
}
