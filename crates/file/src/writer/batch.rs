//! Lines of many callers on their way to the disk together.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

use attestry_core::{EntryId, StorageError, line};
use tokio::sync::OwnedSemaphorePermit;

use super::answered::Told;
use super::outcome::{News, Outcome, Waiting};
use super::sync::Mutex;
use crate::fs::sys;
use crate::observer::LineEnd;
use crate::writer::{AppendError, Appended};

/// A buffer that many lines have made longer than this is not kept for the next batch.
const MOST_KEPT_BYTES: usize = 4 << 20;

/// Serialised entries, one line each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<LineEnd>,
    /// The ids, where it must be made sure that none of them is stored; else empty.
    pub(crate) checked_ids: Vec<EntryId>,
}

/// Some of them that follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    bytes: &'a [u8],
    ends: &'a [LineEnd],
    /// Where the bytes begin in what the ends are told in.
    start: usize,
    checked_ids: &'a [EntryId],
}

impl Lines {
    /// All of them in parts, in order: a line to each at least, and no more than about `bytes` bytes.
    pub(crate) fn parts(&self, bytes: usize) -> impl Iterator<Item = Part<'_>> {
        let mut first = 0;
        std::iter::from_fn(move || {
            let start = if first == 0 { 0 } else { self.ends[first - 1].at };
            let ends = &self.ends[first..];
            let fit = ends.partition_point(|end| end.at - start <= bytes).max(1).min(ends.len());
            let ends = &ends[..fit];
            let end = ends.last()?.at;
            let checked_ids = if self.checked_ids.is_empty() {
                &[][..]
            } else {
                &self.checked_ids[first..][..fit]
            };
            first += fit;
            Some(Part { bytes: &self.bytes[start..end], ends, start, checked_ids })
        })
    }

    /// All of them.
    pub(super) fn whole(&self) -> Part<'_> {
        let Self { bytes, ends, checked_ids } = self;
        Part { bytes, ends, start: 0, checked_ids }
    }
}

impl Part<'_> {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The lines of consecutive calls, which each copied its own to the end, and who waits for which of
/// them. Dropped without having been told of it, callers hear that the store is closed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    buffers: Buffers,
    calls: Vec<Call>,
    /// Those of all checked calls, in order.
    checked_ids: Vec<EntryId>,
    outcome: Arc<Outcome>,
    /// What the lines take of the room that there is for waiting ones.
    room: Option<OwnedSemaphorePermit>,
}

/// Joined lines. As large as they have become, they serve one batch after another: fresh memory
/// would cost more than what is copied to it.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    ends: Vec<LineEnd>,
}

#[derive(Debug)]
struct Call {
    /// It may be answered once this many lines of the batch are durable.
    needs: usize,
    /// What it is told then, where that is settled already.
    refused: Option<Box<StorageError>>,
    /// Its ids are to be checked.
    checked: bool,
}

impl Batch {
    /// An empty one, which `buffers` are used for.
    pub(super) fn in_buffers(mut buffers: Buffers) -> Self {
        buffers.bytes.clear();
        buffers.ends.clear();
        let mut batch = Self::default();
        batch.buffers = buffers;
        batch
    }

