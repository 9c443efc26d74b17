//! Keeping up with the folder: what was appended, rotated, erased or unlinked since, by whomever.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::sync::{Arc, RwLock};
use std::thread;

use attestry_core::StorageError;

use super::progress::Reading;
use super::{Bodies, Catalog, Known};
use crate::fs::epoch::{Stamp, Watched};
use crate::fs::layout::Listed;
use crate::fs::lock::Held;
use crate::fs::sys;
use crate::segment::{
    Body, Index, IndexFile, Line, Lines, Segment, SegmentName, load_index_file, write_index_file,
};

/// Filters of ids are kept in memory up to this many bytes for all segments together, enough for
/// 25 million entries; those of further segments are read block by block.
const FILTER_BUDGET: usize = 44 << 20;

/// Reading fewer bytes of a segment again takes no longer than writing an index file of it.
const WORTH_SAVING: u64 = 1 << 20;

/// Or fewer than this part of a full one, which is the same where that has the usual size.
const WORTH_SAVING_OF_FULL: u64 = 100;

/// How index files that are missing come to be made under the store's lock.
#[derive(Debug, Clone, Copy)]
enum Locking {
    /// The caller holds it.
    Done,
    /// It is waited for.
    Wait,
    /// They are made where nobody has it.
    IfFree,
}

impl Catalog {
    /// All segments in the order written, and where their lines are.
    pub(crate) fn snapshot(&self) -> Result<Arc<[Segment]>, StorageError> {
        self.snapshot_with(Locking::IfFree)
    }

    /// [`snapshot`](Self::snapshot) for a caller that holds the store's lock. Index files that are
    /// missing are made.
    pub(crate) fn snapshot_locked(&self, _: &Held<'_>) -> Result<Arc<[Segment]>, StorageError> {
        self.snapshot_with(Locking::Done)
    }

    /// Makes index files that are missing, before anybody else has this catalog: it waits for the store's
    /// lock. What takes longest, reading the segments, goes without.
    pub(crate) fn make_indexes(&self) -> Result<(), StorageError> {
        self.snapshot_with(Locking::Wait).map(drop)
    }

    fn snapshot_with(&self, locking: Locking) -> Result<Arc<[Segment]>, StorageError> {
        let mut known = self.lock();
        let mut stamp = Stamp::read_with(&self.folder, &mut known.watched)?;
        if known.stamp != Some(stamp) {
            known.watched = Watched::default();
            stamp = Stamp::read_with(&self.folder, &mut known.watched)?;
            self.refresh(&mut known, stamp, locking)?;
        }
        for segment in &known.live {
            self.extend(segment)?;
        }
        Ok(known.segments.clone())
    }

    /// Takes in what was appended to a segment that grows.
    pub(super) fn extend(&self, segment: &Segment) -> Result<(), StorageError> {
        self.extend_as_part_of(None, segment)
    }

    fn extend_as_part_of(
        &self,
        reading: Option<&Reading<'_>>,
        segment: &Segment,
    ) -> Result<(), StorageError> {
        let Some(mut index) = segment.body.live_mut() else { return Ok(()) };
        let being_erased = |offset, length| self.is_being_erased(segment, offset, length);
        // The length is asked for under the index's lock: an older, shorter one would look as if
        // the file had been cut.
        let length = self.length_of(segment)?;
        let alone = self.listener.begin(length.saturating_sub(index.covered()));
        let reading = reading.unwrap_or(&alone);
        let outcome =
            index.extend(&segment.body.file, length, being_erased, |bytes| reading.add(bytes));
        outcome.map_err(|source| self.failed("read", segment, source))
    }

    fn length_of(&self, segment: &Segment) -> Result<u64, StorageError> {
        let length = sys::length_of(&segment.body.file);
        length.map_err(|source| self.failed("examine", segment, source))
    }

