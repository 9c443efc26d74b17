//! Reads the latest checkpoint repeatedly.

use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::StorageError;
use attestry_evidence::SignedCheckpoint;

use super::checkpoints::Checkpoints;
use super::error::{EvidenceError, Result};
use crate::fs::layout::Folder;

/// Reads the latest checkpoint of a store, whichever process signed it. A file is read only if it has
/// changed since the last call. A clone shares that memory.
#[derive(Debug, Clone)]
pub struct CheckpointReader(Arc<Mutex<Checkpoints>>);

impl CheckpointReader {
    pub(crate) fn new(folder: &Folder) -> Self {
        Self(Arc::new(Mutex::new(Checkpoints::of(folder))))
    }

    /// The latest checkpoint; `None` if there is none, also if the store keeps no evidence.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Storage`], [`EvidenceError::Damaged`].
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn latest(&self) -> Result<Option<SignedCheckpoint>> {
        let shared = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || {
            // A panic in a reader leaves nothing behind that the next call does not read again.
            let mut checkpoints = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let path = checkpoints.folder().to_path_buf();
            let latest = checkpoints.latest()?;
            let malformed =
                |_| EvidenceError::damaged(&path, "the latest note is not a checkpoint");
            latest.map(|note| note.parse().map_err(malformed)).transpose()
        });
        read.await.unwrap_or_else(|error| {
            Err(StorageError::other("reading the latest checkpoint was interrupted", error).into())
        })
    }
}
