//! Methods of the builder of a store that keeps evidence.

use std::path::PathBuf;

use attestry_core::StorageError;
use attestry_evidence::SigningKey;

use crate::builder::FileStorageBuilder;
use crate::fs::layout::Folder;
use crate::tree::{EvidenceError, EvidenceOptions, TreeRebuild, rebuild};

/// With the feature `evidence`.
impl FileStorageBuilder {
    /// Makes the store keep evidence from now on. An empty store begins by itself. If there are entries
    /// already, evidence begins only with [`EvidenceOptions::adopt_existing`]; without it, entries are
    /// recorded as before, nothing is signed or erased, and the recovery report says so.
    ///
    /// A folder that keeps evidence continues to do so without this call, but checkpoints are signed only
    /// with it. Before the first call, close every program without the feature `evidence` that has the
    /// folder open: it would erase entries without a record.
    pub fn evidence(mut self, options: EvidenceOptions) -> Self {
        self.settings.evidence = Some(options);
        self
    }

    /// Repairs the Merkle tree of the folder without opening it: rebuilds its upper levels, the map of leaves
    /// to segments and the tree head from the leaf hashes and the segments, and adds lines that it lacks.
    /// Checkpoints stay valid.
    ///
    /// It takes about 100 bytes of memory a leaf, and holds the store lock. Close other programs that have
    /// the folder open for writing. After a crash, call it again.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::NotKept`]; [`EvidenceError::Disagrees`] if the leaf hashes do not match the latest
    /// checkpoint, [`EvidenceError::Damaged`] if some are missing: nothing is changed then, and
    /// [`set_tree_aside`](Self::set_tree_aside) is what is left. [`EvidenceError::Storage`].
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel it.
    pub async fn rebuild_tree(self) -> Result<TreeRebuild, EvidenceError> {
        self.on_folder(rebuild::rebuild).await
    }

    /// Moves the Merkle tree and its checkpoints to folders beside them, which are returned. The next open
    /// [with evidence](Self::evidence) creates a new tree from the lines that are there.
    ///
    /// The new tree proves nothing about the time before: not which lines were altered or removed, and not
    /// which erasures had a record. Checkpoints that were kept elsewhere do not match it.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`].
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not cancel it.
    pub async fn set_tree_aside(self) -> Result<Vec<PathBuf>, EvidenceError> {
        self.on_folder(rebuild::set_aside).await
    }

    async fn on_folder<T: Send + 'static>(
        self,
        work: fn(&Folder) -> Result<T, EvidenceError>,
    ) -> Result<T, EvidenceError> {
        let path = self.settings.path;
        let message = format!("the repair of {} was interrupted", path.display());
        let done = tokio::task::spawn_blocking(move || work(&Folder::new(path))).await;
        done.unwrap_or_else(|error| Err(StorageError::other(message, error).into()))
    }

    /// The key that signs erasure records, by default that of the log. Another key, such as that of a data
    /// protection officer, must be authorised by the log first:
    /// [`authorize_erasure_key`](crate::FileStorage::authorize_erasure_key). It works without the key of the log,
    /// and signs no checkpoints.
    ///
    /// Without any key, erasing from a folder that keeps evidence fails with
    /// [`EvidenceError::NoErasureKey`]. In other folders it is not used.
    pub fn erasure_key(mut self, key: SigningKey) -> Self {
        self.settings.erasure_key = Some(key);
        self
    }

    /// The name that erasure records state; `attestry` by default. At most 1,024 bytes, otherwise erasing
    /// fails.
    pub fn erased_by(mut self, name: impl Into<String>) -> Self {
        self.settings.erase_defaults.by = Some(name.into());
        self
    }

    /// The reason that erasure records state; by default `deleted`, or the cutoff for expired entries. At
    /// most 1,024 bytes, otherwise erasing fails. Records are permanent: do not mention what was erased.
    pub fn erase_reason(mut self, reason: impl Into<String>) -> Self {
        self.settings.erase_defaults.reason = Some(reason.into());
        self
    }
}
