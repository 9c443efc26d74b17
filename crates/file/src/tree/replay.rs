//! Replay: appends the lines that are in the segments but not in the tree.
//!
//! These are lines that a crash kept out of it, lines of the Python package or of a process without
//! evidence, and everything that existed before the tree was created (the backfill).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;

use attestry_core::{StorageError, Timestamp};
use attestry_evidence::{Hash, leaf_hash};

use super::error::{EvidenceError, Result};
use super::line_hashes::{LineHashes, line_before};
use super::segment_map::Event;
use super::tiles::Leaves;
use super::tree_writer::TreeWriter;
use crate::fs::layout::Listed;
use crate::fs::{open, sys};
use crate::segment::SegmentName;

const LINES_PER_APPEND: usize = 4_096;

impl TreeWriter {
    /// Replays the segment that is appended to next: `file`, of which `length` bytes are whole lines.
    /// All segments are replayed if it was `reopened` or was rewritten.
    pub(super) fn replay_active(
        &mut self,
        name: SegmentName,
        file: &File,
        length: u64,
        reopened: bool,
    ) -> Result<()> {
        let is_current = self.head.current == Some(name) && !reopened;
        if is_current && self.head.covered == length {
            return Ok(());
        }
        let grew = is_current && self.head.covered < length;
        if !grew || !self.is_unchanged(name, file, self.head.covered)? {
            self.replay_all()?;
        }
        self.replay(name, file, length)?;
        self.switch_to(name);
        self.publish()
    }

    /// Replays all segments.
    pub(super) fn replay_all(&mut self) -> Result<()> {
        let listed = self.folder.list()?;
        self.detect_renames(&listed)?;
        for found in &listed {
            let path = self.folder.segment(found.name);
            match open::read(&path) {
                Ok(file) => self.replay(found.name, &file, found.length)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(EvidenceError::io("open", &path, source)),
            }
        }
        if self.map.backfill().is_none() {
            // The first replay of this tree.
            self.map.record(Event::Backfilled { leaves: self.head.size, at: Timestamp::now() });
            return self.persist();
        }
        self.publish()
    }

    /// Renames in the map the segments that were sealed by the Python package, and those whose recorded
    /// rename did not happen.
    fn detect_renames(&mut self, listed: &[Listed]) -> Result<()> {
        let exists = |name| listed.binary_search_by_key(&name, |found| found.name).is_ok();
        let unknown = listed
            .iter()
            .filter(|found| found.length > 0 && !self.map.contains(found.name))
            .collect::<Vec<_>>();
        let days: BTreeMap<u32, SegmentName> =
            unknown.iter().map(|found| (found.name.day(), found.name)).collect();
        let mut candidates = Vec::new();
        for &day in days.values() {
            // The file with the active name of the day may be another segment by now.
            let of_day = self.map.names_of_day(day);
            candidates.extend(of_day.filter(|&name| name.is_active() || !exists(name)));
        }
        if candidates.is_empty() {
            return Ok(());
        }
        let mut by_first_line = HashMap::new();
        for found in unknown {
            let path = self.folder.segment(found.name);
            let failed = |source| EvidenceError::io("read", &path, source);
            let file = open::read(&path).map_err(failed)?;
            let first = LineHashes::new(&file, 0, found.length).next().map_err(failed)?;
            if let Some(first) = first {
                by_first_line.entry((found.name.day(), first.hash)).or_insert(found.name);
            }
        }
        // Each leaf once, whatever number of files there are.
        for candidate in candidates {
            if by_first_line.is_empty() {
                break;
            }
            if let Some(now) = self.find_first_line(candidate, &mut by_first_line)? {
                self.rename(candidate, now);
            }
        }
        Ok(())
    }

    /// The segment whose first line is a leaf of `candidate` that was not erased. Removes it from
    /// `by_first_line`, whose keys are day and hash.
    fn find_first_line(
        &mut self,
        candidate: SegmentName,
        by_first_line: &mut HashMap<(u32, Hash), SegmentName>,
    ) -> Result<Option<SegmentName>> {
        let day = candidate.day();
        for range in self.map.leaf_ranges(candidate, self.head.size) {
            let mut leaves = Leaves::new(range.clone());
            for leaf in range {
                let hash =
                    leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))?;
                let Some(hash) = hash else { break };
                if by_first_line.contains_key(&(day, hash))
                    && !self.records.erased(self.head.records_len)?.contains(leaf)
                {
                    return Ok(by_first_line.remove(&(day, hash)));
                }
            }
        }
        Ok(None)
    }

    /// Appends the lines of a segment that follow those in the tree.
    fn replay(&mut self, name: SegmentName, file: &File, length: u64) -> Result<()> {
        let path = self.folder.segment(name);
        let failed = |source| EvidenceError::io("read", &path, source);
        if self.covered(name) == Some(length) {
            return Ok(());
        }
        let from = match self.covered(name) {
            None | Some(0) => 0,
            Some(covered) if self.is_unchanged(name, file, covered)? => covered,
            Some(_) => self.end_of_last_known_line(name, file, length)?,
        };
        let mut lines = LineHashes::new(file, from, length);
        let mut leaves = Vec::new();
        let mut synced = false;
        loop {
            let line = lines.next().map_err(failed)?;
            if line.is_some() && !std::mem::replace(&mut synced, true) {
                // Their writer need not have synced the file or its name; neither a persisted head nor
                // a checkpoint may refer to lines that a power cut can take.
                let synced = file.sync_data().and_then(|()| sys::sync_folder(self.folder.path()));
                synced.map_err(|source| EvidenceError::io("sync", &path, source))?;
            }
            leaves.extend(line.map(|line| line.hash));
            if leaves.len() == LINES_PER_APPEND || (line.is_none() && !leaves.is_empty()) {
                self.switch_to(name);
                self.append(leaves.drain(..), lines.offset())?;
            }
            if line.is_none() {
                if self.covered(name) != Some(lines.offset()) {
                    self.set_covered(name, lines.offset());
                }
                return Ok(());
            }
        }
    }

    /// Whether the first `covered` bytes are what they were, judging by the last line: it is blank or a
    /// leaf of the segment. The Python package rewrites whole files.
    fn is_unchanged(&mut self, name: SegmentName, file: &File, covered: u64) -> Result<bool> {
        let path = self.folder.segment(name);
        let line =
            line_before(file, covered).map_err(|source| StorageError::io("read", &path, source))?;
        let Some(line) = line else { return Ok(false) };
        if line.trim_ascii().is_empty() {
            return Ok(true);
        }
        Ok(self.find_leaf(name, leaf_hash(&line), 1.0)?.is_some())
    }

    /// End of the last line of a rewritten file that is in the tree.
    fn end_of_last_known_line(
        &mut self,
        name: SegmentName,
        file: &File,
        length: u64,
    ) -> Result<u64> {
        let path = self.folder.segment(name);
        let known = self.leaf_hashes(name)?;
        let mut lines = LineHashes::new(file, 0, length);
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
