//! The tree on the disk, and its being extended.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use attestry_evidence::{Checkpoint, ErasureRecord, Hash, Policy, SigningKey, Tree};

use super::EvidenceError;
use super::checkpoints::{Checkpoints, unproven};
use super::erased;
use super::erasures_file::ErasuresFile;
use super::head::{Head, HeadFile};
use super::places::{Event, Places};
use super::search;
use super::tiles::{Leaves, Tiles};
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::observer::EraseReason;
use crate::segment::SegmentName;

/// A mark is made at the latest after so many leaves, so that opening never has to read many lines
/// again.
const LEAVES_BETWEEN_MARKS: u64 = 1 << 16;

type Result<T> = std::result::Result<T, EvidenceError>;

/// The tree of one store.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) folder: Folder,
    path: PathBuf,
    head_file: HeadFile,
    pub(super) tiles: Tiles,
    places_file: File,
    erasures: ErasuresFile,
    checkpoints: Checkpoints,
    pub(super) tree: Tree,
    pub(super) places: Places,
    pub(super) head: Head,
    /// The latest mark that this process knows of.
    marked: Head,
    /// Lines are on stable storage before they come here.
    lines_are_synced: bool,
    /// Something failed midway: what is in memory is not what is in the files.
    stale: bool,
}

impl Keeper {
    /// The files of a tree that is there. Goes on from its latest mark.
    pub(super) fn open(folder: &Folder, lines_are_synced: bool) -> Result<Option<Self>> {
        let path = folder.tree();
        let head_path = path.join("head");
        let head_file = match fs::exists(&head_path) {
            Ok(true) => HeadFile::open(&head_path, true),
            Ok(false) => return Ok(None),
            Err(source) => Err(source),
        };
        let failed = |source| EvidenceError::io("open", &head_path, source);
        let head_file = head_file.map_err(failed)?;
        // Whoever began the tree may have died before the names of its files were there for good.
        for named_in in [&path, &folder.private()] {
            sys::sync_folder(named_in).map_err(failed)?;
        }
        let marked = head_file.sync().and_then(|()| head_file.marked()).map_err(failed)?;
        let mut head = marked.ok_or_else(|| damaged_head(&head_path))?;
        let marked = head.clone();
        // Whoever has the tree in memory must read it again, even if it comes to be as long.
        let live = head_file.live().map_err(failed)?.map_or(0, |live| live.sequence);
        head.sequence = head.sequence.max(live).saturating_add(1);
        let open = |name: &str| {
            let path = path.join(name);
            sys::open_read_write(&path).map_err(|source| EvidenceError::io("open", &path, source))
        };
        let mut keeper = Self {
            folder: folder.clone(),
            head_file,
            tiles: Tiles::new(path.clone(), true),
            places_file: open("places")?,
            erasures: ErasuresFile::open(&path)?,
            checkpoints: Checkpoints::new(checkpoints_folder(folder)),
            tree: Tree::new(),
            places: Places::default(),
            head: Head::default(),
            marked,
            lines_are_synced,
            stale: false,
            path,
        };
        let notes = keeper.checkpoints.folder();
        let mended = keeper.checkpoints.mend(&folder.quarantine());
        mended.map_err(|source| EvidenceError::io("mend", notes, source))?;
        keeper.read(head)?;
        keeper.tell()?;
        Ok(Some(keeper))
    }

    /// Begins a tree without leaves.
    pub(super) fn begin(folder: &Folder, lines_are_synced: bool) -> Result<Self> {
        let path = folder.tree();
        for folder in [path.clone(), checkpoints_folder(folder)] {
            sys::create_folder(&folder)
                .map_err(|source| EvidenceError::io("create the folder", &folder, source))?;
        }
        // What a crash left of an earlier beginning.
        for name in ["places", "erasures"] {
            let file = path.join(name);
            sys::open_read_write(&file)
                .and_then(|file| file.set_len(0))
                .map_err(|source| EvidenceError::io("create", &file, source))?;
        }
        let head = path.join("head");
        HeadFile::create(&head)
            .and_then(|()| sys::sync_folder(&path))
            .map_err(|source| EvidenceError::io("create", &head, source))?;
        Self::open(folder, lines_are_synced)?.ok_or_else(|| damaged_head(&head))
    }