    /// Adds a call, to be woken by `waker` when it can be told what became of it.
    pub(super) fn join(
        &mut self,
        lines: Part<'_>,
        room: OwnedSemaphorePermit,
        waker: Waker,
    ) -> Waiting {
        let Buffers { bytes, ends } = &mut self.buffers;
        let start = bytes.len();
        bytes.extend_from_slice(lines.bytes);
        let moved = |end: &LineEnd| LineEnd { at: start + end.at - lines.start, leaf: end.leaf };
        ends.extend(lines.ends.iter().map(moved));
        let checked = !lines.checked_ids.is_empty();
        self.checked_ids.extend_from_slice(lines.checked_ids);
        let number = self.calls.len();
        self.calls.push(Call { needs: ends.len(), refused: None, checked });
        match &mut self.room {
            None => self.room = Some(room),
            Some(all) => all.merge(room),
        }
        self.outcome.wakers().push(waker);
        Waiting { outcome: Arc::clone(&self.outcome), number }
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.buffers.ends.len()).map(|number| self.buffers.line(number).to_vec())
    }

    /// As if it were stored.
    #[cfg(test)]
    pub(super) fn stored(self) -> Answers {
        Answers { stored: Ok(()), batch: self }
    }

    /// Of calls whose ids are to be checked, leaves out lines that are stored already, and refuses
    /// those that would replace an entry. `is_stored` tells of an id and its line whether it is.
    pub(super) fn sift(
        &mut self,
        mut is_stored: impl FnMut(&EntryId, &[u8]) -> Result<bool, StorageError>,
    ) {
        if self.checked_ids.is_empty() {
            return;
        }
        let all = mem::take(&mut self.buffers);
        let mut ids = mem::take(&mut self.checked_ids).into_iter();
        let mut calls = mem::take(&mut self.calls);
        // Ids in this batch, which the catalog cannot know of yet, with the number of their line.
        let mut gathered: HashMap<EntryId, usize> = HashMap::new();
        // Lines up to this one are in `gathered`. Those that came unchecked are read only where it
        // matters.
        let mut named = 0;
        let mut first = 0;
        for call in &mut calls {
            let theirs = first..mem::take(&mut call.needs);
            first = theirs.end;
            if call.checked {
                self.buffers.name_lines(named, &mut gathered);
            }
            for number in theirs {
                let line = all.line(number);
                let id = if call.checked { ids.next() } else { None };
                if call.refused.is_some() {
                    continue; // and so is the rest of it
                }
                let known = match &id {
                    None => Ok(None),
                    Some(id) => match gathered.get(id) {
                        Some(&at) => {
                            same_entry(self.buffers.line(at), line, id).map(|()| Some(at + 1))
                        }
                        None => is_stored(id, line).map(|stored| stored.then_some(0)),
                    },
                };
                match known {
                    Ok(Some(line_needed)) => call.needs = call.needs.max(line_needed),
                    Ok(None) => {
                        gathered.extend(id.map(|id| (id, self.buffers.ends.len())));
                        self.buffers.push(line, all.ends[number]);
                        call.needs = self.buffers.ends.len();
                    }
                    Err(error) => call.refused = Some(Box::new(error)),
                }
            }
            if call.checked {
                named = self.buffers.ends.len();
            }
        }
        self.calls = calls;
    }

    /// Stores the batch with `append`, and returns what its callers are to be told.
    pub(super) fn commit(
        self,
        append: impl FnOnce(&Appended<'_>) -> Result<(), AppendError>,
    ) -> Answers {
        let Buffers { bytes, ends } = &self.buffers;
        let stored = if ends.is_empty() { Ok(()) } else { append(&Appended { bytes, ends }) };
        Answers { stored, batch: self }
    }

    /// Tells the callers that it was not begun.
    pub(super) fn refuse(self, error: &StorageError) {
        let stored = Err(AppendError { durable_lines: 0, error: share(error) });
        Answers { stored, batch: self }.tell();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.outcome.settle(News::Closed);
    }
}

impl Buffers {
    /// These, unless they have grown too large to be kept.
    pub(super) fn if_usual(self) -> Option<Self> {
        (self.bytes.capacity() <= MOST_KEPT_BYTES).then_some(self)
    }

    /// Adds the ids of the lines from `first` on to `gathered`: a checked call must find what an
    /// unchecked one, perhaps the same that was given up, has put before it.
    fn name_lines(&self, first: usize, gathered: &mut HashMap<EntryId, usize>) {
        for number in first..self.ends.len() {
            if let Ok(entry) = line::decode(self.line(number)) {
                gathered.entry(entry.id).or_insert(number);
            }
        }
    }

    fn line(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1].at };
        &self.bytes[start..self.ends[number].at]
    }

    fn push(&mut self, line: &[u8], end: LineEnd) {
        self.bytes.extend_from_slice(line);
        self.ends.push(LineEnd { at: self.bytes.len(), leaf: end.leaf });
    }
}

/// What callers are to be told.
#[derive(Debug)]
#[must_use = "callers wait for them"]
pub(super) struct Answers {
    stored: Result<(), AppendError>,
    batch: Batch,
}

impl Answers {
    /// Tells them, and gives back the buffers. Best when nothing is held any more that their next
    /// calls need.
    pub(super) fn tell(self) -> (Buffers, Told) {
        let Self { stored, mut batch } = self;
        let callers = batch.calls();
        let news = match &stored {
            Ok(()) if batch.calls.iter().all(|call| call.refused.is_none()) => News::Stored,
            _ => {
                let calls = mem::take(&mut batch.calls).into_iter();
                let each = calls.map(|call| Some(outcome_of(call, &stored)));
                News::Each(Mutex::new(each.collect()))
            }
        };
        // Room first: who waits for it is to be ready when the others are.
        batch.room = None;
        batch.outcome.settle(news);
        (mem::take(&mut batch.buffers), Told::of(&batch.outcome, callers))
    }
}

fn outcome_of(call: Call, stored: &Result<(), AppendError>) -> Result<(), StorageError> {
    match (stored, call.refused) {
        (_, Some(refused)) => Err(*refused),
        (Err(failed), None) if call.needs > failed.durable_lines => Err(share(&failed.error)),
        _ => Ok(()),
    }
}

fn same_entry(stored: &[u8], line: &[u8], id: &EntryId) -> Result<(), StorageError> {
    if stored == line || line::decode(stored).ok() == line::decode(line).ok() {
        Ok(())
    } else {
        Err(StorageError::AlreadyExists { id: id.clone() })
    }
}