    fn refresh(
        &self,
        known: &mut Known,
        stamp: Stamp,
        locking: Locking,
    ) -> Result<(), StorageError> {
        let erased = known.stamp.is_none_or(|old| old.numbers.erasures != stamp.numbers.erasures);
        let old: Bodies =
            known.segments.iter().map(|segment| (segment.body.id, segment.body.clone())).collect();
        let written_to = self.clock.written_to();
        loop {
            let listed = self.folder.list()?;
            let mut filter_budget = FILTER_BUDGET;
            let mut segments = Vec::with_capacity(listed.len());
            let mut missing = Vec::new();
            for (number, found) in listed.iter().enumerate() {
                // The clock may have jumped back: what is written to today need not be the newest.
                let grows = number + 1 == listed.len() || written_to.contains(&found.name);
                let body = match old.get(&found.id) {
                    Some(body) => self.keep(body, found, grows, erased, &mut filter_budget)?,
                    None => self.open(found, grows, &mut filter_budget)?,
                };
                let Some(body) = body else { break };
                if !grows && body.live().is_some() {
                    missing.push(number);
                }
                segments.push(Segment { name: found.name, body });
            }
            // A rotation between two looks at the folder could hide a segment from both; two equal
            // listings in a row cannot both miss one.
            let same = |a: &[Listed], b: &[Listed]| {
                a.iter().map(|l| (l.name, l.id)).eq(b.iter().map(|l| (l.name, l.id)))
            };
            if segments.len() < listed.len() || !same(&listed, &self.folder.list()?) {
                continue;
            }
            known.indexes_made +=
                self.seal(&mut segments, &missing, stamp, locking, &mut filter_budget)?;
            known.stamp = Some(stamp);
            let is_live = |segment: &&Segment| matches!(segment.body.lines, Lines::Live(_));
            known.live = segments.iter().filter(is_live).cloned().collect();
            known.segments = segments.into();
            known.gone.clear();
            return Ok(());
        }
    }

    /// What is known of a segment, if it still holds.
    fn keep(
        &self,
        body: &Arc<Body>,
        found: &Listed,
        grows: bool,
        erased: bool,
        filter_budget: &mut usize,
    ) -> Result<Option<Arc<Body>>, StorageError> {
        match &body.lines {
            Lines::Sealed(index) => {
                let holds = !grows
                    && index.covered() == found.length
                    && index.is_at(&self.folder.index(found.id))
                    && index.read_erased().is_ok();
                if holds {
                    *filter_budget = filter_budget.saturating_sub(index.filter_bytes());
                    return Ok(Some(body.clone()));
                }
                self.open(found, grows, filter_budget)
            }
            Lines::Live(_) => {
                // Whoever looks into an older snapshot keeps what it has.
                if !self.bring_up_to_date(found.name, body, erased)? {
                    return self.open(found, grows, filter_budget);
                }
                Ok(Some(body.clone()))
            }
        }
    }

    /// Whether what is known in memory of a segment still holds; lines of an append that was undone may
    /// be known, and others stand there now. Where something was `erased`, looks for it.
    fn bring_up_to_date(
        &self,
        name: SegmentName,
        body: &Body,
        erased: bool,
    ) -> Result<bool, StorageError> {
        let failed = |source| StorageError::io("read", self.folder.segment(name), source);
        let Some(mut index) = body.live_mut() else { return Ok(true) };
        if !index.still_holds(&body.file).map_err(failed)? {
            return Ok(false);
        }
        if erased {
            index.notice_erased(&body.file).map_err(failed)?;
        }
        Ok(true)
    }

