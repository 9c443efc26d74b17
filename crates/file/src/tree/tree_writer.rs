//! Appends leaves to the on-disk Merkle tree.
//!
//! Files are written after every batch and synced now and then, when the head is persisted. What a
//! crash takes of them is replayed from the segments.

use std::io;
use std::path::{Path, PathBuf};

use attestry_evidence::{Hash, Tree, TreeError};

use super::checkpoints::Checkpoints;
use super::error::{EvidenceError, Result};
use super::records::RecordFile;
use super::segment_map::{Event, SegmentMap};
use super::text_file::TextFile;
use super::tiles::{Leaves, Tiles};
use super::tree_head::{TreeHead, TreeHeadFile};
use crate::fs::layout::Folder;
use crate::fs::{open, sys};
use crate::segment::SegmentName;

/// The head is persisted after this many leaves at the latest, which bounds what opening replays.
const LEAVES_BETWEEN_PERSISTS: u64 = 1 << 16;

/// The tree of one store, open for writing.
#[derive(Debug)]
pub(super) struct TreeWriter {
    pub(super) folder: Folder,
    pub(super) path: PathBuf,
    head_file: TreeHeadFile,
    pub(super) tiles: Tiles,
    map_file: TextFile,
    pub(super) records: RecordFile,
    /// The bytes of the records that were checked before a checkpoint was signed.
    pub(super) records_checked: u64,
    pub(super) checkpoints: Checkpoints,
    pub(super) tree: Tree,
    pub(super) map: SegmentMap,
    pub(super) head: TreeHead,
    /// The latest persisted head that this process knows of.
    persisted: TreeHead,
    /// Lines are durable before they are appended here.
    lines_are_synced: bool,
    /// Writing failed midway: memory and files differ.
    pub(super) stale: bool,
    /// A sync has failed. What was written since the head was persisted may be lost: the kernel reports that
    /// once, and may drop what it could not write.
    sync_failed: bool,
}

impl TreeWriter {
    /// Opens the tree at its latest persisted head; `None` if there is none.
    pub(super) fn open(folder: &Folder, lines_are_synced: bool) -> Result<Option<Self>> {
        let path = folder.tree();
        let head_path = path.join("head");
        let failed = |source| EvidenceError::io("open", &head_path, source);
        if !open::exists(&head_path).map_err(failed)? {
            return Ok(None);
        }
        let head_file = TreeHeadFile::open(&head_path, true).map_err(failed)?;
        // The process that created the tree may have died before the names of its files were durable.
        for parent in [&path, &folder.private()] {
            sys::sync_folder(parent).map_err(failed)?;
        }
        let persisted = head_file.sync().and_then(|()| head_file.persisted()).map_err(failed)?;
        let persisted = persisted.ok_or_else(|| damaged_head(&head_path))?;
        let mut head = persisted.clone();
        // A new sequence number makes other processes reload the tree, even one of the same size.
        let published = head_file.published().map_err(failed)?.map_or(0, |head| head.sequence);
        head.sequence = head.sequence.max(published).saturating_add(1);
        let mut writer = Self {
            folder: folder.clone(),
            head_file,
            tiles: Tiles::new(path.clone(), true),
            map_file: TextFile::open(path.join("places"), true)?,
            records: RecordFile::open(&path.join("erasures"))?,
            records_checked: 0,
            checkpoints: Checkpoints::of(folder),
            tree: Tree::new(),
            map: SegmentMap::default(),
            head: TreeHead::default(),
            persisted,
            lines_are_synced,
            stale: false,
            sync_failed: false,
            path,
        };
        writer.checkpoints.repair_torn_tail(&folder.quarantine())?;
        writer.load(head)?;
        writer.publish()?;
        Ok(Some(writer))
    }

    /// Creates an empty tree. What an interrupted creation left is replaced.
    pub(super) fn create(folder: &Folder, lines_are_synced: bool) -> Result<Self> {
        let path = folder.tree();
        let checkpoints = Checkpoints::of(folder);
        for folder in [path.as_path(), checkpoints.folder()] {
            sys::create_folder(folder)
                .map_err(|source| EvidenceError::io("create the folder", folder, source))?;
        }
        for name in ["places", "erasures"] {
            TextFile::create(&path.join(name))?;
        }
        let head = path.join("head");
        TreeHeadFile::create(&head)
            .and_then(|()| sys::sync_folder(&path))
            .map_err(|source| EvidenceError::io("create", &head, source))?;
        Self::open(folder, lines_are_synced)?.ok_or_else(|| damaged_head(&head))
    }