/// The same failure for each of those who wait for one write.
pub(super) fn share(error: &StorageError) -> StorageError {
    match error {
        StorageError::Io { action, path, source } => {
            StorageError::io(action, path, sys::share(source))
        }
        StorageError::Locked { path } => StorageError::Locked { path: path.clone() },
        StorageError::Closed => StorageError::Closed,
        other => StorageError::Other { message: other.to_string(), source: None },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use attestry_core::{AuditEntry, Timestamp};
    use tokio::sync::Semaphore;

    use super::*;

    fn lines(input: &str, checked: bool) -> Lines {
        let id: EntryId = "an-id".parse().unwrap();
        let entry = AuditEntry::new(id.clone(), Timestamp::UNIX_EPOCH, input.into(), "o".into());
        let bytes = line::encode(&entry).unwrap();
        Lines {
            ends: vec![LineEnd { at: bytes.len(), leaf: None }],
            bytes,
            checked_ids: if checked { vec![id] } else { Vec::new() },
        }
    }

    fn join(batch: &mut Batch, lines: &Lines) -> Waiting {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        // Permits of one semaphore could be merged only.
        batch.room = None;
        batch.join(lines.whole(), room, Waker::noop().clone())
    }

    fn told(waiting: &Waiting) -> Poll<Result<(), StorageError>> {
        waiting.poll(&Context::from_waker(Waker::noop()))
    }

    /// How many lines of `batch` are stored, when nothing was stored before.
    fn lines_of(mut batch: Batch) -> usize {
        let mut stored = 0;
        batch.sift(|_, _| Ok(false));
        let answers = batch.commit(|lines| {
            stored = lines.ends.len();
            Ok(())
        });
        answers.tell();
        stored
    }

    #[test]
    fn an_id_is_found_among_lines_that_wait_unchecked() {
        // As after an append that was dropped, and a write that makes sure.
        let mut batch = Batch::default();
        join(&mut batch, &lines("in", false));
        let again = join(&mut batch, &lines("in", true));
        assert!(told(&again).is_pending());
        assert_eq!(lines_of(batch), 1);
        assert!(matches!(told(&again), Poll::Ready(Ok(()))));
        let mut batch = Batch::default();
        let first = join(&mut batch, &lines("in", false));
        let other = join(&mut batch, &lines("other", true));
        assert_eq!(lines_of(batch), 1);
        assert!(matches!(told(&first), Poll::Ready(Ok(()))));
        let refused = told(&other);
        assert!(matches!(refused, Poll::Ready(Err(StorageError::AlreadyExists { .. }))));
    }

    #[test]
    fn parts_are_all_of_it_in_order() {
        let bytes = b"a\nbb\nccccccccc\nd\n".to_vec();
        let leaf = None;
        let ends = [2, 5, 15, 17].map(|at| LineEnd { at, leaf }).to_vec();
        let checked_ids = ["a", "b", "c", "d"].map(|id| id.parse().unwrap()).to_vec();
        let lines = Lines { bytes, ends, checked_ids };
        for (most, expected) in [(0, 4), (2, 4), (5, 3), (6, 3), (12, 2), (15, 2), (17, 1)] {
            let mut batch = Batch::default();
            let parts: Vec<_> = lines.parts(most).collect();
            assert_eq!(parts.len(), expected, "{most}");
            for part in parts {
                let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
                batch.room = None;
                batch.join(part, room, Waker::noop().clone());
            }
            assert_eq!(batch.buffers.bytes, lines.bytes);
            let ends = |ends: &[LineEnd]| ends.iter().map(|end| end.at).collect::<Vec<_>>();
            assert_eq!(ends(&batch.buffers.ends), ends(&lines.ends));
            assert_eq!(batch.checked_ids, lines.checked_ids);
        }
    }

    #[test]
    fn what_was_durable_before_a_failure_is_told_so() {
        let mut batch = Batch::default();
        let calls: Vec<_> = (0..3).map(|_| join(&mut batch, &lines("in", false))).collect();
        let error = StorageError::Closed;
        let stored = Err(AppendError { durable_lines: 2, error });
        Answers { stored, batch }.tell();
        let ok: Vec<_> =
            calls.iter().map(|call| matches!(told(call), Poll::Ready(Ok(())))).collect();
        assert_eq!(ok, [true, true, false]);
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_asleep() {
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("meant to");
            }
        }
        struct Counts(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let mut batch = Batch::default();
        let counts = Arc::new(Counts(0.into()));
        let good = || Waker::from(Arc::clone(&counts));
        for waker in [good(), Waker::from(Arc::new(Panics)), good()] {
            join(&mut batch, &lines("in", false)).outcome.wakers().push(waker);
        }
        Answers { stored: Ok(()), batch }.tell();
        assert_eq!(counts.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[test]
    fn a_batch_that_nobody_commits_leaves_nobody_waiting() {
        let mut batch = Batch::default();
        let call = join(&mut batch, &lines("in", false));
        drop(batch);
        assert!(matches!(told(&call), Poll::Ready(Err(StorageError::Closed))));
    }
}
