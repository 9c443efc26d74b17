//! Rebuilds the tree from what is left of it.
//!
//! The leaf hashes (`tiles.0`) are what cannot be computed from anything else: those of erased lines have
//! no line any more. Everything besides follows from them and from the segments: the upper levels, which
//! leaves are lines of which segment, and how far the tree has grown.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::Timestamp;
use attestry_evidence::{Checkpoint, Hash, Tree, TreeError};

use super::checkpoints::{Checkpoints, parse_unverified};
use super::error::{EvidenceError, Result};
use super::line_hashes::LineHashes;
use super::records::{self, Records};
use super::segment_map::{Event, SegmentMap};
use super::text_file::TextFile;
use super::text_lines::{TextLine, TextLines};
use super::tiles::{Leaves, Tiles};
use super::tree_head::{TreeHead, TreeHeadFile};
use super::tree_writer::TreeWriter;
use crate::fs::layout::Folder;
use crate::fs::lock::StoreLock;
use crate::fs::{open, sys};
use crate::segment::SegmentName;

/// What [`rebuild_tree`](crate::FileStorageBuilder::rebuild_tree) has found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeRebuild {
    /// The number of leaves of the tree: those that were left, and lines that it lacked.
    pub leaves: u64,
    /// The size of the latest stored checkpoint, which the tree matches; `None` without a checkpoint: then
    /// nothing shows that the leaf hashes are the original ones.
    pub checkpoint: Option<u64>,
}

/// Rebuilds everything but the leaf hashes. Changes nothing unless the leaf hashes match the latest
/// checkpoint.
pub(crate) fn rebuild(folder: &Folder) -> Result<TreeRebuild> {
    let path = folder.tree();
    if !open::exists(&path).map_err(|source| EvidenceError::io("examine", &path, source))? {
        return Err(EvidenceError::NotKept { path: folder.path().to_path_buf() });
    }
    let lock = StoreLock::open(folder)?;
    let _guard = lock.acquire()?;
    let old = OldTree::read(folder)?;
    let checkpoint = latest_checkpoint(folder)?;
    let tree = tree_of(&old.leaves, checkpoint.as_ref())?;
    let assigned = assign(folder, &old)?;
    write(folder, &old, &assigned, &tree)?;
    // Adds the lines that the tree lacks.
    let head = path.join("head");
    let gone = || EvidenceError::damaged(&head, "it was removed meanwhile");
    let mut writer = TreeWriter::open(folder, true)?.ok_or_else(gone)?;
    writer.replay_all()?;
    writer.persist()?;
    Ok(TreeRebuild { leaves: writer.size(), checkpoint: checkpoint.map(|latest| latest.size()) })
}

/// Moves the tree and its checkpoints to folders beside them, whose names end in the current time. Returns
/// these folders.
pub(crate) fn set_aside(folder: &Folder) -> Result<Vec<PathBuf>> {
    let lock = StoreLock::open(folder)?;
    let _guard = lock.acquire()?;
    let now = Timestamp::now().unix_micros() / 1_000_000;
    let mut moved = Vec::new();
    for from in [folder.tree(), Checkpoints::of(folder).folder().to_path_buf()] {
        let to = from.with_extension(format!("{now}.damaged"));
        match fs::rename(&from, &to) {
            Ok(()) => moved.push(to),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(EvidenceError::io("rename", &from, source)),
        }
    }
    let private = folder.private();
    sys::sync_folder(&private).map_err(|source| EvidenceError::io("sync", &private, source))?;
    Ok(moved)
}

/// What is left of a tree.
struct OldTree {
    leaves: Vec<Hash>,
    /// The latest head that can be read.
    head: Option<TreeHead>,
    records: Records,
    /// How many lines were taken in when the tree was created, and when.
    backfill: Option<(u64, Timestamp)>,
}

impl OldTree {
    fn read(folder: &Folder) -> Result<Self> {
        let path = folder.tree();
        let (tiles_path, head_path) = (path.join("tiles.0"), path.join("head"));
        let metadata = open::metadata(&tiles_path);
        let stored = match metadata {
            Ok(metadata) => metadata.len() / Hash::SIZE as u64,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(source) => return Err(EvidenceError::io("examine", &tiles_path, source)),
        };
        let heads = match TreeHeadFile::open(&head_path, false) {
            Ok(file) => [file.published(), file.persisted()],
            Err(_) => [Ok(None), Ok(None)],
        };
        let head = heads.into_iter().flatten().flatten().max_by_key(|head| head.sequence);
        let size = head.as_ref().map_or(stored, |head| head.size);
        if size > stored {
            let reason = format!("{} leaf hashes are missing", size - stored);
            return Err(EvidenceError::damaged(&tiles_path, reason));
        }
        let (mut tiles, mut reader) = (Tiles::new(path.clone(), false), Leaves::new(0..size));
        let mut leaves = Vec::new(); // a sparse file has any length
        while let Some(hash) = reader
            .next(&mut tiles)
            .map_err(|source| EvidenceError::tree(&tiles_path, TreeError::Read(source)))?
        {
            leaves.push(hash);
        }
        let mut by_leaf = BTreeMap::new();
        valid_lines(&path.join("erasures"), |line| {
            let record = records::decode(line).filter(|(leaf, record)| {
                let hash = usize::try_from(*leaf).ok().and_then(|leaf| leaves.get(leaf));
                hash == Some(&record.leaf_hash())
            });
            by_leaf.extend(record);
        });
        let mut records = Records::default();
        for (leaf, record) in by_leaf {
            let _is_next = records.add(leaf, record);
        }
        let mut backfill = None;
        valid_lines(&path.join("places"), |line| {
            if let (None, Some(Event::Backfilled { leaves, at })) = (backfill, Event::parse(line)) {
                backfill = Some((leaves, at));
            }
        });
        Ok(Self { leaves, head, records, backfill })
    }
}

