//! The hashes of the tree in files, one for each level: its tiles of 256 hashes, one behind the
//! other, the last one as far as it has come.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use attestry_evidence::{Hash, ReadHashes, Tree};

use crate::fs::sys;

const HASH: u64 = Hash::SIZE as u64;

/// More levels than a tree can have.
const LEVELS: usize = 8;

/// The files, opened as they are needed.
#[derive(Debug)]
pub(super) struct Tiles {
    folder: PathBuf,
    files: [Option<File>; LEVELS],
    write: bool,
    /// Levels that were written to and, as far as is known, not synced since.
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
            *slot = Some(open(&path(&self.folder, level), self.write)?);
        }
        slot.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Appends leaves to `tree` and stores what comes of that. After an error `tree` is ahead of
    /// what is stored.
    pub(super) fn extend(
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
                sys::write_all_at(self.file(level)?, bytes, place(*first)?)?;
            }
        }
        Ok(())
    }

    /// Takes it that others have written to the first `levels` and not synced them.
    pub(super) fn distrust(&mut self, levels: u32) {
        self.dirty.iter_mut().zip(0..levels).for_each(|(dirty, _)| *dirty = true);
    }

    /// Puts all that was stored on stable storage, the names of new files excepted.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        for level in 0..LEVELS {
            if self.dirty[level] {
                self.file(level)?.sync_data()?;
                self.dirty[level] = false;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn unsynced(&self) -> Vec<usize> {
        (0..LEVELS).filter(|&level| self.dirty[level]).collect()
    }

    /// The hashes of the leaves from `first` on, as many as `out` has.
    pub(super) fn leaves(&mut self, first: u64, out: &mut [Hash]) -> io::Result<()> {
        self.read_hashes(0, first, out)
    }
}

impl ReadHashes for Tiles {
    type Error = io::Error;

    fn read_hashes(&mut self, level: u8, first: u64, out: &mut [Hash]) -> io::Result<()> {
        let mut bytes = vec![0; out.len() * Hash::SIZE];
        sys::read_exact_at(self.file(level.into())?, &mut bytes, place(first)?)?;
        let (chunks, _) = bytes.as_chunks::<{ Hash::SIZE }>();
        for (hash, chunk) in out.iter_mut().zip(chunks) {
            *hash = Hash::from_bytes(*chunk);
        }
        Ok(())
    }
}

/// Where a hash lies in the file of its level.
fn place(index: u64) -> io::Result<u64> {
    index.checked_mul(HASH).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The file of a level.
pub(super) fn path(folder: &Path, level: usize) -> PathBuf {
    folder.join(format!("tiles.{level}"))
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    if write { sys::open_read_write(path) } else { OpenOptions::new().read(true).open(path) }
}

/// The leaf hashes from one leaf on, in order, read a few thousand at once.
#[derive(Debug)]
pub(super) struct Leaves {
    next: u64,
    end: u64,
    buffer: std::vec::IntoIter<Hash>,
}

impl Leaves {
    const AT_ONCE: u64 = 4_096;

    pub(super) fn new(first: u64, end: u64) -> Self {
        Self { next: first, end, buffer: Vec::new().into_iter() }
    }

    /// The next leaf's hash; `None` behind the last.
    pub(super) fn next(&mut self, tiles: &mut Tiles) -> io::Result<Option<Hash>> {
        if let Some(hash) = self.buffer.next() {
            return Ok(Some(hash));
        }
        let count = (self.end - self.next).min(Self::AT_ONCE);
        if count == 0 {
            return Ok(None);
        }
        let mut hashes = vec![Hash::EMPTY_TREE; count as usize];
        tiles.leaves(self.next, &mut hashes)?;
        self.next += count;
        self.buffer = hashes.into_iter();
        Ok(self.buffer.next())
    }
}
