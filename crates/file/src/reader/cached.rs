//! Lookups on a thread that must not block: `None` if the result needs the disk, a lock that another thread
//! holds, or a refresh. The caller then repeats the lookup on a blocking thread; switching threads costs more
//! than the whole lookup.

use std::sync::{Arc, TryLockError};

use attestry_core::{AuditEntry, EntryId, line};

use super::Catalog;
use crate::fs::epoch::Stamp;
use crate::fs::sys::{self, IoMode};
use crate::segment::{Candidates, HashedId, LONG_LINE_BYTES, Segment};

impl Catalog {
    /// [`snapshot`](Self::snapshot), if the cache is current.
    fn cached_snapshot(&self) -> Option<Arc<[Segment]>> {
        let cache = match self.cache.try_lock() {
            Ok(cache) => cache,
            Err(TryLockError::Poisoned(cache)) => cache.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let stamp = Stamp::read_cached(&cache.stamp_files)?;
        if cache.stamp != Some(stamp) {
            return None;
        }
        for segment in &cache.growing {
            let indexed_len = segment.file.try_indexed_len()?;
            if sys::length_of(&segment.file.handle).ok()? != indexed_len {
                return None;
            }
        }
        Some(cache.segments.clone())
    }

    /// [`count`](Self::count) of all segments.
    pub(crate) fn count_cached(&self) -> Option<u64> {
        let segments = self.cached_snapshot()?;
        segments.iter().map(|segment| segment.file.records(IoMode::Cached).ok()).sum()
    }

    /// The entry that [`find`](Self::find) finds, or its bytes, as `keep` selects. Erased and corrupt lines
    /// are left to that.
    pub(crate) fn find_cached<T>(
        &self,
        id: &EntryId,
        keep: impl Fn(Vec<u8>, AuditEntry) -> T,
    ) -> Option<Option<T>> {
        let segments = self.cached_snapshot()?;
        let hashed = HashedId::new(id);
        for segment in Candidates::new(&segments, &hashed) {
            for found in segment.file.lookup(&hashed, IoMode::Cached).ok()? {
                if found.length > LONG_LINE_BYTES {
                    return None;
                }
                let mut bytes = vec![0; found.length as usize];
                let handle = &segment.file.handle;
                sys::read_exact_at_with(handle, &mut bytes, found.offset, IoMode::Cached).ok()?;
                let entry = line::decode(&bytes).ok()?;
                if entry.id == *id {
                    return Some(Some(keep(bytes, entry)));
                }
            }
        }
        // A corrupt line may contain the id.
        let has_no_corrupt =
            |segment: &Segment| matches!(segment.file.has_corrupt_lines(IoMode::Cached), Ok(false));
        segments.iter().all(has_no_corrupt).then_some(None)
    }
}
