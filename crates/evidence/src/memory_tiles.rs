//! Tiles in memory.

use thiserror::Error;

use crate::{Hash, ReadHashes, Tree};

/// Tiles in memory, for tests and small trees.
///
/// ```
/// use attestry_evidence::{MemoryTiles, leaf_hash, proof};
///
/// let mut tiles = MemoryTiles::new();
/// tiles.extend((0..1000_u32).map(|i| leaf_hash(&i.to_be_bytes())));
/// let path = proof::inclusion(700, 1000, &mut &tiles)?;
/// let leaf = leaf_hash(&700_u32.to_be_bytes());
/// proof::verify_inclusion(leaf, 700, 1000, &path, tiles.tree().root())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryTiles {
    tree: Tree,
    levels: Vec<Vec<Hash>>,
}

/// The requested hashes are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("hash {index} of level {level} is not stored")]
pub struct NotStored {
    /// The level of tiles.
    pub level: u8,
    /// The number of the hash within the level.
    pub index: u64,
}

impl MemoryTiles {
    /// The tiles of an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of all leaves.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Appends a leaf with this hash.
    pub fn push(&mut self, leaf: Hash) {
        self.tree.push_with(leaf, |stored| {
            let level = usize::from(stored.level);
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(stored.hash);
        });
    }
}

impl Extend<Hash> for MemoryTiles {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl ReadHashes for &MemoryTiles {
    type Error = NotStored;

    fn read_hashes(&mut self, level: u8, first: u64, out: &mut [Hash]) -> Result<(), NotStored> {
        let hashes = usize::try_from(first).ok().and_then(|start| {
            self.levels.get(usize::from(level))?.get(start..start.checked_add(out.len())?)
        });
        out.copy_from_slice(hashes.ok_or(NotStored { level, index: first })?);
        Ok(())
    }
}
