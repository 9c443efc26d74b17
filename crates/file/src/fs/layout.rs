//! The paths of a store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use attestry_core::StorageError;

use crate::fs::create::PRIVATE;
use crate::fs::open;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys::{self, FileId, FileState};

/// The folder of one store. Everything that the Python package does not know is in `.attestry/`.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// A segment as listed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: SegmentName,
    pub(crate) id: FileId,
    pub(crate) length: u64,
    pub(crate) state: FileState,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.path.join(PRIVATE)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.private().join("lock")
    }

    pub(crate) fn intent_log(&self) -> PathBuf {
        self.private().join("erasures.journal")
    }

    pub(crate) fn epochs(&self) -> PathBuf {
        self.private().join("generation")
    }

    pub(crate) fn indexes(&self) -> PathBuf {
        self.private().join("index")
    }

    /// The index file of a segment. Named by the inode number, which a rotation does not change.
    pub(crate) fn index(&self, segment: FileId) -> PathBuf {
        self.indexes().join(format!("{}.idx", segment.number()))
    }

    /// A segment that is being compacted, before it is renamed to its name.
    pub(crate) fn compacted(&self) -> PathBuf {
        self.private().join("compacted.tmp")
    }

    /// The Merkle tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.private().join("tree")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.private().join("quarantine")
    }

    pub(crate) fn segment(&self, name: SegmentName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Fails if a link is in place of a folder inside the store: it could lead out of the store.
    pub(crate) fn check_folders(&self) -> Result<(), StorageError> {
        let inside = ["checkpoints", "timestamps", "anchors", "access"];
        let inside = inside.map(|name| self.private().join(name));
        let all = [self.private(), self.indexes(), self.tree(), self.quarantine()];
        for path in all.into_iter().chain(inside) {
            match open::folder(&path) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(StorageError::io("open the folder", path, error));
                }
                // What it is needed for reports any other error.
                _ => {}
            }
        }
        Ok(())
    }

    /// The segments in the order they were written. Fails if anything else has the name of a segment, or one
    /// is sparse.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, StorageError> {
        let failed = |source| StorageError::io("list", &self.path, source);
        let mut segments = Vec::new();
        for item in fs::read_dir(&self.path).map_err(failed)? {
            let item = item.map_err(failed)?;
            let Some(name) = item.file_name().to_str().and_then(SegmentName::parse) else {
                continue;
            };
            let examined = item.metadata().and_then(open::regular);
            match examined.and_then(|found| sys::without_large_hole(&item.path(), found)) {
                Ok(metadata) => {
                    segments.push(Listed {
                        name,
                        id: FileId::of(&metadata),
                        length: metadata.len(),
                        state: FileState::of(&metadata),
                    });
                }
                // Renamed or unlinked since; the caller lists again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StorageError::io("examine", item.path(), error)),
            }
        }
        segments.sort_by_key(|listed| listed.name);
        Ok(segments)
    }
}
