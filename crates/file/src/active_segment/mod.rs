//! The active segment: appends lines, undoes a failed append, and prepares the file before the next.

mod indexer;
mod newest;
mod open_segment;
mod seal;
mod sync;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use attestry_core::metrics::StorageCounters;
use attestry_core::{StorageError, Timestamp, event, traced};

use crate::durability::Durability;
use crate::erase::Erasures;
use crate::fs::clock::Clock;
use crate::fs::epoch;
use crate::fs::layout::Folder;
use crate::fs::lock::LockEpoch;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys::{self, FileId};
use crate::observer::{LineEnd, LogObserver};
use crate::recovery::{self, TornTail};
use crate::segment::{AppendedLine, IndexKeys, Term};
use indexer::{AppendedLines, Indexer};
use newest::Newest;
use open_segment::OpenSegment;

/// The end of the log. Owned by the writer thread; nothing else appends. Every method that takes
/// `&mut self` requires the store lock.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    folder: Folder,
    rotation_bytes: u64,
    durability: Durability,
    open: Option<OpenSegment>,
    /// Names have changed and the folder was not synced since. Nothing is acknowledged until it is.
    folder_dirty: bool,
    /// A failed append could not be undone, so the end of the file is unknown. Until the store is
    /// reopened, every append fails.
    wedged: bool,
    /// Files of which a sync has failed. The kernel may have dropped their dirty pages, and would report
    /// success on a retry: nothing on them is acknowledged again.
    sync_failed: HashSet<FileId>,
    /// Of `Durability::Buffered`: a segment whose acknowledged lines are not known to be on stable
    /// storage, and never will be.
    lost: Option<PathBuf>,
    /// Torn lines of other programs that were repaired.
    repaired: Vec<TornTail>,
    indexer: Indexer,
    counters: Arc<StorageCounters>,
    clock: Clock,
    /// The end of the current day, and the segment of that day.
    today: (Timestamp, SegmentName),
    /// Puts the data of a file on stable storage; one that fails in tests.
    sync_data: fn(&File) -> io::Result<()>,
}

/// Lines to append, each ending at the offset in `ends`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinesToAppend<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ends: &'a [LineEnd],
    /// The terms of the lines, by the keys that [`ActiveSegment`] indexes.
    pub(crate) terms: &'a [Term],
}

impl<'a> LinesToAppend<'a> {
    /// The bytes of a line, with its line break, and its terms.
    fn line(&self, number: usize) -> (&'a [u8], &'a [Term]) {
        let before = number.checked_sub(1).map(|last| self.ends[last]);
        let (start, first_term) = before.map_or((0, 0), |end| (end.at, end.terms));
        let end = &self.ends[number];
        (&self.bytes[start..end.at], &self.terms[first_term..end.terms])
    }
}

/// Why lines were not appended, and how many of them were appended and synced before that.
#[derive(Debug)]
pub(crate) struct AppendError {
    pub(crate) durable_lines: usize,
    pub(crate) error: StorageError,
}

impl ActiveSegment {
    pub(crate) fn new(folder: Folder, rotation_bytes: u64, durability: Durability) -> Self {
        Self {
            indexer: Indexer::new(folder.clone()),
            folder,
            rotation_bytes,
            durability,
            open: None,
            folder_dirty: false,
            wedged: false,
            sync_failed: HashSet::new(),
            lost: None,
            repaired: Vec::new(),
            counters: Arc::default(),
            clock: Clock::default(),
            today: (Timestamp::MIN, SegmentName::active_on(Timestamp::MIN)),
            sync_data: File::sync_data,
        }
    }

    /// The same with other keys of the indexes that it makes.
    pub(crate) fn with_keys(self, keys: IndexKeys) -> Self {
        Self { indexer: self.indexer.with_keys(keys), ..self }
    }

    /// The same with another clock.
    pub(crate) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The same, counting with `counters`.
    pub(crate) fn with_counters(mut self, counters: Arc<StorageCounters>) -> Self {
        self.counters = counters;
        self
    }

