//! Tiles of the tree as C2SP tlog-tiles has them, for monitors.

use attestry_evidence::{Hash, ReadHashes, Tile, TreeError};

use super::error::{EvidenceError, Result};
use super::snapshot::TreeSnapshot;
use crate::fs::layout::Folder;

/// The hashes of `tile`, 32 bytes each; `None` if the tree has not so many.
pub(crate) fn read_tile(folder: &Folder, tile: Tile) -> Result<Option<Vec<u8>>> {
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let last = tile.first_hash() + u64::from(tile.width()) - 1;
    if Tile::holding(tile.level(), last, snapshot.head.size).is_none() {
        return Ok(None);
    }
    let mut hashes = vec![Hash::EMPTY_TREE; usize::from(tile.width())];
    let read = snapshot.tiles.read_hashes(tile.level(), tile.first_hash(), &mut hashes);
    read.map_err(|source| EvidenceError::tree(&folder.tree(), TreeError::Read(source)))?;
    Ok(Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()))
}
