//! Writes the index files of the segments that this process appends to: a reader would have to read
//! each of them as a whole.
//!
//! The writer thread remembers the lines that it appends ([`AppendedLines`]), so that they need not be
//! read again. When a segment is sealed, a thread of its own sorts and writes its index beside the index
//! files; the writer thread renames it there under the store lock, unless something has changed
//! meanwhile. Index files are optional: any failure leaves the segment to [`Catalog`], which reads it.
//!
//! [`Catalog`]: crate::reader::Catalog

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::LinesToAppend;
use crate::fs::epoch;
use crate::fs::layout::Folder;
use crate::fs::open;
use crate::fs::segment_name::SegmentName;
use crate::fs::sys::{self, FileId, FileState};
use crate::observer::LineKey;
use crate::segment::{
    AppendedLine, IndexFile, IndexKeys, Line, MemoryIndex, TemporaryIndex, Term, hash_id_text,
    load_index_file,
};

/// Lines that are remembered at most, in some 80 MB. Those of a larger segment are read when it is sealed.
const MAX_LINES: usize = 1 << 19;
/// An index of fewer remembered lines is written without a thread: it takes less than a millisecond.
const MIN_LINES_FOR_THREAD: usize = 4_096;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The last lines of a segment, appended by this process one after the other.
#[derive(Debug)]
pub(super) struct AppendedLines {
    /// Offset of the first one.
    from: u64,
    lines: Vec<RememberedLine>,
    /// The ids, one after the other. They are hashed when the index is written.
    ids: Vec<u8>,
    /// The terms of the lines, one line after the other.
    terms: Vec<Term>,
    /// How many lines, bytes of ids, and terms [`take_new`](Self::take_new) has returned.
    taken: (usize, usize, usize),
    /// The erasure epoch when the segment was opened.
    erasures: u64,
}

#[derive(Debug)]
struct RememberedLine {
    line: Line,
    id_len: u32,
    terms: u32,
}

impl AppendedLines {
    /// None yet; the segment has `length` bytes.
    pub(super) fn new(length: u64, erasures: u64) -> Self {
        let (lines, ids, terms) = (Vec::new(), Vec::new(), Vec::new());
        Self { from: length, lines, ids, terms, taken: (0, 0, 0), erasures }
    }

    /// Another program has appended; the segment has `length` bytes.
    pub(super) fn restart(&mut self, length: u64) {
        *self = Self::new(length, self.erasures);
    }

    /// Adds those of `lines` with the given numbers, which were appended at `offset` of the segment.
    pub(super) fn add(&mut self, offset: u64, lines: &LinesToAppend<'_>, numbers: Range<usize>) {
        if self.lines.len() >= MAX_LINES {
            self.restart(offset);
        }
        let mut at = offset;
        for number in numbers {
            let (bytes, terms) = lines.line(number);
            let known = lines.ends[number].key.and_then(|key| {
                let length = u32::try_from(bytes.len() - 1).ok()?;
                let id = bytes.get(LineKey::ID_OFFSET..)?.get(..key.id_len as usize)?;
                Some((Line { timestamp: key.timestamp, offset: at, length }, id))
            });
            at += bytes.len() as u64;
            match known {
                Some((line, id)) => {
                    let (id_len, count) = (id.len() as u32, terms.len() as u32);
                    self.lines.push(RememberedLine { line, id_len, terms: count });
                    self.ids.extend_from_slice(id);
                    self.terms.extend_from_slice(terms);
                }
                None => self.restart(at),
            }
        }
    }

    /// The lines with the hashes of their ids and their terms.
    fn hashed(&self) -> impl Iterator<Item = AppendedLine<'_>> {
        hashed(&self.lines, &self.ids, &self.terms)
    }

    /// [`hashed`](Self::hashed), of the lines since the last call.
    pub(super) fn take_new(&mut self) -> impl Iterator<Item = AppendedLine<'_>> {
        let all = (self.lines.len(), self.ids.len(), self.terms.len());
        let (lines, ids, terms) = std::mem::replace(&mut self.taken, all);
        hashed(&self.lines[lines..], &self.ids[ids..], &self.terms[terms..])
    }
}