    /// Reads the tree that `head` describes.
    fn load(&mut self, head: TreeHead) -> Result<()> {
        self.map = SegmentMap::read(&self.map_file, head.map_len)?;
        self.tree = Tree::restore(head.size, &mut self.tiles)
            .map_err(|error| EvidenceError::tree(&self.path, error))?;
        self.head = head;
        self.stale = false;
        Ok(())
    }

    /// Computes the upper levels again from the leaves, and writes them.
    pub(super) fn rebuild_levels(&mut self) -> Result<()> {
        let (mut tree, mut leaves) = (Tree::new(), Leaves::new(0..self.head.size));
        loop {
            let mut some = Vec::with_capacity(4_096);
            while some.len() < 4_096 {
                match leaves.next(&mut self.tiles).map_err(|source| self.unreadable(source))? {
                    Some(hash) => some.push(hash),
                    None => break,
                }
            }
            if some.is_empty() {
                break;
            }
            let written = self.tiles.append(&mut tree, some);
            written.map_err(|source| EvidenceError::io("write the tree in", &self.path, source))?;
        }
        self.tree = tree;
        Ok(())
    }

    /// Reloads the tree if another process has published a head, or writing failed here.
    pub(super) fn refresh(&mut self) -> Result<()> {
        if self.sync_failed {
            return self.return_to_persisted();
        }
        let path = self.path.join("head");
        let failed = |source| EvidenceError::io("read", &path, source);
        let published = self.head_file.published().map_err(failed)?;
        if !self.stale && published.as_ref() == Some(&self.head) {
            return Ok(());
        }
        let persisted = self.head_file.persisted().map_err(failed)?;
        let persisted = persisted.ok_or_else(|| damaged_head(&path))?;
        if persisted != self.persisted {
            self.head_file.sync().map_err(failed)?;
        }
        self.records.invalidate_after(self.persisted.records_len);
        self.records_checked = self.records_checked.min(self.persisted.records_len);
        self.persisted = persisted.clone();
        self.load(published.unwrap_or(persisted))?;
        self.tiles.mark_dirty(levels(self.head.size));
        Ok(())
    }

    /// After a failed sync: continues from the persisted head, so that replay writes again what may be
    /// lost. Also for other processes, to which a later sync would report success.
    fn return_to_persisted(&mut self) -> Result<()> {
        let mut head = self.persisted.clone();
        head.sequence = self.head.sequence.max(head.sequence).saturating_add(1);
        self.records.invalidate_after(head.records_len);
        self.records_checked = self.records_checked.min(head.records_len);
        self.load(head)?;
        self.publish()?;
        self.sync_failed = false;
        Ok(())
    }

    /// Number of leaves.
    pub(super) fn size(&self) -> u64 {
        self.head.size
    }

    /// Writes the new events of the segment map, and publishes the head.
    pub(super) fn publish(&mut self) -> Result<()> {
        self.stale = true;
        let text = self.map.take_unwritten();
        if !text.is_empty() {
            self.map_file.append(&text, self.head.map_len)?;
            self.head.map_len += text.len() as u64;
        }
        self.head_file
            .publish(&self.head)
            .map_err(|source| EvidenceError::io("write", &self.path.join("head"), source))?;
        self.stale = false;
        Ok(())
    }

    /// Appends leaves of the current segment, which is covered up to `covered` with them.
    pub(super) fn append(
        &mut self,
        leaves: impl IntoIterator<Item = Hash>,
        covered: u64,
    ) -> Result<()> {
        self.stale = true;
        self.tiles
            .append(&mut self.tree, leaves)
            .map_err(|source| EvidenceError::io("extend the tree in", &self.path, source))?;
        (self.head.size, self.head.covered) = (self.tree.size(), covered);
        self.publish()?;
        // A head must not be persisted before the lines of its leaves are durable.
        if self.lines_are_synced
            && self.head.size.saturating_sub(self.persisted.size) >= LEAVES_BETWEEN_PERSISTS
        {
            self.persist()?;
        }
        Ok(())
    }