/// Visits the lines of a file that can be read; none if the file cannot.
fn valid_lines(path: &Path, mut visit: impl FnMut(&str)) {
    let Ok(file) = open::read(path) else { return };
    let mut lines = TextLines::new(&file, 0..sys::length_of(&file).unwrap_or(0));
    while let Ok(Some(line)) = lines.next() {
        if let TextLine::Whole(line) = line {
            visit(line);
        }
    }
}

fn latest_checkpoint(folder: &Folder) -> Result<Option<Checkpoint>> {
    Ok(Checkpoints::of(folder).latest()?.and_then(parse_unverified))
}

/// The tree of `leaves`. Fails unless that of `checkpoint` is a prefix of it.
fn tree_of(leaves: &[Hash], checkpoint: Option<&Checkpoint>) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut matches = checkpoint.is_none_or(|checkpoint| checkpoint.size() == 0);
    for leaf in leaves {
        tree.push(*leaf);
        matches |= checkpoint.is_some_and(|checkpoint| {
            checkpoint.size() == tree.size() && checkpoint.root() == tree.root()
        });
    }
    match checkpoint {
        Some(checkpoint) if !matches => Err(EvidenceError::Disagrees { size: checkpoint.size() }),
        _ => Ok(tree),
    }
}

/// Which leaves are lines of which segment.
struct Assigned {
    /// Of each leaf, an index into `segments`.
    owners: Vec<usize>,
    /// The segments, and the end of the last line of each that is a leaf.
    segments: Vec<(SegmentName, u64)>,
}

/// Finds the lines of the segments among the leaves. A leaf without a line, such as that of an erased line
/// or of an erasure record, is assigned to the segment of the leaf before it.
fn assign(folder: &Folder, old: &OldTree) -> Result<Assigned> {
    let mut leaves: HashMap<Hash, VecDeque<usize>> = HashMap::new();
    for (number, leaf) in old.leaves.iter().enumerate() {
        leaves.entry(*leaf).or_default().push_back(number);
    }
    let mut owners: Vec<Option<usize>> = vec![None; old.leaves.len()];
    let mut segments = Vec::new();
    for found in folder.list()? {
        let path = folder.segment(found.name);
        let failed = |source| EvidenceError::io("read", &path, source);
        let file = open::read(&path).map_err(failed)?;
        let mut lines = LineHashes::new(&file, 0, found.length);
        let mut covered = 0;
        while let Some(line) = lines.next().map_err(failed)? {
            if let Some(leaf) = leaves.get_mut(&line.hash).and_then(VecDeque::pop_front) {
                owners[leaf] = Some(segments.len());
                covered = line.end();
            }
        }
        segments.push((found.name, covered));
    }
    if segments.is_empty() {
        segments.push((SegmentName::active_on(Timestamp::now()), 0));
    }
    let mut before = owners.iter().flatten().next().copied().unwrap_or(0);
    let owners = owners.into_iter().map(|owner| {
        before = owner.unwrap_or(before);
        before
    });
    Ok(Assigned { owners: owners.collect(), segments })
}

/// Writes the tree. The head is made invalid first and written last, so that a crash leaves a tree that is
/// damaged, not one that is wrong.
fn write(folder: &Folder, old: &OldTree, assigned: &Assigned, tree: &Tree) -> Result<()> {
    let path = folder.tree();
    let head_path = path.join("head");
    let failed = |source| EvidenceError::io("write", &head_path, source);
    TreeHeadFile::invalidate(&head_path).map_err(failed)?;

    let (mut tiles, mut again) = (Tiles::new(path.clone(), true), Tree::new());
    let written = tiles.append(&mut again, old.leaves.iter().copied());
    written
        .and_then(|()| tiles.sync())
        .map_err(|source| EvidenceError::io("write the tree in", &path, source))?;

    let mut map = SegmentMap::default();
    let mut last = None;
    for (leaf, &owner) in assigned.owners.iter().enumerate() {
        if last != Some(owner) {
            map.record(Event::Run { leaf: leaf as u64, segment: assigned.segments[owner].0 });
            last = Some(owner);
        }
    }
    for &(segment, bytes) in assigned.segments.iter().filter(|(_, bytes)| *bytes > 0) {
        map.record(Event::Covered { segment, bytes });
    }
    let (leaves, at) = old.backfill.unwrap_or((tree.size(), Timestamp::now()));
    map.record(Event::Backfilled { leaves, at });
    let places = map.take_unwritten();
    let records: String =
        old.records.iter().map(|(leaf, record)| records::encode(leaf, record)).collect();
    for (name, text) in [("places", &places), ("erasures", &records)] {
        let path = path.join(name);
        TextFile::create(&path)?;
        let file = TextFile::open(path.clone(), true)?;
        file.append(text, 0)?;
        file.sync().map_err(|source| EvidenceError::io("sync", &path, source))?;
    }
    sys::sync_folder(&path).map_err(|source| EvidenceError::io("sync", &path, source))?;

    let current = last.map(|owner| assigned.segments[owner]);
    let mut head = TreeHead {
        sequence: old.head.as_ref().map_or(0, |head| head.sequence).saturating_add(1),
        size: tree.size(),
        map_len: places.len() as u64,
        records_len: records.len() as u64,
        current: current.map(|(name, _)| name),
        covered: current.map_or(0, |(_, covered)| covered),
    };
    let file = TreeHeadFile::open(&head_path, true).map_err(failed)?;
    file.persist(&mut head).and_then(|()| file.publish(&head)).map_err(failed)
}