    /// The same with another way to sync.
    #[cfg(test)]
    pub(crate) fn syncing_with(mut self, sync_data: fn(&File) -> io::Result<()>) -> Self {
        self.sync_data = sync_data;
        self
    }

    /// Appends `lines` and makes them as durable as the store promises. Rotates before a line whenever
    /// the segment has reached its size, as the Python package does.
    pub(crate) fn append(
        &mut self,
        epoch: LockEpoch,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
        lines: &LinesToAppend<'_>,
    ) -> Result<(), AppendError> {
        let LinesToAppend { bytes, ends, .. } = *lines;
        let mut done = 0;
        while done < ends.len() {
            let start = if done == 0 { 0 } else { ends[done - 1].at };
            let appended = self.prepare(epoch, erasures, observer).and_then(|room| {
                // The lines that begin before the segment reaches its size; at least one.
                let fits = ends[done..].iter().take_while(|end| ((end.at - start) as u64) < room);
                let count = (fits.count() + 1).min(ends.len() - done);
                let bytes = &bytes[start..ends[done + count - 1].at];
                self.write_and_sync(bytes, count).map(|()| count)
            });
            let count = match appended {
                Ok(count) => count,
                Err(error) => {
                    // Seals a poisoned segment now, since other processes do not know of the failed
                    // sync. If sealing fails, the next append tries it again.
                    let _ = self.seal_poisoned(erasures, observer);
                    return Err(AppendError { durable_lines: done, error });
                }
            };
            if let Some(open) = &mut self.open {
                let ends = &ends[done..done + count];
                let written = ends.last().map_or(0, |end| end.at - start) as u64;
                open.appended.add(open.length - written, lines, done..done + count);
                observer.appended(bytes, start, ends, open.length);
            }
            done += count;
        }
        Ok(())
    }

    /// The lines that were appended to the open segment since the last call.
    pub(crate) fn take_new_lines(
        &mut self,
    ) -> Option<(FileId, impl Iterator<Item = AppendedLine<'_>>)> {
        self.open.as_mut().map(|open| (open.id, open.appended.take_new()))
    }

    /// The size from which a segment is rotated.
    pub(crate) fn rotation_bytes(&self) -> u64 {
        self.rotation_bytes
    }

    /// Appends `lines` if nothing has to be opened, repaired, rotated or waited for before; otherwise
    /// returns `None`, and nothing was changed. The observer must be inactive.
    pub(crate) fn append_if_ready(
        &mut self,
        epoch: LockEpoch,
        lines: &LinesToAppend<'_>,
    ) -> Option<Result<(), StorageError>> {
        if !self.is_ready_for(lines.bytes.len(), epoch) {
            return None;
        }
        let written = self.write_and_sync(lines.bytes, lines.ends.len());
        if written.is_ok()
            && let Some(open) = &mut self.open
        {
            let offset = open.length - lines.bytes.len() as u64;
            open.appended.add(offset, lines, 0..lines.ends.len());
        }
        Some(written)
    }

    fn is_ready_for(&mut self, bytes: usize, epoch: LockEpoch) -> bool {
        let today = self.today();
        let Some(open) = &mut self.open else { return false };
        let ready = !self.wedged
            && !self.folder_dirty
            && open.name == today
            && !open.poisoned
            && !open.reopened
            && open.newest.is_newest
            && open.length.saturating_add(bytes as u64) < self.rotation_bytes;
        if ready && open.checked_at != epoch {
            // Another process may have appended, rotated or died since.
            if sys::id_and_length(&open.path).ok() != Some((open.id, open.length))
                || open.newest.refresh(&self.folder, open.name).is_err()
                || !open.newest.is_newest
            {
                return false;
            }
            open.checked_at = epoch;
        }
        ready
    }