    /// [`append`](Self::append) for lines that are already acknowledged as stored: a failure makes the
    /// tree stale, and the lines are replayed before the next append.
    pub(super) fn append_or_replay_later(
        &mut self,
        leaves: impl IntoIterator<Item = Hash>,
        covered: u64,
    ) {
        if !self.stale {
            self.stale = self.append(leaves, covered).is_err();
        }
    }

    /// Syncs all files of the tree, then persists the head.
    pub(super) fn persist(&mut self) -> Result<()> {
        self.publish()?;
        self.stale = true;
        if let Err(source) = self.sync() {
            self.sync_failed = true;
            let _ = self.return_to_persisted(); // otherwise the next refresh does it
            return Err(EvidenceError::io("sync the tree in", &self.path, source));
        }
        let failed = |source| EvidenceError::io("sync the tree in", &self.path, source);
        self.head_file.persist(&mut self.head).map_err(failed)?;
        self.head_file.publish(&self.head).map_err(failed)?;
        self.persisted = self.head.clone();
        self.stale = false;
        Ok(())
    }

    /// Syncs what may differ from the state that was persisted last.
    fn sync(&mut self) -> io::Result<()> {
        self.tiles.sync()?;
        if self.head.map_len != self.persisted.map_len {
            self.map_file.sync()?;
        }
        if self.head.records_len != self.persisted.records_len {
            self.records.sync()?;
        }
        if levels(self.head.size) != levels(self.persisted.size) {
            sys::sync_folder(&self.path)?;
        }
        Ok(())
    }

    /// Persists the head unless it is the persisted one.
    pub(super) fn persist_if_changed(&mut self) -> Result<()> {
        let sequence = self.persisted.sequence;
        let changed = TreeHead { sequence, ..self.head.clone() } != self.persisted;
        if changed { self.persist() } else { Ok(()) }
    }

    /// Makes `name` the segment that leaves are appended for, continuing where it is covered up to.
    pub(super) fn switch_to(&mut self, name: SegmentName) {
        if self.head.current == Some(name) {
            return;
        }
        if let Some(segment) = self.head.current {
            self.map.record(Event::Covered { segment, bytes: self.head.covered });
        }
        self.map.record(Event::Run { leaf: self.head.size, segment: name });
        self.head.current = Some(name);
        self.head.covered = self.map.covered(name).unwrap_or(0);
    }

    /// Bytes of a segment whose lines are in the tree; `None` for an unknown segment.
    pub(super) fn covered(&self, name: SegmentName) -> Option<u64> {
        if self.head.current == Some(name) {
            return Some(self.head.covered);
        }
        self.map.covered(name)
    }

    pub(super) fn set_covered(&mut self, segment: SegmentName, bytes: u64) {
        if self.head.current == Some(segment) {
            self.head.covered = bytes;
        } else {
            self.map.record(Event::Covered { segment, bytes });
        }
    }

    /// Persists a rename before it happens.
    pub(super) fn before_rename(&mut self, from: SegmentName, to: SegmentName) -> Result<()> {
        self.rename(from, to);
        self.persist()
    }

    pub(super) fn rename(&mut self, from: SegmentName, to: SegmentName) {
        self.map.record(Event::Renamed { from, to });
        if self.head.current == Some(from) {
            self.head.current = Some(to);
        }
    }

    pub(super) fn remove(&mut self, segment: SegmentName) {
        if self.map.contains(segment) {
            if self.head.current == Some(segment) {
                self.head.current = None;
            }
            self.map.record(Event::Removed { segment });
        }
        self.stale |= self.publish().is_err();
    }

    pub(super) fn compacted(&mut self, segment: SegmentName, length: u64) {
        if self.map.contains(segment) {
            self.set_covered(segment, length);
            self.stale |= self.publish().is_err();
        }
    }

    /// The error for tiles that cannot be read.
    pub(super) fn unreadable(&self, source: io::Error) -> EvidenceError {
        EvidenceError::tree(&self.path, TreeError::Read(source))
    }
}

fn damaged_head(path: &Path) -> EvidenceError {
    EvidenceError::damaged(path, "both persisted slots are invalid")
}

