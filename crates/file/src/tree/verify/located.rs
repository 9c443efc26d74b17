//! Which file of the folder has the lines of which segment.
//!
//! Usually that is the file with its name. Another program rotates on its own, a copy may be taken in the middle
//! of a rotation, and an attacker can rename: then a file is known by its first two lines.

use std::collections::HashMap;
use std::ops::Range;

use attestry_evidence::{Hash, TreeError};

use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use crate::tree::error::{EvidenceError, Result};
use crate::tree::line_hashes::LineHashes;
use crate::tree::records::Records;
use crate::tree::segment_map::SegmentMap;
use crate::tree::snapshot::OpenSegment;
use crate::tree::tiles::{Leaves, Tiles};

/// The files of all segments.
pub(super) struct Located<'a> {
    /// By the index of the segment in the map.
    files: Vec<Option<&'a OpenSegment>>,
    /// The files of no segment, in the order they were written.
    pub(super) unknown: Vec<&'a OpenSegment>,
    pub(super) renamed: Vec<Renamed>,
}

/// The lines of a segment are in a file with another name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renamed {
    pub(super) from: SegmentName,
    pub(super) to: SegmentName,
    /// The name is that of another segment.
    replaces: bool,
    /// … which has leaves.
    replaces_leaves: bool,
}

impl Renamed {
    fn is_of_one_day(self) -> bool {
        self.from.day() == self.to.day()
    }

    /// Whether that is what another program does that seals the active segment: the name is new.
    pub(super) fn is_rotation(self) -> bool {
        self.is_of_one_day() && self.from.is_active() && !self.to.is_active() && !self.replaces
    }

    /// Whether the file is from before a rotation, and the tree from after it: copied in this order.
    pub(super) fn is_before_rotation(self) -> bool {
        self.is_of_one_day() && self.to.is_active() && self.replaces_leaves
    }
}

/// A file whose first line is not that of the segment of its name.
struct Suspect {
    file: usize,
    second: Option<Hash>,
}

/// What locating reads.
pub(super) struct Locator<'a, 'b> {
    pub(super) folder: &'b Folder,
    pub(super) map: &'b SegmentMap,
    pub(super) size: u64,
    pub(super) records: &'b Records,
    pub(super) tiles: &'b mut Tiles,
    pub(super) segments: &'a [OpenSegment],
}

impl<'a> Locator<'a, '_> {
    /// Reads the first lines of each file, and the leaves of segments that have no file of their name.
    pub(super) fn locate(mut self) -> Result<Located<'a>> {
        let count = self.map.segments().len();
        let mut own: Vec<Option<usize>> = vec![None; count];
        for (index, mapped) in self.map.segments().iter().enumerate() {
            let by_name = self.segments.binary_search_by_key(&mapped.name, |file| file.name);
            own[index] = by_name.ok().filter(|_| !mapped.removed);
        }
        let mut owner: Vec<Option<usize>> = vec![None; self.segments.len()];
        own.iter().enumerate().for_each(|(index, file)| {
            if let Some(file) = file {
                owner[*file] = Some(index);
            }
        });
        let mut suspects: HashMap<Hash, Suspect> = HashMap::new();
        let mut is_suspect = vec![false; self.segments.len()];
        for file in 0..self.segments.len() {
            let (first, second) = self.first_lines(&self.segments[file])?;
            let Some(first) = first else { continue };
            let expected = match owner[file] {
                Some(index) => self.live_leaves(index, |_| true)?.first().copied(),
                None => None,
            };
            if expected != Some(first) {
                is_suspect[file] = true;
                suspects.entry(first).or_insert(Suspect { file, second });
            }
        }
        let mut renamed = Vec::new();
        let mut taken = vec![false; self.segments.len()];
        let is_lost = |file: Option<usize>| file.is_none_or(|file| is_suspect[file]);
        let lost: Vec<usize> = (0..count)
            .filter(|&index| !self.map.segments()[index].removed && is_lost(own[index]))
            .collect();
        for index in lost {
            let suspect = self.live_leaves(index, |hash| suspects.contains_key(&hash))?;
            let [first, rest @ ..] = &suspect[..] else { continue };
            let is_it = |suspect: &&Suspect| {
                let second_fits = suspect
                    .second
                    .is_none_or(|second| rest.first().is_none_or(|next| *next == second));
                own[index] != Some(suspect.file) && second_fits
            };
            let Some(found) = suspects.get(first).filter(is_it).map(|suspect| suspect.file) else {
                continue;
            };
            suspects.remove(first);
            taken[found] = true;
            let replaces = owner[found].is_some();
            let has_leaves = |other: usize| !self.map.ranges_of(other, self.size).is_empty();
            let replaces_leaves = owner[found].is_some_and(has_leaves);
            if let Some(other) = owner[found].replace(index)
                && own[other] == Some(found)
            {
                own[other] = None;
            }
            if let Some(before) = own[index].replace(found)
                && owner[before] == Some(index)
            {
                owner[before] = None;
            }
            let (from, to) = (self.map.segments()[index].name, self.segments[found].name);
            renamed.push(Renamed { from, to, replaces, replaces_leaves });
        }
        let files = own.iter().map(|file| file.map(|file| &self.segments[file])).collect();
        let unknown =
            (0..self.segments.len()).filter(|&file| owner[file].is_none() && !taken[file]);
        let unknown = unknown.map(|file| &self.segments[file]).collect();
        Ok(Located { files, unknown, renamed })
    }

    /// The hashes of the first two lines of a file.
    fn first_lines(&self, file: &OpenSegment) -> Result<(Option<Hash>, Option<Hash>)> {
        let path = self.folder.segment(file.name);
        let failed = |source| EvidenceError::io("read", &path, source);
        let mut lines = LineHashes::new(&file.file, 0, file.length);
        let first = lines.next().map_err(failed)?.map(|line| line.hash);
        let second = lines.next().map_err(failed)?.map(|line| line.hash);
        Ok((first, second))
    }

    /// Of the leaves of a segment that are lines and were not erased: the first that `wanted` accepts, and the
    /// one behind it.
    fn live_leaves(&mut self, index: usize, wanted: impl Fn(Hash) -> bool) -> Result<Vec<Hash>> {
        let tree = self.folder.tree();
        let mut found = Vec::new();
        for range in self.map.ranges_of(index, self.size) {
            let Range { start, end } = range;
            let mut leaves = Leaves::new(start..end);
            for leaf in start..end {
                let hash = leaves
                    .next(self.tiles)
                    .map_err(|source| EvidenceError::tree(&tree, TreeError::Read(source)))?;
                let Some(hash) = hash else { break };
                let is_line =
                    self.records.record_at(leaf).is_none() && !self.records.is_erased(leaf);
                if is_line && (!found.is_empty() || wanted(hash)) {
                    found.push(hash);
                    if found.len() == 2 {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }
}

impl<'a> Located<'a> {
    /// The file with the lines of a segment, by its index in the map.
    pub(super) fn file(&self, index: usize) -> Option<&'a OpenSegment> {
        self.files[index]
    }

    /// The name of a segment now.
    pub(super) fn name_now(&self, name: SegmentName) -> SegmentName {
        self.renamed.iter().find(|renamed| renamed.from == name).map_or(name, |renamed| renamed.to)
    }
}
