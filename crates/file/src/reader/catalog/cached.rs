//! Lookups on the caller's thread, which must not block: `None` where the answer would need the disk,
//! a lock that is taken, or a look at the folder. The caller then does the same on a thread that may
//! block, which costs more than the whole lookup.

use std::sync::{Arc, TryLockError};

use attestry_core::{AuditEntry, EntryId, line};

use super::Catalog;
use crate::fs::epoch::Stamp;
use crate::fs::sys::{self, IoMode};
use crate::segment::{LONG_LINE_BYTES, Segment, Wanted, hash_of, likely};

impl Catalog {
    /// The segments, if what is known of them is current.
    fn cached_snapshot(&self) -> Option<Arc<[Segment]>> {
        let known = match self.known.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(known)) => known.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let stamp = Stamp::read_cached(&known.watched)?;
        if known.stamp != Some(stamp) {
            return None;
        }
        for segment in &known.live {
            let covered = segment.body.covered_if_free()?;
            if sys::length_of(&segment.body.file).ok()? != covered {
                return None;
            }
        }
        Some(known.segments.clone())
    }

    /// [`count`](Self::count) of all segments.
    pub(crate) fn count_cached(&self) -> Option<u64> {
        let segments = self.cached_snapshot()?;
        segments.iter().map(|segment| segment.body.records(IoMode::Cached).ok()).sum()
    }

    /// The entry that [`find`](Self::find) finds first. Anything out of the ordinary, such as an erased
    /// or corrupt line, is left to that.
    pub(crate) fn find_cached(&self, id: &EntryId) -> Option<Option<AuditEntry>> {
        let segments = self.cached_snapshot()?;
        let wanted = Wanted::new(hash_of(id));
        for segment in likely(&segments, &wanted) {
            for found in segment.body.candidates(&wanted, IoMode::Cached).ok()? {
                if found.length > LONG_LINE_BYTES {
                    return None;
                }
                let mut bytes = vec![0; found.length as usize];
                let file = &segment.body.file;
                sys::read_exact_at_with(file, &mut bytes, found.offset, IoMode::Cached).ok()?;
                let entry = line::decode(&bytes).ok()?;
                if entry.id == *id {
                    return Some(Some(entry));
                }
            }
        }
        // A line that cannot be read may hold the id.
        let has_none =
            |segment: &Segment| segment.body.bad(IoMode::Cached).is_ok_and(|bad| bad.is_empty());
        segments.iter().all(has_none).then_some(None)
    }
}
