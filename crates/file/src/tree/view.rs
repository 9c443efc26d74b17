//! The tree and the segments at one moment, for readers.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::EvidenceError;
use super::checkpoints::Checkpoints;
use super::erased::Erased;
use super::head::{Head, HeadFile};
use super::keeper::{checkpoints_folder, read_text};
use super::places::Places;
use super::tiles::Tiles;
use crate::fs::epoch::Stamp;
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::segment::SegmentName;

/// Looks that are taken for one at which nothing was renamed.
const TRIES: usize = 10;

/// How long a gap between two batches is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of a store's evidence. The files stay open: whatever is renamed or unlinked later
/// is still read.
#[derive(Debug)]
pub(super) struct View {
    pub(super) head: Head,
    pub(super) places: Places,
    pub(super) erased: Erased,
    pub(super) tiles: Tiles,
    pub(super) checkpoints: Checkpoints,
    /// In the order written.
    pub(super) segments: Vec<OpenSegment>,
}

/// A segment, and how long it was then.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) name: SegmentName,
    pub(super) file: File,
    pub(super) length: u64,
}

impl View {
    /// Takes a look at the tree, beside whoever writes. Segments and erasure records are left out.
    pub(super) fn of_tree(folder: &Folder) -> Result<Self, EvidenceError> {
        Self::take(folder, false)
    }

    /// Takes a look at all there is, beside whoever writes.
    pub(super) fn of_all(folder: &Folder) -> Result<Self, EvidenceError> {
        Self::take(folder, true)
    }

    fn take(folder: &Folder, all: bool) -> Result<Self, EvidenceError> {
        let mut tries = 0;
        loop {
            let before = Stamp::read(folder)?.epochs;
            let (view, head) = Self::look(folder, all)?;
            tries += 1;
            // Between the parts of the look a segment may have been renamed, or a new one begun.
            let quiet = before == Stamp::read(folder)?.epochs
                && head.sequence == view.head.sequence
                && head.places == view.head.places;
            if quiet || tries == TRIES {
                return Ok(view);
            }
        }
    }

    /// The view, and the head once all of it had been read.
    fn look(folder: &Folder, all: bool) -> Result<(Self, Head), EvidenceError> {
        let tree = folder.tree();
        let head_path = tree.join("head");
        if !head_path.exists() {
            folder.list()?; // a folder that is missing is another matter
            return Err(EvidenceError::NotKept { path: folder.path().to_path_buf() });
        }
        let failed = |source| EvidenceError::io("read", &head_path, source);
        let head_file = HeadFile::open(&head_path, false).map_err(failed)?;
        let read_head = || -> Result<Head, EvidenceError> {
            let head = match head_file.live().map_err(failed)? {
                Some(head) => Some(head),
                None => head_file.marked().map_err(failed)?,
            };
            head.ok_or_else(|| EvidenceError::damaged(&head_path, "none of it can be read"))
        };
        let mut head = read_head()?;
        let text = |name: &str, length| {
            let path = tree.join(name);
            let failed = |source| EvidenceError::io("read", &path, source);
            let file = File::open(&path).map_err(failed)?;
            let text = read_text(&file, 0..length).map_err(failed)?;
            let text = text.ok_or_else(|| EvidenceError::damaged(&path, "it is too short"))?;
            Ok::<_, EvidenceError>((path, text))
        };
        let line = |path: PathBuf| {
            move |number| EvidenceError::damaged(&path, format!("line {number} is none"))
        };
        let (path, places) = text("places", head.places)?;
        let mut places = Places::parse(&places).map_err(line(path))?;
        let (path, erased) = text("erasures", if all { head.erasures } else { 0 })?;
        let erased = Erased::parse(&erased).map_err(line(path))?;
        let listed = folder.list()?;
        let is_there = |name| listed.iter().any(|found| found.name == name);
        if let Some((noted, name)) = places.not_yet_renamed(is_there)
            && head.current == Some(noted)
        {
            head.current = Some(name);
        }
        let mut segments = Vec::new();
        for found in listed.into_iter().filter(|_| all) {
            let path = folder.segment(found.name);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(EvidenceError::io("open", &path, source)),
            };
            let length = sys::length_of(&file)
                .map_err(|source| EvidenceError::io("examine", &path, source))?;
            segments.push(OpenSegment { name: found.name, file, length });
        }
        let head_by_now = read_head()?;
        let view = Self {
            head,
            places,
            erased,
            tiles: Tiles::new(tree, false),
            checkpoints: Checkpoints::new(checkpoints_folder(folder)),
            segments,
        };
        Ok((view, head_by_now))
    }
}

/// Keeps writers out for as long as it is kept; `None` where there are none, or they leave no gap.
pub(super) fn keep_writers_out(folder: &Folder) -> Option<File> {
    let lock = File::open(folder.lock()).ok()?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if lock.try_lock_shared().is_ok() {
            return Some(lock);
        }
        thread::sleep(Duration::from_micros(50));
    }
    None
}