    /// Reads the tree as `head` says it is.
    fn read(&mut self, head: Head) -> Result<()> {
        let places = self.path.join("places");
        let text = read_text(&self.places_file, 0..head.places)
            .map_err(|source| EvidenceError::io("read", &places, source))?;
        let text = text.ok_or_else(|| EvidenceError::damaged(&places, "it is too short"))?;
        self.places = Places::parse(&text)
            .map_err(|line| EvidenceError::damaged(&places, format!("line {line} is none")))?;
        self.tree = Tree::restore(head.size, &mut self.tiles)
            .map_err(|error| EvidenceError::tree(&self.path, error))?;
        self.head = head;
        self.stale = false;
        Ok(())
    }

    /// Reads the tree again if another process has extended it, or something failed here.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let path = self.path.join("head");
        let failed = |source| EvidenceError::io("read", &path, source);
        let live = self.head_file.live().map_err(failed)?;
        if !self.stale && live.as_ref() == Some(&self.head) {
            return Ok(());
        }
        let marked = self.head_file.marked().map_err(failed)?.ok_or_else(|| damaged_head(&path))?;
        if marked != self.marked {
            self.head_file.sync().map_err(failed)?;
        }
        // What is behind a mark may have been written anew.
        self.erasures.forget_behind(self.marked.erasures);
        self.marked = marked.clone();
        self.read(live.unwrap_or(marked))?;
        // Others need not have synced what they have written since.
        self.tiles.distrust(levels(self.head.size));
        Ok(())
    }

    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.head.size
    }

    /// How many leaves the latest checkpoint is of; 0 where there is none.
    pub(super) fn signed_size(&mut self) -> Result<u64> {
        Ok(self.latest()?.and_then(|note| unproven(&note)).map_or(0, |latest| latest.size()))
    }

    fn latest(&mut self) -> Result<Option<String>> {
        let folder = self.checkpoints.folder().to_path_buf();
        let latest = self.checkpoints.latest();
        let latest = latest.map_err(|source| EvidenceError::io("read", &folder, source))?;
        Ok(latest.map(str::to_owned))
    }

    /// Writes what changed, and says so to the other processes.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.stale = true;
        let text = self.places.take_unwritten();
        if !text.is_empty() {
            let path = self.path.join("places");
            sys::write_all_at(&self.places_file, text.as_bytes(), self.head.places)
                .map_err(|source| EvidenceError::io("write", &path, source))?;
            self.head.places += text.len() as u64;
        }
        let path = self.path.join("head");
        self.head_file
            .tell(&self.head)
            .map_err(|source| EvidenceError::io("write", &path, source))?;
        self.stale = false;
        Ok(())
    }

    /// Appends leaves that are lines of the current segment, known up to `covered` then.
    pub(super) fn push(
        &mut self,
        leaves: impl IntoIterator<Item = Hash>,
        covered: u64,
    ) -> Result<()> {
        self.stale = true;
        self.tiles
            .extend(&mut self.tree, leaves)
            .map_err(|source| EvidenceError::io("extend the tree in", &self.path, source))?;
        (self.head.size, self.head.covered) = (self.tree.size(), covered);
        self.tell()?;
        // What is on no stable storage must not be marked.
        if self.lines_are_synced
            && self.head.size.saturating_sub(self.marked.size) >= LEAVES_BETWEEN_MARKS
        {
            self.mark()?;
        }
        Ok(())
    }

    /// [`push`](Self::push), which is made up for later should it fail: the lines are stored, and
    /// that is what their writers are told.
    pub(super) fn extend(&mut self, leaves: impl IntoIterator<Item = Hash>, covered: u64) {
        if !self.stale {
            self.stale = self.push(leaves, covered).is_err();
        }
    }

    /// Puts all of the tree on stable storage.
    pub(super) fn mark(&mut self) -> Result<()> {
        self.tell()?;
        self.stale = true;
        let failed = |source| EvidenceError::io("sync the tree in", &self.path, source);
        self.tiles.sync().map_err(failed)?;
        if self.head.places != self.marked.places {
            self.places_file.sync_data().map_err(failed)?;
        }
        if self.head.erasures != self.marked.erasures {
            self.erasures.sync().map_err(failed)?;
        }
        if levels(self.head.size) != levels(self.marked.size) {
            sys::sync_folder(&self.path).map_err(failed)?;
        }
        self.head_file.mark(&mut self.head).map_err(failed)?;
        self.head_file.tell(&self.head).map_err(failed)?;
        self.marked = self.head.clone();
        self.stale = false;
        Ok(())
    }

    pub(super) fn mark_if_grown(&mut self) -> Result<()> {
        let sequence = self.marked.sequence;
        let grown = Head { sequence, ..self.head.clone() } != self.marked;
        if grown { self.mark() } else { Ok(()) }
    }

    /// Makes `name` the segment that leaves are appended for, known up to where it was left.
    pub(super) fn switch_to(&mut self, name: SegmentName) {
        if self.head.current == Some(name) {
            return;
        }
        self.leave();
        self.places.note(Event::Run { leaf: self.head.size, segment: name });
        self.head.current = Some(name);
        self.head.covered = self.places.covered(name).unwrap_or(0);
    }

    /// Takes down how far the current segment is covered.
    fn leave(&mut self) {
        if let Some(segment) = self.head.current {
            self.places.note(Event::Covered { segment, bytes: self.head.covered });
        }
    }

    /// Up to where the lines of a segment are in the tree; `None` of one that is not known.
    pub(super) fn covered(&self, name: SegmentName) -> Option<u64> {
        if self.head.current == Some(name) {
            return Some(self.head.covered);
        }
        self.places.covered(name)
    }

    /// Takes down that the lines of a segment are in the tree up to `bytes`.
    pub(super) fn set_covered(&mut self, segment: SegmentName, bytes: u64) {
        if self.head.current == Some(segment) {
            self.head.covered = bytes;
        } else {
            self.places.note(Event::Covered { segment, bytes });
        }
    }

    /// A segment is about to be renamed, which the tree must know before it can have happened.
    pub(super) fn renaming(&mut self, from: SegmentName, to: SegmentName) -> Result<()> {
        self.renamed(from, to);
        self.mark()
    }

    pub(super) fn renamed(&mut self, from: SegmentName, to: SegmentName) {
        self.places.note(Event::Renamed { from, to });
        if self.head.current == Some(from) {
            self.head.current = Some(to);
        }
    }

    pub(super) fn removed(&mut self, name: SegmentName) {
        self.forget(name);
        self.stale |= self.tell().is_err();
    }

    fn forget(&mut self, name: SegmentName) {
        if self.places.knows(name) {
            if self.head.current == Some(name) {
                self.head.current = None;
            }
            self.places.note(Event::Gone { segment: name });
        }
    }

    pub(super) fn compacted(&mut self, name: SegmentName, length: u64) {
        if self.places.knows(name) {
            self.set_covered(name, length);
            self.stale |= self.tell().is_err();
        }
    }

    /// The leaf of `name` with this hash that is nearest to where it should be.
    pub(super) fn find_line(
        &mut self,
        name: SegmentName,
        hash: Hash,
        share: f64,
    ) -> Result<Option<u64>> {
        let erased = self.erasures.leaves(self.head.erasures)?;
        // An entry that was erased and written again has a leaf of this hash that is on record.
        let there = |leaf| !erased.covers(leaf);
        let ranges = self.places.leaves(name, self.head.size);
        search::find(&mut self.tiles, &ranges, hash, share, there)
            .map_err(|source| self.unreadable(source))
    }

    pub(super) fn unreadable(&self, source: io::Error) -> EvidenceError {
        EvidenceError::tree(&self.path, attestry_evidence::TreeError::Read(source))
    }

    /// All hashes of leaves of a segment.
    pub(super) fn hashes_of(&mut self, name: SegmentName) -> Result<HashSet<Hash>> {
        let mut hashes = HashSet::new();
        for range in self.places.leaves(name, self.head.size) {
            let mut leaves = Leaves::new(range.start, range.end);
            while let Some(hash) =
                leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))?
            {
                hashes.insert(hash);
            }
        }
        Ok(hashes)
    }

    /// The leaves of a segment whose lines are there.
    pub(super) fn lines_of(&mut self, name: SegmentName) -> Result<Vec<(u64, u64)>> {
        let erased = self.erasures.records(self.head.erasures)?;
        let ranges = self.places.leaves(name, self.head.size);
        let lines = ranges.into_iter().flat_map(|range| erased.lines_among(range));
        Ok(lines.map(|range| (range.start, range.end)).collect())
    }

    /// Puts on record that the leaves of `ranges`, ascending, were erased.
    pub(super) fn record(
        &mut self,
        ranges: &[(u64, u64)],
        note: &EraseReason,
        first_time: bool,
    ) -> Result<()> {
        let mut records = Vec::new();
        for range in joined(ranges) {
            let mut leaves = Leaves::new(range.start, range.end);
            let mut erased = Tree::new();
            while let Some(hash) =
                leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))?
            {
                erased.push(hash);
            }
            records.push(ErasureRecord::new(
                range.start,
                range.end - range.start,
                erased.root(),
                note.at,
                &*note.reason,
                &*note.by,
            )?);
        }
        if !first_time && !records.is_empty() {
            let there = self.erasures.records(self.head.erasures)?;
            records.retain(|record| there.records().all(|known| known != record));
        }
        if !records.is_empty() {
            self.append_records(&records)?;
        }
        // Those that are there already may be of a process that died before it had marked them, and
        // whoever opens the store goes on from the mark.
        self.mark_if_grown()
    }

    fn append_records(&mut self, records: &[ErasureRecord]) -> Result<()> {
        let numbered = (self.head.size..).zip(records);
        let text: String = numbered.map(|(leaf, record)| erased::line(leaf, record)).collect();
        self.stale = true;
        self.erasures.append(&text, self.head.erasures)?;
        self.head.erasures += text.len() as u64;
        let covered = self.head.covered;
        self.push(records.iter().map(ErasureRecord::leaf_hash), covered)
    }

    /// The root of the first `size` leaves.
    fn root_at(&mut self, size: u64) -> Result<Hash> {
        let restored = Tree::restore(size, &mut self.tiles);
        Ok(restored.map_err(|error| EvidenceError::tree(&self.path, error))?.root())
    }

    /// Whether the tree grew out of that of `checkpoint`.
    fn agrees_with(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let size = checkpoint.size();
        if size > self.head.size || self.root_at(size)? != checkpoint.root() {
            return Err(EvidenceError::Disagrees { size });
        }
        Ok(())
    }

    /// Whether the tree grew out of that of the latest checkpoint; returns it. Where that is of the
    /// log that `key` signs, it must be signed with it.
    pub(super) fn agrees_with_latest(
        &mut self,
        key: Option<&SigningKey>,
    ) -> Result<Option<(String, Checkpoint)>> {
        let Some(note) = self.latest()? else { return Ok(None) };
        let path = self.checkpoints.folder();
        let checkpoint = unproven(&note)
            .ok_or_else(|| EvidenceError::damaged(path, "the latest note is no checkpoint"))?;
        if let Some(key) = key.filter(|key| key.name() == checkpoint.origin()) {
            Policy::new(key.public()).open(&note)?;
        }
        self.agrees_with(&checkpoint)?;
        Ok(Some((note, checkpoint)))
    }

    /// Signs the tree as it is; returns the checkpoint, and whether it is a new one.
    pub(super) fn sign(&mut self, key: &SigningKey) -> Result<(String, bool)> {
        self.mark_if_grown()?;
        if let Some((note, latest)) = self.agrees_with_latest(Some(key))?
            && latest.size() == self.head.size
            && latest.origin() == key.name()
        {
            return Ok((note, false));
        }
        let note = key.sign(self.head.size, self.tree.root());
        let folder = self.checkpoints.folder().to_path_buf();
        self.checkpoints
            .append(&note)
            .map_err(|source| EvidenceError::io("write a checkpoint to", &folder, source))?;
        Ok((note, true))
    }

    /// Stores a checkpoint of this tree that was cosigned as `policy` asks.
    pub(super) fn cosign(&mut self, note: &str, policy: &Policy) -> Result<()> {
        let opened = policy.open(note)?;
        self.agrees_with(opened.checkpoint())?;
        let folder = self.checkpoints.folder().to_path_buf();
        self.checkpoints
            .append_cosigned(note)
            .map_err(|source| EvidenceError::io("write a checkpoint to", &folder, source))
    }
}