    /// Repairs the last line of a segment of `length` bytes if a program has left it without its line
    /// break.
    pub(crate) fn repair_torn_tail(
        &mut self,
        name: SegmentName,
        length: u64,
    ) -> Result<(), StorageError> {
        let repaired = recovery::repair_torn_tail(&self.folder, name, length);
        if let Err(StorageError::Io { action: "sync", .. }) = &repaired
            && let Ok((id, _)) = sys::id_and_length(&self.folder.segment(name))
        {
            self.distrust(id);
        }
        if let Some(repaired) = repaired? {
            // Readers do not look for new lines in a segment that is not the newest.
            epoch::bump_layout(&self.folder)?;
            self.repaired.push(repaired);
        }
        Ok(())
    }

    /// The segment of the current day.
    fn today(&mut self) -> SegmentName {
        let now = self.clock.now();
        let end = now.end_of_day();
        if self.today.0 != end {
            self.today = (end, SegmentName::active_on(now));
        }
        self.today.1
    }

    /// Opens the segment of the day and rotates it if it is full. Returns how many bytes it has room
    /// for.
    fn prepare(
        &mut self,
        epoch: LockEpoch,
        erasures: &mut Erasures,
        observer: &mut dyn LogObserver,
    ) -> Result<u64, StorageError> {
        if self.wedged {
            let path = self.folder.path();
            let reason = "an earlier write failed and could not be undone; close the store and open it again";
            return Err(StorageError::io("append to", path, io::Error::other(reason)));
        }
        loop {
            let name = self.today();
            let mut length = self.length_unless_replaced(name, epoch)?;
            self.seal_poisoned(erasures, observer)?;
            if self.open.is_none() {
                // A process that died may have removed the segment of this name without a record of its
                // lines; afterwards nothing distinguishes them from those of a new one. If that fails,
                // recording continues.
                let _ = erasures.finish_before_rename(name, observer);
                length = self.open_segment(name, epoch)?;
                if self.open.as_ref().is_some_and(|open| open.poisoned) {
                    continue;
                }
            }
            let Some(open) = &self.open else { return Err(StorageError::Closed) };
            if length != open.length {
                // Another program has appended, and may have died while it did.
                let name = open.name;
                self.repair_torn_tail(name, length)?;
                let Some(open) = &mut self.open else { return Err(StorageError::Closed) };
                open.length = sys::length_of(&open.file)
                    .map_err(|source| StorageError::io("examine", &open.path, source))?;
                open.appended.restart(open.length);
            }
            let Some(open) = &self.open else { return Err(StorageError::Closed) };
            // A segment that an unfinished erasure names keeps its name, and grows on.
            if open.length < self.rotation_bytes
                || erasures.finish_before_rename(open.name, observer).is_err()
            {
                break;
            }
            self.seal(erasures, observer)?;
        }
        let Some(open) = &mut self.open else { return Err(StorageError::Closed) };
        // Nothing new is acknowledged before the observer has all lines before it.
        observer.before_append(open.name, &open.file, open.length, open.reopened)?;
        open.reopened = false;
        let room = self.rotation_bytes.checked_sub(open.length);
        let room = room.filter(|room| *room > 0).unwrap_or(u64::MAX);
        self.sync_folder()?;
        Ok(room)
    }

    /// Opens the segment `name`; returns its length.
    fn open_segment(&mut self, name: SegmentName, epoch: LockEpoch) -> Result<u64, StorageError> {
        // A rename must be on the disk before the old name is used again.
        self.sync_folder()?;
        let path = self.folder.segment(name);
        let file = open_segment::open(&self.folder, name)
            .map_err(|source| StorageError::io("open", &path, source))?;
        // Also where another process has created the file: it may have died before it synced the name.
        self.folder_dirty = true;
        epoch::bump_layout(&self.folder)?;
        let metadata =
            file.metadata().map_err(|source| StorageError::io("examine", &path, source))?;
        let mut newest = Newest::default();
        newest.refresh(&self.folder, name)?;
        let (id, length) = (FileId::of(&metadata), metadata.len());
        self.open = Some(OpenSegment {
            name,
            path,
            file,
            id,
            // Unknown, unless the file is empty: the caller checks the end for a torn line.
            length: if length == 0 { 0 } else { u64::MAX },
            poisoned: self.sync_failed.contains(&id),
            reopened: true,
            checked_at: epoch,
            newest,
            appended: AppendedLines::new(length, epoch::erasures(&self.folder)?),
        });
        Ok(length)
    }

