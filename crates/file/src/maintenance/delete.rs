//! Deletes the lines of entries.

use std::collections::HashSet;
use std::sync::Arc;

use attestry_core::{EntryId, StorageError};

use super::LogParts;
use crate::erase::{EraseIntent, ErasedLine, is_refused};
use crate::fs::lock::LockGuard;
use crate::observer::EraseReason;
use crate::quarantine;
use crate::segment::{Line, Segment};

/// Deletes every line of `ids`, also in quarantine, in one erasure; returns for each whether there was
/// one.
pub(crate) fn delete(
    log: &mut LogParts,
    ids: &[EntryId],
    reason: EraseReason,
    guard: &LockGuard<'_>,
) -> Result<Vec<bool>, StorageError> {
    let segments = prepare(log, guard)?;
    let mut distinct = HashSet::new();
    let (mut existed, mut found) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        if !distinct.insert(id) {
            existed.push(false);
            continue;
        }
        let of_id = log.catalog.find_all(&segments, id)?;
        // First: if this fails, the entry is still found by the next attempt.
        let quarantined = quarantine::remove_lines_of(log.catalog.folder(), id)?;
        existed.push(!of_id.is_empty() || quarantined > 0);
        found.extend(of_id.into_iter().map(|found| (found.segment, found.line)));
    }
    // The intent log identifies the lines of a segment with one open file.
    found.sort_by_key(|(segment, line)| (segment.name, line.offset));
    let lines: Vec<_> = found.iter().map(|(segment, line)| (segment, *line)).collect();
    erase(log, &lines, reason)?;
    Ok(existed)
}

/// Brings intent log, observer and catalog up to date before an erasure. Returns the segments.
pub(super) fn prepare(
    log: &mut LogParts,
    guard: &LockGuard<'_>,
) -> Result<Arc<[Segment]>, StorageError> {
    log.erasures.finish_pending(&mut *log.observer)?;
    repair_torn_tails(log, guard)?;
    log.observer.catch_up()?;
    if log.observer.leaf_hasher().is_some() {
        // An erasure makes the tree durable, and no leaf may be durable before its line.
        log.active.sync_if_buffered()?;
    }
    log.catalog.snapshot_locked(guard)
}

/// Moves lines that were cut short by a crash of another process to quarantine, where an erasure finds them.
fn repair_torn_tails(log: &mut LogParts, guard: &LockGuard<'_>) -> Result<(), StorageError> {
    for (name, length) in log.catalog.torn_segments(guard)? {
        match log.active.repair_torn_tail(name, length) {
            // Reported when the store is opened.
            Err(error) if is_refused(&error) => {}
            repaired => repaired?,
        }
    }
    Ok(())
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
