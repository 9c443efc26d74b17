//! State that the calls of a store share, also calls that go on in a detached task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use attestry_core::StorageError;

use crate::bucket::Bucket;
use crate::day_cache::DayCache;
use crate::key_lock::KeyLocks;
use crate::sequence::Sequence;

pub(crate) struct StoreClient {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) day_cache: DayCache,
    pub(crate) sequence: Sequence,
    pub(crate) key_locks: Arc<KeyLocks>,
    /// How many bytes of bodies a scan may keep of one day.
    pub(crate) day_bytes: u64,
    closed: AtomicBool,
}

impl StoreClient {
    pub(crate) fn new(bucket: Bucket, recent_ids: usize, day_bytes: u64) -> Self {
        Self {
            bucket: Arc::new(bucket),
            day_cache: DayCache::new(recent_ids),
            sequence: Sequence::default(),
            key_locks: Arc::default(),
            day_bytes,
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), StorageError> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(StorageError::Closed),
            false => Ok(()),
        }
    }

    /// Refuses further changes, and waits for those in progress.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.key_locks.wait_for_earlier().await;
    }
}