/// The folder of the checkpoints.
pub(super) fn checkpoints_folder(folder: &Folder) -> PathBuf {
    folder.private().join("checkpoints")
}

fn damaged_head(path: &Path) -> EvidenceError {
    EvidenceError::damaged(path, "neither of its marks can be read")
}

/// How many levels of tiles a tree has.
fn levels(size: u64) -> u32 {
    if size == 0 { 0 } else { size.ilog2() / 8 + 1 }
}

/// A part of a text; `None` when there is less, or it is none.
pub(super) fn read_text(file: &File, part: Range<u64>) -> io::Result<Option<String>> {
    let there = sys::length_of(file)?;
    let length = usize::try_from(part.end.saturating_sub(part.start)).ok();
    let Some(length) = length.filter(|_| part.end <= there) else { return Ok(None) };
    let mut bytes = vec![0; length];
    sys::read_exact_at(file, &mut bytes, part.start)?;
    Ok(String::from_utf8(bytes).ok())
}

/// `ranges`, ascending, with those that touch made one.
fn joined(ranges: &[(u64, u64)]) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for &(start, end) in ranges.iter().filter(|(start, end)| start < end) {
        match joined.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => joined.push(start..end),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use attestry_core::Timestamp;
    use attestry_evidence::leaf_hash;

    use super::*;
    use crate::recovery;

    /// They say so only when they make a mark, and may be dead by then.
    #[test]
    fn what_others_wrote_is_synced_before_it_is_marked() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut other = Keeper::begin(&folder, true).unwrap();
        let mut ours = Keeper::open(&folder, true).unwrap().unwrap();
        other.refresh().unwrap();
        other.push((0..300_u32).map(|leaf| leaf_hash(&leaf.to_le_bytes())), 0).unwrap();
        ours.refresh().unwrap();
        assert_eq!(ours.size(), 300);
        assert_eq!(ours.tiles.unsynced(), [0, 1]);
        ours.mark().unwrap();
        assert_eq!(ours.tiles.unsynced(), [0; 0]);
        assert_eq!(Keeper::open(&folder, true).unwrap().unwrap().size(), 300);
    }

    /// The other process died when it had written the record, before it made a mark.
    #[test]
    fn a_record_that_is_there_already_is_marked() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut other = Keeper::begin(&folder, true).unwrap();
        let leaves = [leaf_hash(b"a"), leaf_hash(b"b")];
        other.push(leaves, 0).unwrap();
        other.mark().unwrap();
        let mut ours = Keeper::open(&folder, true).unwrap().unwrap();
        let note =
            EraseReason { reason: "expired".into(), by: String::new(), at: Timestamp::UNIX_EPOCH };
        let mut erased = Tree::new();
        erased.push(leaves[1]);
        let record =
            ErasureRecord::new(1, 1, erased.root(), note.at, &*note.reason, &*note.by).unwrap();
        other.refresh().unwrap();
        other.append_records(&[record]).unwrap();
        drop(other);
        ours.refresh().unwrap();
        ours.record(&[(1, 2)], &note, false).unwrap();
        assert_eq!(ours.size(), 3, "it was written once");
        drop(ours);
        let mut opened = Keeper::open(&folder, true).unwrap().unwrap();
        let length = opened.head.erasures;
        assert!(opened.erasures.leaves(length).unwrap().covers(1));
    }
}
