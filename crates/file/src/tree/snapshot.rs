//! A consistent view of the tree and the segments for readers. Readers take no lock.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::checkpoints::Checkpoints;
use super::error::{EvidenceError, Result};
use super::records::Records;
use super::segment_map::SegmentMap;
use super::text_file::TextFile;
use super::tiles::Tiles;
use super::tree_head::{TreeHead, TreeHeadFile};
use crate::fs::epoch::Stamp;
use crate::fs::layout::Folder;
use crate::fs::{open, sys};
use crate::segment::SegmentName;

/// Attempts to get a snapshot during which nothing was renamed.
const MAX_ATTEMPTS: usize = 10;

/// How long to wait for the store lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_micros(50);

/// The tree at one moment. Open files stay readable when they are renamed or unlinked.
#[derive(Debug)]
pub(super) struct TreeSnapshot {
    pub(super) head: TreeHead,
    pub(super) map: SegmentMap,
    pub(super) records: Records,
    pub(super) tiles: Tiles,
    pub(super) checkpoints: Checkpoints,
    /// In the order they were written.
    pub(super) segments: Vec<OpenSegment>,
}

/// A segment and its length at that moment.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) name: SegmentName,
    pub(super) file: File,
    pub(super) length: u64,
}

/// What of a snapshot is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Tree,
    Records,
    All,
}

impl TreeSnapshot {
    /// The tree without records and segments.
    pub(super) fn tree_only(folder: &Folder) -> Result<Self> {
        Self::take(folder, Parts::Tree)
    }

    /// Everything.
    pub(super) fn full(folder: &Folder) -> Result<Self> {
        Self::take(folder, Parts::All)
    }

    /// The records only.
    pub(super) fn records(folder: &Folder) -> Result<Records> {
        Ok(Self::read(folder, Parts::Records)?.0.records)
    }

    fn take(folder: &Folder, parts: Parts) -> Result<Self> {
        let mut attempts = 0;
        loop {
            let before = Stamp::read(folder)?.epochs;
            let (snapshot, head) = Self::read(folder, parts)?;
            attempts += 1;
            // A segment may have been renamed or created while the parts were read.
            let unchanged = before == Stamp::read(folder)?.epochs
                && head.sequence == snapshot.head.sequence
                && head.map_len == snapshot.head.map_len;
            if unchanged || attempts == MAX_ATTEMPTS {
                return Ok(snapshot);
            }
        }
    }

    /// A snapshot, and the head after all of it was read.
    fn read(folder: &Folder, parts: Parts) -> Result<(Self, TreeHead)> {
        let tree = folder.tree();
        let head_path = tree.join("head");
        let failed = |source| EvidenceError::io("read", &head_path, source);
        if !open::exists(&head_path).map_err(failed)? {
            folder.list()?; // a missing folder is another error
            return Err(EvidenceError::NotKept { path: folder.path().to_path_buf() });
        }
        let head_file = TreeHeadFile::open(&head_path, false).map_err(failed)?;
        let read_head = || -> Result<TreeHead> {
            let head = match head_file.published().map_err(failed)? {
                Some(head) => Some(head),
                None => head_file.persisted().map_err(failed)?,
            };
            head.ok_or_else(|| EvidenceError::damaged(&head_path, "all slots are invalid"))
        };
        let mut head = read_head()?;
        let map_file = TextFile::open(tree.join("places"), false)?;
        let mut map = SegmentMap::read(&map_file, head.map_len)?;
        let erasures = TextFile::open(tree.join("erasures"), false)?;
        let records_len = if parts == Parts::Tree { 0 } else { head.records_len };
        let records = Records::read(&erasures, records_len)?;
        let listed = folder.list()?;
        let exists = |name| listed.binary_search_by_key(&name, |found| found.name).is_ok();
        if let Some((recorded, actual)) = map.revert_pending_rename(exists)
            && head.current == Some(recorded)
        {
            head.current = Some(actual);
        }
        let mut segments = Vec::new();
        for found in listed.into_iter().filter(|_| parts == Parts::All) {
            let path = folder.segment(found.name);
            let file = match open::read(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(EvidenceError::io("open", &path, source)),
            };
            let length = sys::length_of(&file)
                .map_err(|source| EvidenceError::io("examine", &path, source))?;
            segments.push(OpenSegment { name: found.name, file, length });
        }
        let head_after = read_head()?;
        let tiles = Tiles::new(tree, false);
        let checkpoints = Checkpoints::of(folder);
        Ok((Self { head, map, records, tiles, checkpoints, segments }, head_after))
    }
}

/// Excludes writers while the result lives. `None` if the store was never opened for writing, or its
/// writers leave no gap within [`LOCK_TIMEOUT`].
pub(super) fn exclude_writers(folder: &Folder) -> Option<File> {
    let lock = open::read(&folder.lock()).ok()?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    while Instant::now() < deadline {
        if lock.try_lock_shared().is_ok() {
            return Some(lock);
        }
        thread::sleep(LOCK_POLL);
    }
    None
}
