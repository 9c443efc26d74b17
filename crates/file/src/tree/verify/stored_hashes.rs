//! Compares the stored hashes above the leaves with those that the leaves lead to.

use std::io;

use attestry_evidence::{Hash, ReadHashes, StoredHash};

use super::report::Problems;
use crate::tree::error::{EvidenceError, Result};
use crate::tree::tiles::Tiles;

/// The files of the levels above the leaves.
pub(super) struct StoredHashes {
    tiles: Tiles,
    /// Levels whose file is missing or too short, which is reported once.
    missing: Vec<u8>,
}

impl StoredHashes {
    pub(super) fn new(tiles: Tiles) -> Self {
        Self { tiles, missing: Vec::new() }
    }

    /// Reports those of `computed` that are stored otherwise, or not at all.
    pub(super) fn check(
        &mut self,
        computed: Vec<StoredHash>,
        problems: &mut Problems,
    ) -> Result<()> {
        for StoredHash { level, index, hash, .. } in computed {
            if self.missing.contains(&level) {
                continue;
            }
            let file = format!("tiles.{level}");
            let mut stored = [Hash::EMPTY_TREE];
            match self.tiles.read_hashes(level, index, &mut stored) {
                Ok(()) if stored == [hash] => {}
                Ok(()) => {
                    let reason = "the hash is not that of the leaves below it; `attestry tree \
                                  rebuild` repairs it"
                        .to_owned();
                    problems.add_stored_hash(&file, Some(index * Hash::SIZE as u64), reason);
                }
                Err(error) => {
                    use io::ErrorKind::{NotFound, UnexpectedEof};
                    if !matches!(error.kind(), NotFound | UnexpectedEof) {
                        return Err(EvidenceError::io("read", &problems.tree().join(file), error));
                    }
                    self.missing.push(level);
                    let reason = format!(
                        "the hashes of level {level} from {index} on are missing; `attestry tree \
                         rebuild` repairs that"
                    );
                    problems.add_stored_hash(&file, None, reason);
                }
            }
        }
        Ok(())
    }
}