    /// Opens a segment: by its index file, or with an index in memory that is yet to be filled, at
    /// least with what is new. `None` when it went away since it was listed.
    fn open(
        &self,
        found: &Listed,
        grows: bool,
        filter_budget: &mut usize,
    ) -> Result<Option<Arc<Body>>, StorageError> {
        let path = self.folder.segment(found.name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::io("open", path, source)),
        };
        let metadata =
            file.metadata().map_err(|source| StorageError::io("examine", &path, source))?;
        if sys::FileId::of(&metadata) != found.id {
            return Ok(None);
        }
        let index_path = self.folder.index(found.id);
        let index = if grows {
            None
        } else {
            IndexFile::open(&index_path, found.id, metadata.len(), *filter_budget)
        };
        let lines = match index {
            Some(index) => {
                *filter_budget = filter_budget.saturating_sub(index.filter_bytes());
                Lines::Sealed(index)
            }
            None => {
                let known = load_index_file(&index_path, found.id, &file, metadata.len());
                Lines::Live(RwLock::new(known.unwrap_or_default()))
            }
        };
        Ok(Some(Arc::new(Body { id: found.id, file: Arc::new(file), lines })))
    }

    /// Reads the segments of `missing` and, where this process may write, gives them index files;
    /// returns how many. No more indexes than there are processors are in memory at once.
    fn seal(
        &self,
        segments: &mut [Segment],
        missing: &[usize],
        stamp: Stamp,
        locking: Locking,
        filter_budget: &mut usize,
    ) -> Result<usize, StorageError> {
        if missing.is_empty() {
            return Ok(0);
        }
        let mut bytes = 0;
        for &number in missing {
            let segment = &segments[number];
            bytes += self.length_of(segment)?.saturating_sub(segment.body.covered());
        }
        let reading = self.listener.begin(bytes);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut made = 0;
        for some in missing.chunks(threads) {
            self.extend_all(segments, some, &reading)?;
            let Some(lock) = &self.lock else { continue };
            let _acquired = match locking {
                Locking::Done => None,
                Locking::Wait => Some(lock.acquire()?),
                Locking::IfFree => match lock.try_acquire() {
                    None => continue,
                    acquired => acquired,
                },
            };
            if sys::make_private(&self.folder.indexes()).is_err() {
                continue; // an index is a convenience; the next one who writes may have room
            }
            // Others may have had the lock while they were read.
            let now = Stamp::read(&self.folder)?;
            for &number in some {
                if now != stamp && !self.is_still_there(&segments[number], stamp, now)? {
                    continue;
                }
                if let Some(index) = self.make_index_file(&segments[number], now, *filter_budget)? {
                    *filter_budget = filter_budget.saturating_sub(index.filter_bytes());
                    let Body { id, file, .. } = &*segments[number].body;
                    let body = Body { id: *id, file: file.clone(), lines: Lines::Sealed(index) };
                    segments[number].body = Arc::new(body);
                    made += 1;
                }
            }
        }
        Ok(made)
    }

    /// Whether a segment that was known at `then` is the same `now`, but for lines that were erased.
    fn is_still_there(
        &self,
        segment: &Segment,
        then: Stamp,
        now: Stamp,
    ) -> Result<bool, StorageError> {
        let found = sys::look_at(&self.folder.segment(segment.name));
        let erased = now.numbers.erasures != then.numbers.erasures;
        Ok(found.is_ok_and(|(id, _)| id == segment.body.id)
            && self.bring_up_to_date(segment.name, &segment.body, erased)?)
    }

    /// Writes an index file of each segment whose index is in memory, so that the next one who opens
    /// the store need not read all of it again. Nothing is read for that: what is not known yet is
    /// read by whoever wants it. A full segment has `rotation_bytes`.
    ///
    /// # Errors
    ///
    /// When a segment cannot be synced, which the kernel may not say a second time. Failing to write
    /// an index file loses nothing but time and is no error.
    pub(crate) fn save(&self, _: &Held<'_>, rotation_bytes: u64) -> Result<(), StorageError> {
        let known = self.lock();
        let Some(stamp) = known.stamp else { return Ok(()) };
        let holds = || Stamp::read(&self.folder).is_ok_and(|now| now == stamp);
        if !holds() {
            return Ok(());
        }
        for segment in known.segments.iter() {
            let Some(mut index) = segment.body.live_mut() else { continue };
            if index.unsaved() <= WORTH_SAVING.min(rotation_bytes / WORTH_SAVING_OF_FULL) {
                continue;
            }
            // No index may reach the disk before the lines it speaks of.
            let synced = segment.body.file.sync_data();
            synced.map_err(|source| self.failed("sync", segment, source))?;
            let path = self.folder.index(segment.body.id);
            let saved = sys::make_private(&self.folder.indexes())
                .and_then(|()| write_index_file(&path, segment.body.id, &index, holds));
            if saved.is_ok_and(|written| written) {
                index.set_saved();
            }
        }
        Ok(())
    }

    /// Writes the index file of a segment, or takes the one that another process has written by
    /// now. `None` when that fails, or something has changed meanwhile.
    fn make_index_file(
        &self,
        segment: &Segment,
        stamp: Stamp,
        filter_budget: usize,
    ) -> Result<Option<IndexFile>, StorageError> {
        let path = self.folder.index(segment.body.id);
        let Some(index) = segment.body.live() else { return Ok(None) };
        let metadata = segment.body.file.metadata();
        let length = metadata.map_err(|source| self.failed("examine", segment, source))?.len();
        let open = || IndexFile::open(&path, segment.body.id, length, filter_budget);
        if let Some(existing) = open() {
            return Ok(Some(existing));
        }
        let confirm =
            || length == index.covered() && Stamp::read(&self.folder).is_ok_and(|now| now == stamp);
        match write_index_file(&path, segment.body.id, &index, confirm) {
            Ok(true) => Ok(open()),
            Ok(false) | Err(_) => Ok(None),
        }
    }

    /// Reads segments, each on a thread of its own.
    fn extend_all(
        &self,
        segments: &[Segment],
        numbers: &[usize],
        reading: &Reading<'_>,
    ) -> Result<(), StorageError> {
        let extend = |number: usize| self.extend_as_part_of(Some(reading), &segments[number]);
        let Some((&first, others)) = numbers.split_first() else { return Ok(()) };
        thread::scope(|scope| {
            let others: Vec<_> =
                others.iter().map(|&number| scope.spawn(move || extend(number))).collect();
            let mut outcome = extend(first);
            for other in others {
                let joined = other.join().unwrap_or(Err(StorageError::Closed));
                outcome = outcome.and(joined);
            }
            outcome
        })
    }

    /// The segment with an index in memory instead of its index file, which is damaged; that is
    /// removed, so that the next one who writes makes a new one.
    pub(crate) fn replace_damaged(&self, segment: &Segment) -> Result<Segment, StorageError> {
        if self.lock.is_some() {
            let _ = fs::remove_file(self.folder.index(segment.body.id));
        }
        let lines = Lines::Live(RwLock::new(Index::default()));
        let body = Body { id: segment.body.id, file: segment.body.file.clone(), lines };
        let replaced = Segment { name: segment.name, body: Arc::new(body) };
        self.extend(&replaced)?;
        self.look_anew(); // and make a new one
        Ok(replaced)
    }

    /// Keeps what was seen of the folder until the next snapshot looks at everything, which is then. The
    /// last to close a file that was unlinked waits until it is freed.
    pub(crate) fn close_later(&self, seen: Vec<Arc<[Segment]>>) {
        if !seen.is_empty() {
            let mut known = self.lock();
            known.gone.extend(seen);
            known.stamp = None;
        }
    }

    /// Has the next snapshot look at everything.
    pub(crate) fn look_anew(&self) {
        self.lock().stamp = None;
    }

    /// Takes note of erasures by this process, which holds the store's lock, so that the next
    /// snapshot need not look for them.
    pub(crate) fn note_erased(&self, lines: &[(&Segment, Line)]) -> Result<(), StorageError> {
        for (segment, line) in lines {
            if let Some(mut index) = segment.body.live_mut() {
                index.erase(line.offset);
            }
        }
        let mut known = self.lock();
        let now = Stamp::read(&self.folder)?;
        let expected = known.stamp.map(|stamp| stamp.with_one_more_erasure());
        // Of the others nothing was erased, unless somebody else has been at it; then the counters
        // have another number than is expected.
        let touched: HashMap<_, _> =
            lines.iter().map(|(segment, _)| (segment.body.id, &segment.body)).collect();
        let counted = known.segments.iter().all(|segment| {
            match (touched.get(&segment.body.id), &segment.body.lines) {
                (None, _) => true,
                (Some(_), Lines::Sealed(index)) => {
                    index.is_at(&self.folder.index(segment.body.id)) && index.read_erased().is_ok()
                }
                // A reader may have looked anew since the lines were found.
                (Some(body), Lines::Live(_)) => Arc::ptr_eq(body, &segment.body),
            }
        });
        known.stamp = (counted && expected == Some(now)).then_some(now);
        Ok(())
    }
}
