//! The hashes of the tree on disk: the files `tiles.0` (leaf hashes), `tiles.1`, ...
//!
//! The file of a level holds its tiles of 256 hashes one after another; the last one is partial.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use attestry_evidence::{Hash, ReadHashes, Tree};

use crate::fs::{open, sys};

/// More levels than a tree can have.
const LEVELS: usize = 8;

/// The files, opened on first use.
#[derive(Debug)]
pub(super) struct Tiles {
    folder: PathBuf,
    files: [Option<File>; LEVELS],
    write: bool,
    /// Levels that may have been written since their last sync.
    dirty: [bool; LEVELS],
}

impl Tiles {
    pub(super) fn new(folder: PathBuf, write: bool) -> Self {
        Self { folder, files: Default::default(), write, dirty: [false; LEVELS] }
    }

    fn file(&mut self, level: usize) -> io::Result<&File> {
        let Some(slot) = self.files.get_mut(level) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if slot.is_none() {
            let path = self.folder.join(format!("tiles.{level}"));
            *slot = Some(if self.write {
                open::read_write_or_create(&path)?
            } else {
                open::read(&path)?
            });
        }
        slot.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Appends leaves to `tree` and writes the hashes that become final. After an error, `tree` is
    /// ahead of the files.
    pub(super) fn append(
        &mut self,
        tree: &mut Tree,
        leaves: impl IntoIterator<Item = Hash>,
    ) -> io::Result<()> {
        let mut new: [(u64, Vec<u8>); LEVELS] = Default::default();
        for leaf in leaves {
            tree.push_with(leaf, |stored| {
                let (first, bytes) = &mut new[usize::from(stored.level)];
                if bytes.is_empty() {
                    *first = stored.index;
                }
                bytes.extend_from_slice(stored.hash.as_bytes());
            });
        }
        for (level, (first, bytes)) in new.iter().enumerate() {
            if !bytes.is_empty() {
                self.dirty[level] = true;
                sys::write_all_at(self.file(level)?, bytes, offset_of(*first)?)?;
            }
        }
        Ok(())
    }

    /// Marks the first `levels` as dirty: other processes may have written them without a sync.
    pub(super) fn mark_dirty(&mut self, levels: u32) {
        self.dirty.iter_mut().zip(0..levels).for_each(|(dirty, _)| *dirty = true);
    }

    /// Syncs the files that are dirty. The names of new files are not synced.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        for level in 0..LEVELS {
            if self.dirty[level] {
                sys::sync_data(self.file(level)?)?;
                self.dirty[level] = false;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn dirty_levels(&self) -> Vec<usize> {
        (0..LEVELS).filter(|&level| self.dirty[level]).collect()
    }
}

impl ReadHashes for Tiles {
    type Error = io::Error;

    fn read_hashes(&mut self, level: u8, first: u64, out: &mut [Hash]) -> io::Result<()> {
        let mut bytes = vec![0; out.len() * Hash::SIZE];
        sys::read_exact_at(self.file(level.into())?, &mut bytes, offset_of(first)?)?;
        let (chunks, _) = bytes.as_chunks::<{ Hash::SIZE }>();
        for (hash, chunk) in out.iter_mut().zip(chunks) {
            *hash = Hash::from_bytes(*chunk);
        }
        Ok(())
    }
}

/// Offset of a hash in the file of its level.
fn offset_of(index: u64) -> io::Result<u64> {
    index.checked_mul(Hash::SIZE as u64).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Iterates over leaf hashes in order, with large reads. Fails at a hash of zeros only, which nothing hashes to:
/// there the file has a hole, or lost what was written. A sparse file has any length at no cost, and would
/// otherwise be read to its end.
#[derive(Debug)]
pub(super) struct Leaves {
    range: Range<u64>,
    buffer: std::vec::IntoIter<Hash>,
}

impl Leaves {
    const HASHES_PER_READ: u64 = 4_096;

    pub(super) fn new(range: Range<u64>) -> Self {
        Self { range, buffer: Vec::new().into_iter() }
    }

    /// The next leaf hash; `None` at the end.
    pub(super) fn next(&mut self, tiles: &mut Tiles) -> io::Result<Option<Hash>> {
        if let Some(hash) = self.buffer.next() {
            return Ok(Some(hash));
        }
        let left = self.range.end.saturating_sub(self.range.start);
        let count = left.min(Self::HASHES_PER_READ);
        if count == 0 {
            return Ok(None);
        }
        let mut hashes = vec![Hash::EMPTY_TREE; count as usize];
        tiles.read_hashes(0, self.range.start, &mut hashes)?;
        if let Some(at) = hashes.iter().position(|hash| *hash.as_bytes() == [0; Hash::SIZE]) {
            let leaf = self.range.start + at as u64;
            let message = format!("the leaf hash {leaf} in tiles.0 is missing: it is all zeros");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.range.start += count;
        self.buffer = hashes.into_iter();
        Ok(self.buffer.next())
    }
}