fn hashed<'a>(
    lines: &'a [RememberedLine],
    mut ids: &'a [u8],
    mut terms: &'a [Term],
) -> impl Iterator<Item = AppendedLine<'a>> {
    lines.iter().filter_map(move |remembered| {
        let (id, other_ids) = ids.split_at_checked(remembered.id_len as usize)?;
        let (of_line, other_terms) = terms.split_at_checked(remembered.terms as usize)?;
        (ids, terms) = (other_ids, other_terms);
        Some(AppendedLine { line: remembered.line, id_hash: hash_id_text(id), terms: of_line })
    })
}

/// A segment that is to be indexed.
#[derive(Debug)]
pub(super) struct Unindexed {
    pub(super) name: SegmentName,
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) appended: AppendedLines,
}

/// A segment whose index is being written.
#[derive(Debug)]
struct Running {
    segment: Arc<Unindexed>,
    thread: JoinHandle<io::Result<TemporaryIndex>>,
    poll_at: Instant,
}

/// Writes index files, one at a time. Every method that takes `&mut self` requires the store lock.
#[derive(Debug)]
pub(super) struct Indexer {
    folder: Folder,
    keys: IndexKeys,
    running: Option<Running>,
    /// A segment that this process has sealed has no index file: writing it failed, or something has
    /// changed meanwhile.
    incomplete: bool,
    closed: Option<Unindexed>,
}

impl Indexer {
    pub(super) fn new(folder: Folder) -> Self {
        let keys = IndexKeys::default();
        Self { folder, keys, running: None, incomplete: false, closed: None }
    }

    pub(super) fn with_keys(self, keys: IndexKeys) -> Self {
        Self { keys, ..self }
    }

    /// Indexes a segment that is sealed, on another thread unless that takes no time.
    pub(super) fn index_sealed(&mut self, mut segment: Unindexed) {
        self.wait();
        if !self.prepare(&mut segment) {
            self.incomplete = true;
            return;
        }
        let lines = &segment.appended;
        let is_small = lines.from == 0 && lines.lines.len() < MIN_LINES_FOR_THREAD;
        let segment = Arc::new(segment);
        if !is_small {
            let (folder, keys) = (self.folder.clone(), self.keys.clone());
            let of_thread = Arc::clone(&segment);
            let thread = thread::Builder::new()
                .name("attestry-indexer".into())
                .spawn(move || write_index(&folder, &of_thread, keys));
            if let Ok(thread) = thread {
                let poll_at = Instant::now() + POLL_INTERVAL;
                self.running = Some(Running { segment, thread, poll_at });
                return;
            } // otherwise the process may start no more threads
        }
        let written = write_index(&self.folder, &segment, self.keys.clone());
        self.incomplete |= !self.publish(&segment, written);
    }

    /// The active segment was closed. Its index is written by [`finish`](Self::finish).
    pub(super) fn set_closed(&mut self, segment: Unindexed) {
        self.closed = Some(segment);
    }

    /// Ends what is being written, and indexes the closed segment unless its index file lacks at most
    /// `may_lack` bytes. Returns whether each segment that this process has sealed has an index file.
    pub(super) fn finish(&mut self, may_lack: u64) -> bool {
        self.wait();
        let are_sealed_indexed = !std::mem::take(&mut self.incomplete);
        let Some(mut closed) = self.closed.take() else { return are_sealed_indexed };
        let path = self.folder.index(closed.id);
        let lacks = closed.length.saturating_sub(IndexFile::covered_len(&path, closed.id));
        // With the state of now, the next open sees whether the segment was changed in place since.
        let is_kept = lacks <= may_lack
            && FileState::of_file(&closed.file)
                .and_then(|state| IndexFile::set_state(&path, state))
                .is_ok();
        let is_small = lacks == closed.length && lacks <= may_lack;
        if !is_kept && !is_small && self.prepare(&mut closed) {
            // If it fails, the next reader reads the segment.
            self.publish(&closed, write_index(&self.folder, &closed, self.keys.clone()));
        }
        are_sealed_indexed
    }

