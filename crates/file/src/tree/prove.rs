//! Inclusion and consistency proofs, which are verified without access to the store.

use attestry_core::EntryId;
use attestry_evidence::{
    ConsistencyProof, Hash, InclusionProof, OpenedCheckpoint, SignedCheckpoint, Tree, TreeError,
    leaf_hash, proof,
};

use super::checkpoints::parse_unverified;
use super::error::{EvidenceError, Result};
use super::leaf_search;
use super::snapshot::TreeSnapshot;
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::reader::Catalog;
use crate::segment::{Segment, read_line};

/// The line of an entry with the proof that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryProof {
    /// The line, without its line break.
    pub line: Vec<u8>,
    /// The proof. Its text is a file in the format C2SP tlog-proof.
    pub proof: InclusionProof,
}

/// The note, size and root that proofs end in: the latest checkpoint, but a cosigned one if there is
/// one of more than `leaf` leaves.
fn checkpoint_covering(
    snapshot: &mut TreeSnapshot,
    leaf: u64,
) -> Result<Option<(String, u64, Hash)>> {
    let cosigned = snapshot.checkpoints.newest_cosigned()?.into_iter().rev();
    let latest = snapshot.checkpoints.latest()?.map(str::to_owned);
    let mut notes = cosigned.chain(latest).filter_map(|note| {
        let checkpoint = parse_unverified(&note)?;
        // A checkpoint signed after the snapshot may be larger than its tree.
        let usable = checkpoint.size() > leaf && checkpoint.size() <= snapshot.head.size;
        usable.then(|| (note, checkpoint.size(), checkpoint.root()))
    });
    Ok(notes.next())
}

/// The latest checkpoint as stored.
pub(crate) fn latest_checkpoint(folder: &Folder) -> Result<Option<SignedCheckpoint>> {
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let path = snapshot.checkpoints.folder().to_path_buf();
    let latest = snapshot.checkpoints.latest()?;
    let malformed = |_| EvidenceError::damaged(&path, "the latest note is not a checkpoint");
    latest.map(|note| note.parse().map_err(malformed)).transpose()
}

/// A proof for each id; of several entries with one id, for the first.
pub(crate) fn inclusion(
    catalog: &Catalog,
    ids: &[EntryId],
) -> Result<Vec<Result<Option<EntryProof>>>> {
    let segments = catalog.snapshot()?;
    // Taken after the segments, so that the tree has all their lines.
    let mut snapshot = TreeSnapshot::tree_only(catalog.folder())?;
    Ok(ids.iter().map(|id| prove_entry(catalog, &segments, &mut snapshot, id)).collect())
}

fn prove_entry(
    catalog: &Catalog,
    segments: &[Segment],
    snapshot: &mut TreeSnapshot,
    id: &EntryId,
) -> Result<Option<EntryProof>> {
    let Some(found) = catalog.find(segments, id)? else { return Ok(None) };
    let (name, file) = (found.segment.name, &found.segment.file.handle);
    let path = catalog.folder().segment(name);
    let failed = |source| EvidenceError::io("read", &path, source);
    let line = read_line(file, found.line.offset, found.line.length).map_err(failed)?;
    let length = sys::length_of(file).map_err(failed)?;
    let hash = leaf_hash(&line);
    let tree = catalog.folder().tree();
    let unreadable = |source| EvidenceError::tree(&tree, TreeError::Read(source));
    let position = found.line.offset as f64 / length.max(1) as f64;
    // The segment may have been renamed between the two snapshots.
    let mut leaf = None;
    for name in snapshot.map.possible_names(name) {
        let ranges = snapshot.map.leaf_ranges(name, snapshot.head.size);
        leaf = leaf_search::find(&mut snapshot.tiles, &ranges, hash, position, |_| true)
            .map_err(unreadable)?;
        if leaf.is_some() {
            break;
        }
    }
    let leaf = leaf.ok_or_else(|| EvidenceError::NotInTree { id: id.clone() })?;
    let checkpoint = checkpoint_covering(snapshot, leaf)?;
    let (note, size, root) =
        checkpoint.ok_or_else(|| EvidenceError::NotSigned { id: id.clone() })?;
    let hashes = proof::inclusion(leaf, size, &mut snapshot.tiles)
        .map_err(|error| EvidenceError::tree(&tree, error))?;
    if proof::verify_inclusion(hash, leaf, size, &hashes, root).is_err() {
        // A damaged tile, or a tree other than the signed one.
        return Err(EvidenceError::Disagrees { size });
    }
    Ok(Some(EntryProof { line, proof: InclusionProof::new(leaf, hashes, note) }))
}

/// The proof that the tree of the signed `checkpoint` extends that of its first `old` leaves, whose root
/// the receiver knows.
pub(crate) fn growth(
    folder: &Folder,
    old: u64,
    checkpoint: &SignedCheckpoint,
) -> Result<ConsistencyProof> {
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let malformed = || EvidenceError::damaged(folder.path(), "this is not a checkpoint");
    let newer = parse_unverified(checkpoint.as_str()).ok_or_else(malformed)?;
    let size = newer.size();
    if old > size || size > snapshot.head.size {
        return Err(EvidenceError::Disagrees { size: old.max(size) });
    }
    let failed = |error| EvidenceError::tree(&folder.tree(), error);
    let older = Tree::restore(old, &mut snapshot.tiles).map_err(failed)?.root();
    let hashes = proof::consistency(old, size, &mut snapshot.tiles).map_err(failed)?;
    if proof::verify_consistency(old, older, size, newer.root(), &hashes).is_err() {
        return Err(EvidenceError::Disagrees { size });
    }
    Ok(ConsistencyProof::new(old, hashes, checkpoint.as_str()))
}

/// The proof that the tree of `older` is a prefix of the latest checkpoint's.
pub(crate) fn consistency(folder: &Folder, older: &OpenedCheckpoint) -> Result<ConsistencyProof> {
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let none = || EvidenceError::NoCheckpoint { path: folder.path().to_path_buf() };
    let (note, size, root) = checkpoint_covering(&mut snapshot, 0)?.ok_or_else(none)?;
    let older = older.checkpoint();
    let old_size = older.size();
    if old_size > size {
        return Err(EvidenceError::Disagrees { size: old_size });
    }
    let hashes = proof::consistency(old_size, size, &mut snapshot.tiles)
        .map_err(|error| EvidenceError::tree(&folder.tree(), error))?;
    if proof::verify_consistency(old_size, older.root(), size, root, &hashes).is_err() {
        return Err(EvidenceError::Disagrees { size: old_size });
    }
    Ok(ConsistencyProof::new(old_size, hashes, note))
}
