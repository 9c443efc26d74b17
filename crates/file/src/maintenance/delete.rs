//! Deletes the lines of an entry.

use std::sync::Arc;

use attestry_core::{EntryId, StorageError};

use super::LogParts;
use crate::erase::{EraseIntent, ErasedLine};
use crate::fs::lock::LockGuard;
use crate::observer::EraseReason;
use crate::quarantine;
use crate::segment::{Line, Segment};

/// Deletes every line of `id`, also in quarantine; returns whether there was one.
pub(crate) fn delete(
    log: &mut LogParts,
    id: &EntryId,
    reason: EraseReason,
    guard: &LockGuard<'_>,
) -> Result<bool, StorageError> {
    let segments = prepare(log, guard)?;
    let found = log.catalog.find_all(&segments, id)?;
    let lines: Vec<_> = found.iter().map(|found| (&found.segment, found.line)).collect();
    // First: if this fails, the entry is still found by the next attempt.
    let quarantined = quarantine::remove_lines_of(log.catalog.folder(), id)?;
    erase(log, &lines, reason)?;
    Ok(!found.is_empty() || quarantined > 0)
}

/// Brings intent log, observer and catalog up to date before an erasure. Returns the segments.
pub(super) fn prepare(
    log: &mut LogParts,
    guard: &LockGuard<'_>,
) -> Result<Arc<[Segment]>, StorageError> {
    log.erasures.finish_pending(&mut *log.observer)?;
    log.observer.catch_up()?;
    if log.observer.leaf_hasher().is_some() {
        // An erasure makes the tree durable, and no leaf may be durable before its line.
        log.active.sync_if_buffered()?;
    }
    log.catalog.snapshot_locked(guard)
}

/// Overwrites `lines`.
pub(super) fn erase(
    log: &mut LogParts,
    lines: &[(&Segment, Line)],
    reason: EraseReason,
) -> Result<(), StorageError> {
    let erased_lines = lines.iter().map(|(segment, line)| ErasedLine {
        segment: segment.name,
        offset: line.offset,
        length: u64::from(line.length),
        checksums: Vec::new(),
        leaf: None,
    });
    let intent = EraseIntent {
        lines: erased_lines.collect(),
        reason: Some(reason),
        ..EraseIntent::default()
    };
    let erased = log.erasures.erase(intent, &mut *log.observer);
    match &erased {
        Ok(_) => log.catalog.mark_erased(lines)?,
        // Some lines may be overwritten. The others follow when the intent log is completed.
        Err(_) => log.catalog.invalidate(),
    }
    erased.map(drop)
}