    /// The length of the open file. Closes a file that is not of today, or whose path leads to another
    /// file by now; that is checked once for each lock epoch.
    fn length_unless_replaced(
        &mut self,
        today: SegmentName,
        epoch: LockEpoch,
    ) -> Result<u64, StorageError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let is_new_epoch = open.checked_at != epoch;
        let found = if is_new_epoch {
            sys::id_and_length(&open.path).map(|(id, length)| (id == open.id).then_some(length))
        } else {
            sys::length_of(&open.file).map(Some)
        };
        let length = match found {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StorageError::io("examine", &open.path, error)),
        };
        if length.is_none() {
            // The lines may be in use under another name. If this fails, they are reported as lost.
            let _ = self.sync_open_if_buffered();
            self.open = None;
        } else if open.name != today && !open.poisoned {
            self.sync_open()?;
            self.sync_folder()?;
            if let (Some(length), Some(open)) = (length, self.open.take()) {
                let name = open.name;
                self.indexer.index_sealed(open.unindexed(name, length));
            }
        } else if is_new_epoch {
            open.newest.refresh(&self.folder, open.name)?;
            open.checked_at = epoch;
        }
        Ok(length.unwrap_or(0))
    }

    /// Appends `count` lines.
    fn write_and_sync(&mut self, lines: &[u8], count: usize) -> Result<(), StorageError> {
        let Some(open) = &mut self.open else { return Err(StorageError::Closed) };
        let before = open.length;
        // Readers do not look for new lines in a segment that is not the newest. Bumped before the
        // write, too: should this process die after it, the next writer must know of the lines.
        let is_newest = open.newest.is_newest;
        let bump = || if is_newest { Ok(()) } else { epoch::bump_layout(&self.folder) };
        bump()?;
        let failed = |action, source| StorageError::io(action, &open.path, source);
        let started = traced!(DEBUG).then(Instant::now);
        let written = open.file.write_all(lines).map_err(|source| failed("append to", source));
        let write_time = started.map(|started| started.elapsed());
        let mut sync_time = None;
        let durable = written.and_then(|()| match self.durability {
            Durability::Buffered => Ok(()),
            Durability::Sync => {
                let started = Instant::now();
                let synced = (self.sync_data)(&open.file);
                let time = started.elapsed();
                sync_time = Some(time);
                self.counters.synced(time);
                synced.map_err(|source| {
                    open.poisoned = true;
                    self.sync_failed.insert(open.id);
                    failed("sync", source)
                })
            }
        });
        match durable.and_then(|()| bump()) {
            Ok(()) => {
                open.length = before + lines.len() as u64;
                self.counters.stored(count, lines.len());
                event!(
                    DEBUG,
                    entries = count,
                    bytes = lines.len(),
                    write_us = write_time.map(|time| time.as_micros() as u64),
                    sync_us = sync_time.map(|time| time.as_micros() as u64),
                    "batch committed"
                );
                Ok(())
            }
            Err(error) => {
                self.wedged = !open.undo_append(&self.folder);
                event!(
                    WARN,
                    segment = %open.name,
                    kind = error.kind().as_str(),
                    undone = !self.wedged,
                    "append failed"
                );
                Err(error)
            }
        }
    }

    /// Takes the torn lines that were repaired since the last call.
    pub(crate) fn take_repaired(&mut self) -> Vec<TornTail> {
        std::mem::take(&mut self.repaired)
    }

    /// Closes the file if it is `id`, which is about to be unlinked. Syncs it first if appends do not: it
    /// may stay after all.
    pub(crate) fn forget(&mut self, id: FileId) -> Result<(), StorageError> {
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            self.sync_open_if_buffered()?;
            self.open = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