/// How many levels of tiles a tree has.
fn levels(size: u64) -> u32 {
    if size == 0 { 0 } else { size.ilog2() / 8 + 1 }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::iter;

    use attestry_core::Timestamp;
    use attestry_evidence::{
        ErasureRecord, Record, SignedRecord, SigningKey, Statement, leaf_hash,
    };

    use super::*;
    use crate::fs::sys::failing_sync;
    use crate::observer::EraseReason;
    use crate::recovery;
    use crate::tree::keys::Eraser;

    /// A failed sync may lose what was written; a retry succeeds without writing it.
    #[test]
    fn tree_is_written_again_after_a_failed_sync() {
        let name = |name| SegmentName::parse(name).unwrap();
        let (reason, by, at) = ("expired".to_owned(), String::new(), Timestamp::UNIX_EPOCH);
        let leaves = |line: &[u8]| iter::repeat_n(leaf_hash(line), 300);
        let mut expected = Tree::new();
        leaves(b"a").chain(leaves(b"b")).for_each(|leaf| expected.push(leaf));
        let mut erased = Tree::new();
        erased.push(leaf_hash(b"a"));
        let record = ErasureRecord::new(7, 1, erased.root(), at, &*reason, &*by).unwrap();
        let key = SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap();
        let record = SignedRecord::sign(key.name(), &Statement::Erasure(record), &[&key]).unwrap();
        expected.push(Record::from(record).leaf_hash());
        let reason = EraseReason { reason, by, at };
        let eraser = Eraser { origin: key.name().to_owned(), key };
        for syncs_before in 0.. {
            let temporary = tempfile::tempdir().unwrap();
            let folder = Folder::new(temporary.path().join("audit"));
            recovery::create(&folder).unwrap();
            let path = |day| folder.segment(name(day));
            fs::write(path("audit_20260128.jsonl"), "a\n".repeat(300)).unwrap();
            let mut writer = TreeWriter::create(&folder, true).unwrap();
            writer.refresh().unwrap();
            writer.replay_all().unwrap();
            let mut other = TreeWriter::open(&folder, true).unwrap().unwrap();
            let erase =
                |writer: &mut TreeWriter| writer.record_erasure(&[(7, 8)], &reason, &eraser, true);
            let durable = ["tiles.0", "tiles.1", "places", "erasures"].map(|name| {
                let path = folder.tree().join(name);
                (fs::metadata(&path).map_or(0, |metadata| metadata.len()), path)
            });
            // More leaves, in another segment, and an erasure record.
            fs::write(path("audit_20260129.jsonl"), "b\n".repeat(300)).unwrap();
            writer.refresh().unwrap();
            writer.replay_all().unwrap();
            failing_sync::after(syncs_before);
            let erased = erase(&mut writer);
            if !failing_sync::has_happened() {
                erased.unwrap();
                assert_eq!(syncs_before, 5, "two levels of tiles, places, erasures, head");
                break;
            }
            erased.unwrap_err();
            if syncs_before < 4 {
                // All but the head is durable otherwise.
                for (length, path) in durable {
                    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
                }
            }
            for writer in [&mut other, &mut writer] {
                writer.refresh().unwrap();
                writer.replay_all().unwrap();
                erase(writer).unwrap();
            }
            let mut opened = TreeWriter::open(&folder, true).unwrap().unwrap();
            assert_eq!((opened.size(), opened.tree.root()), (601, expected.root()));
            let head = opened.head.clone();
            assert!(opened.records.erased(head.records_len).unwrap().contains(7));
            assert_eq!(opened.map.segment_of(599), Some(name("audit_20260129.jsonl")));
        }
    }

    /// The other process syncs only when it persists, and may have died before that.
    #[test]
    fn persist_syncs_what_other_processes_wrote() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let mut other = TreeWriter::create(&folder, true).unwrap();
        let mut ours = TreeWriter::open(&folder, true).unwrap().unwrap();
        other.refresh().unwrap();
        other.append((0..300_u32).map(|leaf| leaf_hash(&leaf.to_le_bytes())), 0).unwrap();
        ours.refresh().unwrap();
        assert_eq!(ours.size(), 300);
        assert_eq!(ours.tiles.dirty_levels(), [0, 1]);
        ours.persist().unwrap();
        assert_eq!(ours.tiles.dirty_levels(), [0; 0]);
        assert_eq!(TreeWriter::open(&folder, true).unwrap().unwrap().size(), 300);
    }
}
