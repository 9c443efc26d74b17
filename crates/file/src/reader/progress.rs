//! Reports the progress of indexing segments without an index file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::callback;

/// A report is made after this many bytes, and at the end. Indexing less is not reported.
const REPORT_BYTES: u64 = 1 << 20;

/// Progress of reading segments to index them; see
/// [`FileStorageBuilder::on_indexing`](crate::FileStorageBuilder::on_indexing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexingProgress {
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Bytes to read in total. Indexing is complete when `bytes_read` reaches it.
    pub bytes_total: u64,
}

/// The user's callback, if any.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Fn(IndexingProgress) + Send + Sync>>);

impl Listener {
    pub(crate) fn new(callback: impl Fn(IndexingProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    /// Starts reporting a read of `bytes_total` bytes.
    pub(super) fn begin(&self, bytes_total: u64) -> Progress<'_> {
        Progress { listener: self, bytes_total, bytes_read: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.0.is_some()).finish()
    }
}

/// How far a read has come; several threads may share it.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    listener: &'a Listener,
    bytes_total: u64,
    bytes_read: AtomicU64,
}

impl Progress<'_> {
    /// Adds a number of bytes read.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        let bytes_read = before + bytes;
        let is_due = before / REPORT_BYTES < bytes_read / REPORT_BYTES;
        let is_end = bytes_read == self.bytes_total && bytes > 0 && bytes_read >= REPORT_BYTES;
        if let Some(callback) = self.listener.0.as_deref()
            && (is_due || is_end)
        {
            // The segment may have grown since its length was read.
            let bytes_total = self.bytes_total.max(bytes_read);
            callback::run(|| callback(IndexingProgress { bytes_read, bytes_total }));
        }
    }
}
