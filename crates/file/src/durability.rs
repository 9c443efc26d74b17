//! What an acknowledged write survives.

use std::error::Error;
use std::{fmt, io};

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A power cut: the line is on stable storage (`fdatasync` of the file, and `fsync` of the folder
    /// for a new file). Many writers share one sync.
    #[default]
    Sync,
    /// A crash of the process, not a power cut: the line is in the page cache, which the kernel writes
    /// to the disk within some 30 seconds. For users who accept the loss of the last seconds on a
    /// power cut. `flush` and `close` make everything durable, or fail
    /// ([`LinesMayBeLost`]).
    Buffered,
}

/// Acknowledged lines may be lost: with [`Durability::Buffered`], the system failed to put them on stable
/// storage. It reports such a failure once, and a retry would succeed without writing them. So `flush`,
/// `close` and signing checkpoints fail with this error until the store is opened again. Appends still work.
///
/// It is the inner error of the [`io::Error`] in a [`StorageError::Io`](attestry_core::StorageError::Io)
/// that names the segment. The first failure is reported as the error of the system instead, if a caller
/// waits for it.
///
/// ```
/// use attestry_core::{StorageBackend, StorageError};
/// use attestry_file::{FileStorage, LinesMayBeLost};
///
/// async fn flush(storage: &FileStorage) -> Result<(), StorageError> {
///     let flushed = storage.flush().await;
///     if let Err(StorageError::Io { path, source, .. }) = &flushed
///         && source.get_ref().is_some_and(|inner| inner.is::<LinesMayBeLost>())
///     {
///         eprintln!("compare the last lines of {} with other copies", path.display());
///     }
///     flushed
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinesMayBeLost;

impl fmt::Display for LinesMayBeLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an earlier sync of it failed, and its last acknowledged lines may be lost; check the disk, \
             then close the store and open it again",
        )
    }
}

impl Error for LinesMayBeLost {}

impl From<LinesMayBeLost> for io::Error {
    fn from(lost: LinesMayBeLost) -> Self {
        Self::other(lost)
    }
}