    /// When [`poll`](Self::poll) is to be called. Needs no lock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.poll_at)
    }

    /// Publishes the index that was being written, if it is complete.
    pub(super) fn poll(&mut self) {
        match &mut self.running {
            Some(running) if running.thread.is_finished() => self.wait(),
            Some(running) => running.poll_at = Instant::now() + POLL_INTERVAL,
            None => {}
        }
    }

    /// Waits for the index that is being written, and publishes it.
    pub(super) fn wait(&mut self) {
        if let Some(Running { segment, thread, .. }) = self.running.take() {
            let written = thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            self.incomplete |= !self.publish(&segment, written);
        }
    }

    /// Forgets the lines if some may have been erased since; returns false if the segment cannot be
    /// indexed now.
    fn prepare(&self, segment: &mut Unindexed) -> bool {
        let Ok(erasures) = epoch::erasures(&self.folder) else { return false };
        if erasures != segment.appended.erasures {
            segment.appended = AppendedLines::new(segment.length, erasures);
        }
        sys::make_private(&self.folder.indexes()).is_ok()
    }

    /// Puts an index in its place, unless lines were erased or the segment has changed since
    /// [`prepare`](Self::prepare). Returns whether the segment has an index file.
    fn publish(&self, segment: &Unindexed, written: io::Result<TemporaryIndex>) -> bool {
        let Unindexed { name, id, length, appended, .. } = segment;
        let state = || {
            let metadata = open::metadata(&self.folder.segment(*name)).ok()?;
            (FileId::of(&metadata) == *id).then(|| FileState::of(&metadata))
        };
        let path = self.folder.index(*id);
        let found = state();
        let is_unchanged = || {
            found.is_some_and(|found| found.length == *length)
                && epoch::erasures(&self.folder).ok() == Some(appended.erasures)
                // An interrupted erasure, of another process, may have overwritten lines.
                && !open::metadata(&self.folder.intent_log()).is_ok_and(|log| log.len() > 0)
        };
        // A reader may have written one.
        found.is_some_and(|found| IndexFile::covers(&path, *id, found))
            || written.is_ok_and(|written| {
                found == Some(written.state()) && is_unchanged() && written.publish(&path).is_ok()
            })
    }
}

/// Writes the index of `segment` beside its place: of an older index file, of what no file and no
/// remembered line covers, which is read, and of the remembered lines.
fn write_index(
    folder: &Folder,
    segment: &Unindexed,
    keys: IndexKeys,
) -> io::Result<TemporaryIndex> {
    let Unindexed { id, file, length, appended, .. } = segment;
    let path = folder.index(*id);
    let state = FileState::of_file(file)?;
    let stale = || io::Error::from(io::ErrorKind::InvalidData);
    let saved = match appended.from {
        0 => None,
        from => load_index_file(&path, *id, file, from, state, &keys),
    };
    let mut index = saved.unwrap_or_else(|| MemoryIndex::new(keys));
    // `publish` excludes that a line was being erased.
    let being_erased = |_, _| false;
    index.extend(file, appended.from, being_erased, drop)?;
    if index.indexed_len() != appended.from || index.has_open_tail() {
        return Err(stale());
    }
    appended.hashed().for_each(|line| index.push_appended(line));
    if !index.is_current(file)? {
        return Err(stale());
    }
    index.extend(file, *length, being_erased, drop)?;
    if index.indexed_len() != *length || index.has_open_tail() {
        return Err(stale());
    }
    TemporaryIndex::write(&path, "sealed.tmp", *id, &index, state)
}
