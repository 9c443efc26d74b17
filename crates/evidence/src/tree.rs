//! The tree as far as appending needs it: its right edge.

use std::fmt;

use crate::stored::{ReadHashes, StoredHash, TreeError, read_node};
use crate::tile::TILE_HEIGHT;
use crate::{Hash, node_hash};

/// A Merkle tree as of RFC 6962 that can be appended to. It holds the hashes along its right
/// edge only: 2 KiB, however many leaves there are.
///
/// Appending a leaf costs less than one hash of two nodes on average and allocates nothing.
/// What is to be stored so that proofs can be made later, [`push_with`](Self::push_with) hands
/// out as it arises.
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
    /// The roots of the complete subtrees that the leaves fall into, by height. There is one for
    /// each bit that is set in `size`; the others are left over.
    peaks: [Hash; Self::HEIGHTS],
}

impl Tree {
    /// The greatest number of leaves: 2^62. A thousand million a second fill it in 146 years.
    pub const MAX_SIZE: u64 = 1 << 62;

    const HEIGHTS: usize = 63;

    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: [Hash::ZERO; Self::HEIGHTS] }
    }

    /// The tree of the first `size` leaves whose hashes were stored. Reads 256 hashes or fewer for
    /// each level of tiles, of which there are three for sixteen million leaves.
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

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf of this hash.
    ///
    /// # Panics
    ///
    /// When there are [`MAX_SIZE`](Self::MAX_SIZE) leaves already.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_| ());
    }

    /// Appends a leaf of this hash, and hands each hash that belongs into a tile to `store`: the
    /// leaf always, and now and then one or a few of upper levels.
    ///
    /// Within a level, hashes come in the order of their places, so a caller may append them to
    /// what it has of that level.
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
    /// When there are [`MAX_SIZE`](Self::MAX_SIZE) leaves already.
    pub fn push_with(&mut self, leaf: Hash, mut store: impl FnMut(StoredHash)) {
        assert!(self.size < Self::MAX_SIZE, "the tree is full");
        store(StoredHash { level: 0, index: self.size, hash: leaf });
        let mut node = leaf;
        let mut height = 0;
        // Each complete subtree to the left, from the lowest on, is joined with what is new: as
        // carrying does when one is added to a binary number.
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

    /// The root: one hash that stands for all leaves and their order.
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
