//! Proofs of what is in the tree, for someone who has no store.

use std::io;

use attestry_core::EntryId;
use attestry_evidence::{
    ConsistencyProof, Hash, InclusionProof, OpenedCheckpoint, leaf_hash, proof,
};

use super::EvidenceError;
use super::checkpoints::unproven;
use super::search;
use super::view::View;
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::reader::Catalog;
use crate::segment::{Segment, read_line};

/// An entry's line, and the proof that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryProof {
    /// The raw line, without its line break.
    pub line: Vec<u8>,
    /// The proof; its text is a file of the format C2SP tlog-proof.
    pub proof: InclusionProof,
}

/// The latest checkpoint; a cosigned one where there is a cosigned one of more than `covering`
/// leaves.
fn checkpoint(
    view: &mut View,
    covering: u64,
) -> Result<Option<(String, u64, Hash)>, EvidenceError> {
    let folder = view.checkpoints.folder().to_path_buf();
    let failed = |source: io::Error| EvidenceError::io("read", &folder, source);
    let cosigned = view.checkpoints.newest_cosigned().map_err(failed)?;
    let cosigned = cosigned.into_iter().rev().map(|stored| stored.text);
    let latest = view.checkpoints.latest().map_err(failed)?.map(str::to_owned);
    let mut notes = cosigned.chain(latest).filter_map(|note| {
        let checkpoint = unproven(&note)?;
        // One that was signed since the tree was looked at has leaves that are not known here.
        let known = checkpoint.size() > covering && checkpoint.size() <= view.head.size;
        known.then(|| (note, checkpoint.size(), checkpoint.root()))
    });
    Ok(notes.next())
}

/// The latest checkpoint, as it is stored.
pub(crate) fn latest(folder: &Folder) -> Result<Option<String>, EvidenceError> {
    let mut view = View::of_tree(folder)?;
    let path = view.checkpoints.folder().to_path_buf();
    let latest = view.checkpoints.latest();
    let latest = latest.map_err(|source| EvidenceError::io("read", &path, source))?;
    Ok(latest.map(str::to_owned))
}

/// For each id, what there is to say of the entry that was written first with it.
pub(crate) fn entries(
    catalog: &Catalog,
    ids: &[EntryId],
) -> Result<Vec<Result<Option<EntryProof>, EvidenceError>>, EvidenceError> {
    let snapshot = catalog.snapshot()?;
    // Later, so that it knows all that is found.
    let mut view = View::of_tree(catalog.folder())?;
    Ok(ids.iter().map(|id| entry(catalog, &snapshot, &mut view, id)).collect())
}

fn entry(
    catalog: &Catalog,
    snapshot: &[Segment],
    view: &mut View,
    id: &EntryId,
) -> Result<Option<EntryProof>, EvidenceError> {
    let Some(found) = catalog.find(snapshot, id)? else { return Ok(None) };
    let (name, file) = (found.segment.name, &found.segment.file.handle);
    let path = catalog.folder().segment(name);
    let failed = |source| EvidenceError::io("read", &path, source);
    let line = read_line(file, found.line.offset, found.line.length).map_err(failed)?;
    let length = sys::length_of(file).map_err(failed)?;
    let hash = leaf_hash(&line);
    let tree = catalog.folder().tree();
    let unreadable =
        |source| EvidenceError::tree(&tree, attestry_evidence::TreeError::Read(source));
    let share = found.line.offset as f64 / length.max(1) as f64;
    // Under the name that it has by now, too: it may have been renamed between the two looks.
    let mut leaf = None;
    for name in view.places.names_like(name) {
        let ranges = view.places.leaves(name, view.head.size);
        leaf = search::find(&mut view.tiles, &ranges, hash, share, |_| true).map_err(unreadable)?;
        if leaf.is_some() {
            break;
        }
    }
    let leaf = leaf.ok_or_else(|| EvidenceError::NotInTree { id: id.clone() })?;
    let signed = checkpoint(view, leaf)?;
    let (note, size, root) = signed.ok_or_else(|| EvidenceError::NotSigned { id: id.clone() })?;
    let hashes = proof::inclusion(leaf, size, &mut view.tiles)
        .map_err(|error| EvidenceError::tree(&tree, error))?;
    if proof::verify_inclusion(hash, leaf, size, &hashes, root).is_err() {
        // A damaged tile, or another tree than was signed: `verify` tells.
        return Err(EvidenceError::Disagrees { size });
    }
    Ok(Some(EntryProof { line, proof: InclusionProof::new(leaf, hashes, note) }))
}

/// The proof that the latest checkpoint's tree grew out of that of `older`.
pub(crate) fn growth(
    folder: &Folder,
    older: &OpenedCheckpoint,
) -> Result<ConsistencyProof, EvidenceError> {
    let mut view = View::of_tree(folder)?;
    let none = || EvidenceError::NoCheckpoint { path: folder.path().to_path_buf() };
    let (note, size, root) = checkpoint(&mut view, 0)?.ok_or_else(none)?;
    let older = older.checkpoint();
    let tree = folder.tree();
    let old = older.size();
    if old > size {
        return Err(EvidenceError::Disagrees { size: old });
    }
    let hashes = proof::consistency(old, size, &mut view.tiles)
        .map_err(|error| EvidenceError::tree(&tree, error))?;
    if proof::verify_consistency(old, older.root(), size, root, &hashes).is_err() {
        return Err(EvidenceError::Disagrees { size: old });
    }
    Ok(ConsistencyProof::new(old, hashes, note))
}
