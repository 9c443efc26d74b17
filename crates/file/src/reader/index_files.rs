//! Writes index files, and replaces damaged ones.

use std::fs;
use std::io;
use std::thread;

use attestry_core::StorageError;

use super::Catalog;
use super::progress::Progress;
use super::snapshot::LockMode;
use crate::fs::epoch::Stamp;
use crate::fs::lock::LockGuard;
use crate::fs::sys::{self, FileState};
use crate::segment::{IndexFile, MemoryIndex, Segment, SegmentIndex, write_index_file};

/// An index in memory of at most this many new bytes is not saved: reading them again is as fast as writing
/// an index file.
const MIN_SAVED_BYTES: u64 = 1 << 20;
/// The same as a fraction of the rotation size, for stores with small segments.
const MIN_SAVED_FRACTION: u64 = 100;

/// How many bytes of a segment its index file may lack. Full segments have `rotation_bytes`.
pub(crate) fn may_lack_in_index(rotation_bytes: u64) -> u64 {
    MIN_SAVED_BYTES.min(rotation_bytes / MIN_SAVED_FRACTION)
}

impl Catalog {
    /// Indexes the segments numbered `missing` and, if the store is writable, writes their index files; returns
    /// how many. At most one index per processor is in memory at once.
    pub(super) fn write_missing_indexes(
        &self,
        segments: &mut [Segment],
        missing: &[usize],
        stamp: Stamp,
        lock_mode: LockMode,
        mut filter_budget: usize,
    ) -> Result<usize, StorageError> {
        if missing.is_empty() {
            return Ok(0);
        }
        let mut bytes = 0;
        for &number in missing {
            let segment = &segments[number];
            bytes += self.length_of(segment)?.saturating_sub(segment.file.indexed_len());
        }
        let progress = self.listener.begin(bytes);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut written = 0;
        for chunk in missing.chunks(threads) {
            self.extend_all(segments, chunk, &progress)?;
            let Some(lock) = &self.lock else { continue };
            let _guard = match lock_mode {
                LockMode::Held => None,
                LockMode::Wait => Some(lock.acquire()?),
                LockMode::Try => match lock.try_acquire() {
                    None => continue,
                    guard => guard,
                },
            };
            if sys::make_private(&self.folder.indexes()).is_err() {
                continue; // index files are optional; a later refresh writes them
            }
            // Another process may have held the lock while the segments were read.
            let now = Stamp::read(&self.folder)?;
            for &number in chunk {
                if now != stamp && !self.is_unchanged(&segments[number], stamp, now)? {
                    continue;
                }
                if let Some(index) = self.write_index(&segments[number], now, filter_budget)? {
                    filter_budget = filter_budget.saturating_sub(index.filter_bytes());
                    segments[number] = segments[number].with_new_index(SegmentIndex::OnDisk(index));
                    written += 1;
                }
            }
        }
        Ok(written)
    }

    /// Whether a segment as of stamp `then` is the same at stamp `now`, except for erased lines.
    fn is_unchanged(
        &self,
        segment: &Segment,
        then: Stamp,
        now: Stamp,
    ) -> Result<bool, StorageError> {
        let found = sys::id_and_length(&self.folder.segment(segment.name));
        let erased = now.epochs.erasures != then.epochs.erasures;
        Ok(found.is_ok_and(|(id, _)| id == segment.file.id)
            && self.update_memory_index(segment.name, &segment.file, erased)?)
    }

    /// Writes the index file of a segment, or opens the one that another process has written. `None` if that
    /// fails or the segment has changed.
    fn write_index(
        &self,
        segment: &Segment,
        stamp: Stamp,
        filter_budget: usize,
    ) -> Result<Option<IndexFile>, StorageError> {
        let path = self.folder.index(segment.file.id);
        let Some(index) = segment.file.memory_index() else { return Ok(None) };
        let state = || {
            let state = FileState::of_file(&segment.file.handle);
            state.map_err(|source| self.failed("examine", segment, source))
        };
        let before = state()?;
        let length = before.length;
        let open = || IndexFile::open(&path, segment.file.id, length, filter_budget);
        if let Some(existing) = open().filter(|index| self.agrees(index, segment.name, before)) {
            return Ok(Some(existing));
        }
        let confirm = || {
            length == index.indexed_len()
                && !index.has_open_tail()
                && Stamp::read(&self.folder).is_ok_and(|s| s == stamp)
                && state().is_ok_and(|now| now == before)
        };
        match write_index_file(&path, segment.file.id, &index, before, confirm) {
            Ok(true) => Ok(open()),
            Ok(false) | Err(_) => Ok(None),
        }
    }

