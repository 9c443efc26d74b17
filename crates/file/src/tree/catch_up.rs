//! Bringing the tree up to date with the segments: what a crash kept out of it, what the Python
//! package or a process without evidence has written, and what was there before it was begun.

use std::fs::File;
use std::io;

use attestry_core::{StorageError, Timestamp};
use attestry_evidence::leaf_hash;

use super::EvidenceError;
use super::keeper::Keeper;
use super::lines::{HashedLines, line_before};
use super::places::Event;
use crate::fs::layout::Listed;
use crate::fs::sys;
use crate::segment::SegmentName;

/// So many lines are taken in at once.
const BATCH: usize = 4_096;

type Result<T> = std::result::Result<T, EvidenceError>;

impl Keeper {
    /// Makes sure that the tree has all lines up to the end of `file`, `length` bytes long, which
    /// is appended to next. With a `fresh` one, or one that was rewritten, it looks at all segments.
    pub(super) fn cover(
        &mut self,
        name: SegmentName,
        file: &File,
        length: u64,
        fresh: bool,
    ) -> Result<()> {
        let grows = self.head.current == Some(name) && !fresh;
        if grows && self.head.covered == length {
            return Ok(());
        }
        let grew = grows && self.head.covered < length;
        if !grew || !self.continues(name, file, self.head.covered)? {
            self.catch_up()?;
        }
        self.absorb(name, file, length)?;
        self.switch_to(name);
        self.tell()
    }

    /// Takes in all lines of all segments that are not in the tree.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        let listed = self.folder.list()?;
        self.notice_renames(&listed)?;
        for found in &listed {
            let path = self.folder.segment(found.name);
            match File::open(&path) {
                Ok(file) => self.absorb(found.name, &file, found.length)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(EvidenceError::io("open", &path, source)),
            }
        }
        if self.places.adopted().is_none() {
            // The first time: all this was there before.
            self.places.note(Event::Backfill { leaves: self.head.size, at: Timestamp::now() });
            return self.mark();
        }
        self.tell()
    }

    /// Segments that have another name than the tree knows of: rotated by the Python package, or a
    /// rename that was announced and did not happen.
    fn notice_renames(&mut self, listed: &[Listed]) -> Result<()> {
        for found in listed.iter().filter(|found| found.length > 0) {
            if self.places.knows(found.name) {
                continue;
            }
            let is_there = |name: SegmentName| listed.iter().any(|listed| listed.name == name);
            // What lies under the day's own name may be another segment by now.
            let candidates: Vec<SegmentName> = self
                .places
                .known()
                .filter(|name| name.day() == found.name.day())
                .filter(|&name| name.is_active() || !is_there(name))
                .collect();
            if candidates.is_empty() {
                continue;
            }
            let path = self.folder.segment(found.name);
            let failed = |source| EvidenceError::io("read", &path, source);
            let file = File::open(&path).map_err(failed)?;
            let Some(first) = HashedLines::new(&file, 0, found.length).next().map_err(failed)?
            else {
                continue;
            };
            for known in candidates {
                if self.find_line(known, first.hash, 0.0)?.is_some() {
                    self.renamed(known, found.name);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes in the lines of a segment behind those that are in the tree.
    fn absorb(&mut self, name: SegmentName, file: &File, length: u64) -> Result<()> {
        let path = self.folder.segment(name);
        let failed = |source| EvidenceError::io("read", &path, source);
        if self.covered(name) == Some(length) {
            return Ok(());
        }
        let from = match self.covered(name) {
            None | Some(0) => 0,
            Some(covered) if self.continues(name, file, covered)? => covered,
            Some(_) => self.end_of_known(name, file, length)?,
        };
        let mut lines = HashedLines::new(file, from, length);
        let mut leaves = Vec::new();
        let mut synced = false;
        loop {
            let line = lines.next().map_err(failed)?;
            if line.is_some() && !std::mem::replace(&mut synced, true) {
                // Whoever wrote it need not have, nor made its name one that stays: no mark and no
                // checkpoint is to cover what may be lost yet.
                let synced = file.sync_data().and_then(|()| sys::sync_folder(self.folder.path()));
                synced.map_err(|source| EvidenceError::io("sync", &path, source))?;
            }
            leaves.extend(line.map(|line| line.hash));
            if leaves.len() == BATCH || (line.is_none() && !leaves.is_empty()) {
                self.switch_to(name);
                self.push(leaves.drain(..), lines.offset())?;
            }
            if line.is_none() {
                if self.covered(name) != Some(lines.offset()) {
                    self.set_covered(name, lines.offset());
                }
                return Ok(());
            }
        }
    }

    /// Whether the file is up to `covered` what it was: its line there is the last of the leaves, or
    /// blank. The Python package may have rewritten it.
    fn continues(&mut self, name: SegmentName, file: &File, covered: u64) -> Result<bool> {
        let path = self.folder.segment(name);
        let line =
            line_before(file, covered).map_err(|source| StorageError::io("read", &path, source))?;
        let Some(line) = line else { return Ok(false) };
        if line.trim_ascii().is_empty() {
            return Ok(true);
        }
        Ok(self.find_line(name, leaf_hash(&line), 1.0)?.is_some())
    }

    /// Where the last line of a rewritten file ends that is in the tree.
    fn end_of_known(&mut self, name: SegmentName, file: &File, length: u64) -> Result<u64> {
        let path = self.folder.segment(name);
        let known = self.hashes_of(name)?;
        let mut lines = HashedLines::new(file, 0, length);
        let mut end = 0;
        while let Some(line) =
            lines.next().map_err(|source| StorageError::io("read", &path, source))?
        {
            if known.contains(&line.hash) {
                end = line.end();
            }
        }
        Ok(end)
    }
}
