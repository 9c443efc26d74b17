//! Telling how far the reading of segments that have no index yet has come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::callback;

/// Told each time another so many bytes were read, and at the end; less is not worth telling.
const STEP_BYTES: u64 = 1 << 20;

/// How far reading segments to index them has come; see
/// [`FileStorageBuilder::on_indexing`](crate::FileStorageBuilder::on_indexing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexingProgress {
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Bytes to read. The end is reached when this many were read.
    pub bytes_total: u64,
}

/// Whom to tell, if anybody wants to know.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Fn(IndexingProgress) + Send + Sync>>);

impl Listener {
    pub(crate) fn new(tell: impl Fn(IndexingProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Begins the reading of `bytes_total` bytes.
    pub(super) fn begin(&self, bytes_total: u64) -> Reading<'_> {
        Reading { listener: self, bytes_total, bytes_read: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "nobody" })
    }
}

/// Segments that are being read, by several threads perhaps.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    listener: &'a Listener,
    bytes_total: u64,
    bytes_read: AtomicU64,
}

impl Reading<'_> {
    /// So many more bytes were read.
    pub(super) fn add(&self, bytes: u64) {
        let before = self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        let bytes_read = before + bytes;
        let step = before / STEP_BYTES < bytes_read / STEP_BYTES;
        let end = bytes_read == self.bytes_total && bytes > 0 && bytes_read >= STEP_BYTES;
        if let Some(tell) = self.listener.0.as_deref()
            && (step || end)
        {
            // A segment may have grown since its length was asked for.
            let bytes_total = self.bytes_total.max(bytes_read);
            callback::run(|| tell(IndexingProgress { bytes_read, bytes_total }));
        }
    }
}
