//! A possible state of the disk after a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::record::{Change, Inode, Record};
use crate::outcome::Result;
use crate::rng::Rng;

/// The unit that a disk writes atomically.
const SECTOR: usize = 512;

/// Which unsynced changes are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// All.
    All,
    /// None.
    Nothing,
    /// All after some change, which is torn: a file system that keeps the order of changes.
    Tail,
    /// Any subset; writes may be torn at any byte.
    Any,
    /// As [`Any`](Self::Any), and any sectors of each write; they are zeros where the file grew.
    Sectors,
}

pub(super) const LOSSES: [Loss; 5] =
    [Loss::All, Loss::Nothing, Loss::Tail, Loss::Any, Loss::Sectors];

/// The outcome of one change.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lost,
    Torn,
    Kept,
}

/// Names and contents of files.
#[derive(Debug, Default)]
pub(super) struct Disk {
    names: BTreeMap<PathBuf, Inode>,
    folders: Vec<Inode>,
    contents: BTreeMap<Inode, Vec<u8>>,
}

impl Disk {
    /// A possible state after a cut at `moment`.
    pub(super) fn after(record: &Record, moment: usize, loss: Loss, rng: &mut Rng) -> Self {
        let begun = record.steps.iter().filter(|step| step.start <= moment);
        let steps: Vec<_> =
            begun.map(|step| (&step.change, step.safe.is_some_and(|end| end <= moment))).collect();
        let open = steps.iter().filter(|(_, safe)| !safe).count();
        let mut left = rng.below(open + 1);
        let mut disk = Self::default();
        // Names with a lost change: later changes of the same name are lost, too.
        let mut lost: Vec<&PathBuf> = Vec::new();
        for (change, safe) in steps {
            if safe {
                disk.apply(change);
                continue;
            }
            let fate = match loss {
                Loss::All => Fate::Lost,
                Loss::Nothing => Fate::Kept,
                Loss::Tail => [Fate::Lost, Fate::Torn, Fate::Kept][left.min(2)],
                Loss::Any | Loss::Sectors => [Fate::Lost, Fate::Torn, Fate::Kept][rng.below(3)],
            };
            left = left.saturating_sub(1);
            let names = change.names();
            match fate {
                Fate::Torn if names.is_empty() => {
                    disk.apply_torn(change, loss == Loss::Sectors, rng);
                }
                Fate::Kept if !names.iter().any(|name| lost.contains(name)) => disk.apply(change),
                _ => lost.extend(names),
            }
        }
        disk
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { inode, at, data } => self.write(*inode, *at, data),
            Change::Truncate { inode, length } => {
                self.contents.entry(*inode).or_default().resize(*length, 0);
            }
            Change::Create { path, inode, folder } => {
                self.names.insert(path.clone(), *inode);
                if *folder {
                    self.folders.push(*inode);
                }
            }
            Change::Rename { from, to, inode } => {
                if self.names.get(from) == Some(inode) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *inode);
            }
            Change::Remove { path, inode } => {
                if self.names.get(path) == Some(inode) {
                    self.names.remove(path);
                }
            }
        }
    }

    /// Applies part of a write. A change of length is atomic.
    fn apply_torn(&mut self, change: &Change, sectors: bool, rng: &mut Rng) {
        let Change::Write { inode, at, data } = change else { return };
        if !sectors {
            self.write(*inode, *at, &data[..rng.below(data.len() + 1)]);
            return;
        }
        let mut start = 0;
        while start < data.len() {
            let end = ((at + start) / SECTOR + 1) * SECTOR - at;
            let end = end.min(data.len());
            if rng.percent(50) {
                self.write(*inode, at + start, &data[start..end]);
            }
            start = end;
        }
    }

    fn write(&mut self, inode: Inode, at: usize, data: &[u8]) {
        let content = self.contents.entry(inode).or_default();
        if content.len() < at + data.len() {
            content.resize(at + data.len(), 0);
        }
        content[at..at + data.len()].copy_from_slice(data);
    }

    /// Creates the files, at `to` instead of `from`. The content of a lost folder is lost.
    pub(super) fn build(&self, from: &Path, to: &Path) -> Result {
        for (path, inode) in &self.names {
            let Ok(relative) = path.strip_prefix(from) else { continue };
            let path = to.join(relative);
            if !path.parent().is_some_and(Path::exists) {
                continue;
            }
            if self.folders.contains(inode) {
                fs::create_dir(&path)?;
            } else {
                fs::write(&path, self.contents.get(inode).map_or(&[][..], Vec::as_slice))?;
            }
        }
        Ok(())
    }
}
