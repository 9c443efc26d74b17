//! Writes the tree as files in the layout of C2SP tlog-tiles, for a static web server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use attestry_evidence::{
    Checkpoint, Hash, ReadHashes, SignedCheckpoint, TILE_WIDTH, Tile, Tree, node_hash,
};

use super::checkpoints::parse_unverified;
use super::error::{EvidenceError, Result};
use super::snapshot::TreeSnapshot;
use super::tiles::Tiles;
use crate::fs::layout::Folder;
use crate::fs::sys;

const CHECKPOINT: &str = "checkpoint";

/// What [`FileStorage::export_tiles`](crate::FileStorage::export_tiles) wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TileExport {
    /// The checkpoint that the folder now has.
    pub checkpoint: SignedCheckpoint,
    /// Its number of leaves.
    pub leaves: u64,
    /// The number of leaves of the checkpoint that was there before; 0 if there was none.
    pub leaves_before: u64,
    /// The number of tiles written.
    pub tiles: u64,
}

/// Brings the folder `to` up to the latest checkpoint. Tiles are on stable storage before the checkpoint
/// that needs them replaces the one before, so a reader at any moment finds the tiles of the checkpoint it read.
pub(crate) fn export(folder: &Folder, to: &Path) -> Result<TileExport> {
    let mut snapshot = TreeSnapshot::tree_only(folder)?;
    let (note, checkpoint) = newest(folder, &mut snapshot)?;
    let exporter = Exporter { tree: folder.tree(), to };
    exporter.check(&mut snapshot.tiles, &checkpoint)?;
    fs::create_dir_all(to).map_err(|error| EvidenceError::io("create", to, error))?;
    let before = exporter.exported(&mut snapshot.tiles, &checkpoint)?;
    let size = checkpoint.size();
    let mut export = TileExport { checkpoint: note, leaves: size, leaves_before: before, tiles: 0 };
    // The checkpoint is a promise that all its tiles are there, so those of an export before are not looked at.
    for tile in Tile::of_tree(before, size) {
        exporter.write_tile(&mut snapshot.tiles, tile)?;
        export.tiles += 1;
    }
    // One sync for all of them: there may be thousands.
    sys::sync_filesystem(to).map_err(|source| EvidenceError::io("sync", to, source))?;
    exporter.write(&to.join(CHECKPOINT), export.checkpoint.as_str().as_bytes())?;
    sys::sync_filesystem(to).map_err(|source| EvidenceError::io("sync", to, source))?;
    for tile in Tile::of_tree(before, size).filter(|tile| tile.width() == TILE_WIDTH) {
        exporter.remove_partial(tile)?;
    }
    Ok(export)
}

/// The latest checkpoint, with cosignatures if it has any.
fn newest(folder: &Folder, snapshot: &mut TreeSnapshot) -> Result<(SignedCheckpoint, Checkpoint)> {
    let path = snapshot.checkpoints.folder().to_path_buf();
    let cosigned = snapshot.checkpoints.newest_cosigned()?;
    let latest = snapshot.checkpoints.latest()?.map(str::to_owned);
    let none = || EvidenceError::NoCheckpoint { path: folder.path().to_path_buf() };
    let latest = latest.ok_or_else(none)?;
    let text = |note: &str| note.split_once("\n\n").map(|(text, _)| text.to_owned());
    let same = cosigned.into_iter().rev().find(|note| text(note) == text(&latest));
    let note = same.unwrap_or(latest);
    let malformed = || EvidenceError::damaged(&path, "the latest note is not a checkpoint");
    let checkpoint = parse_unverified(&note).ok_or_else(malformed)?;
    Ok((note.parse().map_err(|_| malformed())?, checkpoint))
}

struct Exporter<'a> {
    /// The folder of the tree, for errors.
    tree: PathBuf,
    to: &'a Path,
}

impl Exporter<'_> {
    /// Fails unless the stored hashes lead to the root of `checkpoint`.
    fn check(&self, tiles: &mut Tiles, checkpoint: &Checkpoint) -> Result<()> {
        let size = checkpoint.size();
        let tree =
            Tree::restore(size, tiles).map_err(|error| EvidenceError::tree(&self.tree, error))?;
        if tree.root() == checkpoint.root() {
            Ok(())
        } else {
            Err(EvidenceError::Disagrees { size })
        }
    }

    /// The size of the checkpoint in the folder. It must be an earlier one of this log.
    fn exported(&self, tiles: &mut Tiles, newest: &Checkpoint) -> Result<u64> {
        let path = self.to.join(CHECKPOINT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(EvidenceError::io("read", &path, error)),
        };
        let malformed = || EvidenceError::damaged(&path, "this is not a checkpoint");
        let exported = parse_unverified(&text).ok_or_else(malformed)?;
        let (size, leaves) = (exported.size(), newest.size());
        let other = || EvidenceError::OtherTree {
            checkpoint: path.clone(),
            size,
            tree: self.tree.clone(),
            leaves,
        };
        if exported.origin() != newest.origin() || size > leaves {
            return Err(other());
        }
        self.check(tiles, &exported).map_err(|error| match error {
            EvidenceError::Disagrees { .. } => other(),
            error => error,
        })?;
        Ok(size)
    }

    fn write_tile(&self, tiles: &mut Tiles, tile: Tile) -> Result<()> {
        let mut hashes = vec![Hash::EMPTY_TREE; usize::from(tile.width())];
        self.read(tiles, tile.level(), tile.first_hash(), &mut hashes)?;
        if tile.width() == TILE_WIDTH {
            // The root of the checkpoint vouches for partial tiles only; a full one is vouched for by its parent.
            let mut parent = [Hash::EMPTY_TREE];
            self.read(tiles, tile.level() + 1, tile.index(), &mut parent)?;
            if root_of(hashes.clone()) != parent[0] {
                let reason = format!("the hashes of {tile} do not match the level above");
                return Err(EvidenceError::damaged(&self.tree, reason));
            }
        }
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        let path = self.to.join(tile.to_string());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .map_err(|error| EvidenceError::io("create", parent, error))?;
        }
        self.write(&path, &bytes)
    }

    fn read(&self, tiles: &mut Tiles, level: u8, first: u64, out: &mut [Hash]) -> Result<()> {
        tiles.read_hashes(level, first, out).map_err(|source| {
            EvidenceError::tree(&self.tree, attestry_evidence::TreeError::Read(source))
        })
    }

    /// Replaces a file as a whole. The caller syncs it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temporary = path.with_extension("tmp");
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, path));
        written.map_err(|source| EvidenceError::io("write", path, source))
    }

    /// Removes the partial tiles of a tile that is full now, as tlog-tiles allows.
    fn remove_partial(&self, tile: Tile) -> Result<()> {
        let path = self.to.join(format!("{tile}.p"));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EvidenceError::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }
}

/// The root of a full tile.
fn root_of(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    hashes[0]
}