    /// Extends the indexes of the segments with these numbers, one thread each.
    fn extend_all(
        &self,
        segments: &[Segment],
        numbers: &[usize],
        progress: &Progress<'_>,
    ) -> Result<(), StorageError> {
        let extend = |number: usize| self.extend(&segments[number], Some(progress));
        let Some((&first, others)) = numbers.split_first() else { return Ok(()) };
        thread::scope(|scope| {
            let mut outcome = Ok(());
            let mut running = Vec::new();
            for &number in others {
                match thread::Builder::new().spawn_scoped(scope, move || extend(number)) {
                    Ok(thread) => running.push(thread),
                    // The process may start no more threads.
                    Err(_) => outcome = outcome.and(extend(number)),
                }
            }
            outcome = outcome.and(extend(first));
            for other in running {
                outcome = outcome.and(other.join().unwrap_or(Err(StorageError::Closed)));
            }
            outcome
        })
    }

    /// Writes an index file for each index in memory, so that the next open need not read those segments.
    /// Nothing is read for it: bytes that are not indexed yet stay so. Full segments have `rotation_bytes`.
    ///
    /// # Errors
    ///
    /// If a segment cannot be synced; the kernel reports that only once. Failing to write an index file is
    /// not an error.
    pub(crate) fn save_indexes(
        &self,
        _: &LockGuard<'_>,
        rotation_bytes: u64,
    ) -> Result<(), StorageError> {
        let cache = self.cache();
        let Some(stamp) = cache.stamp else { return Ok(()) };
        let is_current = || Stamp::read(&self.folder).is_ok_and(|now| now == stamp);
        if !is_current() {
            return Ok(());
        }
        for segment in &cache.growing {
            let Some(mut index) = segment.file.memory_index_mut() else { continue };
            if index.has_open_tail() || index.unsaved_len() <= may_lack_in_index(rotation_bytes) {
                continue;
            }
            // An index must not reach the disk before the lines it describes.
            let synced = segment.file.handle.sync_data();
            synced.map_err(|source| self.failed("sync", segment, source))?;
            let path = self.folder.index(segment.file.id);
            let saved = sys::make_private(&self.folder.indexes())
                .and_then(|()| FileState::of_file(&segment.file.handle))
                .and_then(|state| {
                    write_index_file(&path, segment.file.id, &index, state, is_current)
                });
            if saved.is_ok_and(|written| written) {
                index.set_saved();
            }
        }
        Ok(())
    }

    /// Runs `read` on the index of `segment`. If the index file turns out to be damaged, runs it again on an
    /// index in memory. Returns the segment with the index that was read.
    pub(super) fn read_index<T>(
        &self,
        segment: &Segment,
        read: impl Fn(&Segment) -> io::Result<T>,
    ) -> Result<(Segment, T), StorageError> {
        let failed = |source| self.failed("read the index of", segment, source);
        match read(segment) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let rebuilt = self.replace_damaged(segment)?;
                let value = read(&rebuilt).map_err(failed)?;
                Ok((rebuilt, value))
            }
            outcome => Ok((segment.clone(), outcome.map_err(failed)?)),
        }
    }

    /// The segment with an index in memory instead of its damaged index file. Removes the file, so that a
    /// later refresh writes a new one.
    pub(crate) fn replace_damaged(&self, segment: &Segment) -> Result<Segment, StorageError> {
        if self.lock.is_some() {
            let _ = fs::remove_file(self.folder.index(segment.file.id));
        }
        let replaced =
            segment.with_new_index(SegmentIndex::in_memory(MemoryIndex::new(self.keys.clone())));
        self.extend(&replaced, None)?;
        self.invalidate();
        Ok(replaced)
    }
}
