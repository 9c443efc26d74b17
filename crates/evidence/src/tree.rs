//! The right edge of the tree, which is all that appending needs.

use std::fmt;

use crate::stored::{ReadHashes, StoredHash, TreeError, read_node};
use crate::tile::{MAX_TREE_SIZE, TILE_HEIGHT};
use crate::{Hash, node_hash};

/// An appendable Merkle tree (RFC 6962). It holds only the hashes along its right edge: 2 KiB for any
/// number of leaves.
///
/// Appending a leaf computes less than one node hash on average and does not allocate. The hashes to
/// store for later proofs are passed to the callback of [`push_with`](Self::push_with).
///
/// ```
/// use attestry_evidence::{Hash, Tree, leaf_hash, node_hash};
///
/// let mut tree = Tree::new();
/// assert_eq!(tree.root(), Hash::EMPTY_TREE);
/// let (a, b, c) = (leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c"));
/// tree.extend([a, b, c]);
/// assert_eq!(tree.size(), 3);
/// assert_eq!(tree.root(), node_hash(node_hash(a, b), c));
/// ```
#[derive(Clone)]
pub struct Tree {
    size: u64,
    /// The roots of the complete subtrees, by height: one for each bit set in `size`. The other elements
    /// are stale.
    peaks: [Hash; Self::HEIGHTS],
}

impl Tree {
    /// The maximum number of leaves: 2^62, or 146 years at a thousand million per second.
    pub const MAX_SIZE: u64 = MAX_TREE_SIZE;

    const HEIGHTS: usize = 63;

    /// An empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: [Hash::ZERO; Self::HEIGHTS] }
    }

    /// Restores the tree of the first `size` leaves from stored hashes. Reads at most 256 hashes of each
    /// tile level; sixteen million leaves have three levels.
    ///
    /// # Errors
    ///
    /// [`TreeError::TooLarge`] beyond [`MAX_SIZE`](Self::MAX_SIZE), [`TreeError::Read`] when
    /// hashes cannot be read.
    pub fn restore<R: ReadHashes>(size: u64, stored: &mut R) -> Result<Self, TreeError<R::Error>> {
        let mut tree = Self::new();
        TreeError::check_size(size)?;
        tree.size = size;
        for (height, peak) in (0..).zip(&mut tree.peaks) {
            if size >> height & 1 == 1 {
                *peak = read_node(stored, height, (size >> height) - 1)?;
            }
        }
        Ok(tree)
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf with this hash.
    ///
    /// # Panics
    ///
    /// When the tree has [`MAX_SIZE`](Self::MAX_SIZE) leaves.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_| ());
    }

    /// Appends a leaf with this hash, and calls `store` for each hash that belongs in a tile: the leaf,
    /// and hashes of upper levels that became complete.
    ///
    /// Within a level, the hashes come in order and can be appended to that level's file.
    ///
    /// ```
    /// use attestry_evidence::{Tree, leaf_hash};
    ///
    /// let mut levels = [const { Vec::new() }; 2];
    /// let mut tree = Tree::new();
    /// for i in 0..256_u64 {
    ///     tree.push_with(leaf_hash(&i.to_be_bytes()), |stored| {
    ///         levels[usize::from(stored.level)].push(stored.hash);
    ///     });
    /// }
    /// assert_eq!(levels[0].len(), 256);
    /// assert_eq!(levels[1], [tree.root()]);
    /// ```
    ///
    /// # Panics
    ///
    /// When the tree has [`MAX_SIZE`](Self::MAX_SIZE) leaves.
    pub fn push_with(&mut self, leaf: Hash, mut store: impl FnMut(StoredHash)) {
        assert!(self.size < Self::MAX_SIZE, "the tree is full");
        store(StoredHash { level: 0, index: self.size, hash: leaf });
        let mut node = leaf;
        let mut height = 0;
        // Joins the new leaf with the complete subtrees to its left, lowest first, like the carry of a
        // binary increment.
        while self.size >> height & 1 == 1 {
            node = node_hash(self.peaks[height], node);
            height += 1;
            if height % usize::from(TILE_HEIGHT) == 0 {
                let level = (height / usize::from(TILE_HEIGHT)) as u8;
                store(StoredHash { level, index: self.size >> height, hash: node });
            }
        }
        self.peaks[height] = node;
        self.size += 1;
    }

    /// The root hash, which commits to all leaves and their order.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = (0..).zip(&self.peaks).filter(|(height, _)| self.size >> height & 1 == 1);
        let lowest = peaks.next().map_or(Hash::EMPTY_TREE, |(_, peak)| *peak);
        peaks.fold(lowest, |right, (_, left)| node_hash(*left, right))
    }
}

impl Extend<Hash> for Tree {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("size", &self.size).field("root", &self.root()).finish()
    }
}
