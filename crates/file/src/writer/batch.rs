//! The lines of consecutive calls, written and synced together.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use attestry_core::{EntryId, StorageError, line};
use tokio::sync::OwnedSemaphorePermit;

use super::completion::{BatchResult, Completion, Waiter, share};
use super::lines::{Chunk, StoredLines};
use super::sync::Mutex;
use crate::active_segment::{AppendError, LinesToAppend};
use crate::observer::LineEnd;
use crate::segment::Term;

/// Buffers that have grown larger are not reused.
const MAX_REUSED_BYTES: usize = 4 << 20;

/// The lines of consecutive calls. Completed with `Closed` if it is dropped before it was committed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    buffers: Buffers,
    calls: Vec<Call>,
    /// The ids of all calls that are checked, in order.
    checked_ids: Vec<EntryId>,
    completion: Arc<Completion>,
    /// The share of the queue's capacity that the lines occupy.
    room: Option<OwnedSemaphorePermit>,
}

/// The lines of a batch. Reused from batch to batch: allocating and touching fresh memory costs more
/// than the copy into it.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    line_ends: Vec<LineEnd>,
    terms: Vec<Term>,
}

#[derive(Debug)]
struct Call {
    /// How many lines of the batch must be durable before it is acknowledged.
    lines_needed: usize,
    /// The error, if its ids were refused.
    refused: Option<Box<StorageError>>,
    /// Whether its ids are checked.
    checked: bool,
    /// With it, lines whose id is stored are skipped.
    skipping: Option<StoredLines>,
}

/// What the store has under the id of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Nothing,
    /// The entry of the line.
    SameEntry,
    OtherEntry,
}

impl Batch {
    /// An empty batch.
    pub(super) fn with_buffers(mut buffers: Buffers) -> Self {
        buffers.bytes.clear();
        buffers.line_ends.clear();
        buffers.terms.clear();
        let mut batch = Self::default();
        batch.buffers = buffers;
        batch
    }

    /// Adds a call.
    pub(super) fn add(
        &mut self,
        lines: Chunk<'_>,
        room: OwnedSemaphorePermit,
        waker: Waker,
    ) -> Waiter {
        let Buffers { bytes, line_ends, terms } = &mut self.buffers;
        let (start, first_term) = (bytes.len(), terms.len());
        bytes.extend_from_slice(lines.bytes);
        terms.extend_from_slice(lines.terms);
        let moved = |end: &LineEnd| LineEnd {
            at: start + end.at - lines.start,
            terms: first_term + end.terms - lines.first_term,
            leaf: end.leaf,
            key: end.key,
        };
        line_ends.extend(lines.line_ends.iter().map(moved));
        let checked = !lines.checked_ids.is_empty();
        self.checked_ids.extend_from_slice(lines.checked_ids);
        let call = self.calls.len();
        let skipping = lines.skipping.cloned();
        self.calls.push(Call { lines_needed: line_ends.len(), refused: None, checked, skipping });
        match &mut self.room {
            None => self.room = Some(room),
            Some(all) => all.merge(room),
        }
        self.completion.wakers().push(waker);
        Waiter { completion: Arc::clone(&self.completion), call }
    }

    /// Whether ids are looked up before its lines are stored.
    pub(super) fn checks_ids(&self) -> bool {
        !self.checked_ids.is_empty()
    }

    /// How many calls it has.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.buffers.line_ends.len()).map(|number| self.buffers.line(number).to_vec())
    }

    /// As if it were stored.
    #[cfg(test)]
    pub(super) fn stored(self) -> Acks {
        Acks { stored: Ok(()), batch: self }
    }

    /// Deduplicates the calls whose ids are checked: drops lines that are stored already, and refuses a
    /// call that would replace an entry, unless it skips stored ids. `stored` looks up the id of a line, for a
    /// call that skips stored ids or not.
    pub(super) fn check_ids(
        &mut self,
        mut stored: impl FnMut(&EntryId, &[u8], bool) -> Result<Stored, StorageError>,
    ) {
        if self.checked_ids.is_empty() {
            return;
        }
        let mut ids = mem::take(&mut self.checked_ids).into_iter();
        // Ids of this batch, which the catalog cannot know yet, with the number of their line.
        let mut batch_ids: HashMap<EntryId, usize> = HashMap::new();
        let lines = &mut self.buffers;
        // Lines that are stored are moved to the front, in order.
        let mut kept = 0;
        // Lines before this one are in `batch_ids`. Lines of unchecked calls are parsed only if a
        // checked call follows.
        let mut parsed = 0;
        let mut first = 0;
        for call in &mut self.calls {
            let numbers = first..mem::take(&mut call.lines_needed);
            first = numbers.end;
            if call.checked {
                lines.parse_ids(parsed..kept, &mut batch_ids);
            }
            for number in numbers {
                let line = lines.line(number);
                let id = if call.checked { ids.next() } else { None };
                if call.refused.is_some() {
                    continue; // skip the other lines of the call, too
                }
                // With the number of lines needed for an entry that is in this batch.
                let known = match &id {
                    None => Ok((Stored::Nothing, 0)),
                    Some(id) => match batch_ids.get(id) {
                        Some(&at) => Ok((compare(lines.line(at), line), at + 1)),
                        None => stored(id, line, call.skipping.is_some()).map(|stored| (stored, 0)),
                    },
                };
                match known {
                    Ok((Stored::Nothing, _)) => {
                        batch_ids.extend(id.map(|id| (id, kept)));
                        lines.move_to(kept, number);
                        kept += 1;
                        call.lines_needed = kept;
                        call.note(true);
                    }
                    Ok((Stored::OtherEntry, _)) if call.skipping.is_none() => {
                        call.refused = id.map(|id| Box::new(StorageError::already_exists(id)));
                    }
                    Ok((_, needed)) => {
                        call.lines_needed = call.lines_needed.max(needed);
                        call.note(false);
                    }
                    Err(error) => call.refused = Some(Box::new(error)),
                }
            }
            if call.checked {
                parsed = kept;
            }
        }
        lines.truncate(kept);
    }

    /// Stores the lines with `append`.
    pub(super) fn commit(
        self,
        append: impl FnOnce(&LinesToAppend<'_>) -> Result<(), AppendError>,
    ) -> Acks {
        let Buffers { bytes, line_ends: ends, terms } = &self.buffers;
        let lines = LinesToAppend { bytes, ends, terms };
        let stored = if ends.is_empty() { Ok(()) } else { append(&lines) };
        Acks { stored, batch: self }
    }

    /// Fails every call with `error`.
    pub(super) fn refuse(self, error: &StorageError) {
        let stored = Err(AppendError { durable_lines: 0, error: share(error) });
        Acks { stored, batch: self }.send();
    }
}

impl Call {
    /// Records whether its next line is stored or skipped.
    fn note(&self, stored: bool) {
        if let Some(lines) = &self.skipping {
            lines.push(stored);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.completion.complete(BatchResult::Closed);
    }
}

impl Buffers {
    /// Returns the buffers, unless they have grown too large to be kept.
    pub(super) fn if_reusable(self) -> Option<Self> {
        (self.bytes.capacity() <= MAX_REUSED_BYTES).then_some(self)
    }

    /// Adds the ids of these lines to `ids`: a checked call must find the line of an unchecked one before
    /// it, such as its own first attempt that was dropped.
    fn parse_ids(&self, lines: Range<usize>, ids: &mut HashMap<EntryId, usize>) {
        for number in lines {
            if let Ok(entry) = line::decode(self.line(number)) {
                ids.entry(entry.id).or_insert(number);
            }
        }
    }

    fn line(&self, number: usize) -> &[u8] {
        &self.bytes[self.start(number).0..self.line_ends[number].at]
    }

    /// Where the line and its terms begin.
    fn start(&self, number: usize) -> (usize, usize) {
        let before = number.checked_sub(1).map(|last| self.line_ends[last]);
        before.map_or((0, 0), |end| (end.at, end.terms))
    }

    /// Moves the line `from` to the place of the line `to`, which is dropped or the same one. The lines
    /// between them have been dropped or moved before.
    fn move_to(&mut self, to: usize, from: usize) {
        if to == from {
            return;
        }
        let ((start, first_term), end) = (self.start(to), self.line_ends[from]);
        let (line, of_line) = self.start(from);
        let (line, of_line) = (line..end.at, of_line..end.terms);
        let (at, terms) = (start + line.len(), first_term + of_line.len());
        self.bytes.copy_within(line, start);
        self.terms.copy_within(of_line, first_term);
        self.line_ends[to] = LineEnd { at, terms, ..end };
    }

    /// Drops all but the first `lines` lines.
    fn truncate(&mut self, lines: usize) {
        let (end, terms) = self.start(lines);
        self.bytes.truncate(end);
        self.terms.truncate(terms);
        self.line_ends.truncate(lines);
    }
}

/// The acknowledgements of a batch.
#[derive(Debug)]
#[must_use = "callers wait for them"]
pub(super) struct Acks {
    stored: Result<(), AppendError>,
    batch: Batch,
}

impl Acks {
    pub(super) fn completion(&self) -> Arc<Completion> {
        Arc::clone(&self.batch.completion)
    }

    /// The buffers of the batch, which are no longer needed.
    pub(super) fn take_buffers(&mut self) -> Buffers {
        mem::take(&mut self.batch.buffers)
    }

    /// Completes the batch. Best without any lock that the next calls of its callers need.
    pub(super) fn send(self) {
        let Self { stored, mut batch } = self;
        let result = match &stored {
            Ok(()) if batch.calls.iter().all(|call| call.refused.is_none()) => BatchResult::Stored,
            _ => {
                let calls = mem::take(&mut batch.calls).into_iter();
                let results = calls.map(|call| Some(result_of(call, &stored)));
                BatchResult::PerCall(Mutex::new(results.collect()))
            }
        };
        // Room first, so that callers that wait for it are runnable with the others.
        batch.room = None;
        batch.completion.complete(result);
    }
}

fn result_of(call: Call, stored: &Result<(), AppendError>) -> Result<(), StorageError> {
    match (stored, call.refused) {
        (_, Some(refused)) => Err(*refused),
        (Err(failed), None) if call.lines_needed > failed.durable_lines => {
            Err(share(&failed.error))
        }
        _ => Ok(()),
    }
}

/// Compares the line `stored` with `line`, which has the same id.
fn compare(stored: &[u8], line: &[u8]) -> Stored {
    if stored == line || line::decode(stored).ok() == line::decode(line).ok() {
        Stored::SameEntry
    } else {
        Stored::OtherEntry
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use attestry_core::{AuditEntry, Timestamp};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::writer::EncodedLines;

    fn lines(input: &str, checked: bool) -> EncodedLines {
        let id: EntryId = "an-id".parse().unwrap();
        let entry = AuditEntry::new(id.clone(), Timestamp::UNIX_EPOCH, input.into(), "o".into());
        let bytes = line::encode(&entry).unwrap();
        EncodedLines {
            line_ends: vec![LineEnd { at: bytes.len(), terms: 0, leaf: None, key: None }],
            bytes,
            checked_ids: if checked { vec![id] } else { Vec::new() },
            ..EncodedLines::default()
        }
    }

    fn add(batch: &mut Batch, lines: &EncodedLines) -> Waiter {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        // Only permits of one semaphore can be merged.
        batch.room = None;
        batch.add(lines.as_chunk(), room, Waker::noop().clone())
    }

    fn poll(waiter: &Waiter) -> Poll<Result<(), StorageError>> {
        waiter.poll(&Context::from_waker(Waker::noop()))
    }

    /// Commits `batch` to an empty store; returns how many lines were appended.
    fn commit(mut batch: Batch) -> usize {
        let mut appended = 0;
        batch.check_ids(|_, _, _| Ok(Stored::Nothing));
        let acks = batch.commit(|lines| {
            appended = lines.ends.len();
            Ok(())
        });
        acks.send();
        appended
    }

    #[test]
    fn checked_call_finds_the_line_of_an_unchecked_one() {
        // As after an append that was dropped and a write that repeats it.
        let mut batch = Batch::default();
        add(&mut batch, &lines("in", false));
        let again = add(&mut batch, &lines("in", true));
        assert!(poll(&again).is_pending());
        assert_eq!(commit(batch), 1);
        assert!(matches!(poll(&again), Poll::Ready(Ok(()))));
        let mut batch = Batch::default();
        let first = add(&mut batch, &lines("in", false));
        let other = add(&mut batch, &lines("other", true));
        assert_eq!(commit(batch), 1);
        assert!(matches!(poll(&first), Poll::Ready(Ok(()))));
        let refused = poll(&other);
        assert!(matches!(refused, Poll::Ready(Err(StorageError::AlreadyExists { .. }))));
    }

    #[test]
    fn chunks_are_all_lines_in_order() {
        let bytes = b"a\nbb\nccccccccc\nd\n".to_vec();
        let line_ends =
            [2, 5, 15, 17].map(|at| LineEnd { at, terms: 0, leaf: None, key: None }).to_vec();
        let checked_ids = ["a", "b", "c", "d"].map(|id| id.parse().unwrap()).to_vec();
        let lines = EncodedLines { bytes, line_ends, checked_ids, ..EncodedLines::default() };
        for (max_bytes, expected) in [(0, 4), (2, 4), (5, 3), (6, 3), (12, 2), (15, 2), (17, 1)] {
            let mut batch = Batch::default();
            let chunks: Vec<_> = lines.chunks(max_bytes).collect();
            assert_eq!(chunks.len(), expected, "{max_bytes}");
            for chunk in chunks {
                let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
                batch.room = None;
                batch.add(chunk, room, Waker::noop().clone());
            }
            assert_eq!(batch.buffers.bytes, lines.bytes);
            let ends = |ends: &[LineEnd]| ends.iter().map(|end| end.at).collect::<Vec<_>>();
            assert_eq!(ends(&batch.buffers.line_ends), ends(&lines.line_ends));
            assert_eq!(batch.checked_ids, lines.checked_ids);
        }
    }

    #[test]
    fn lines_durable_before_a_failure_are_acknowledged() {
        let mut batch = Batch::default();
        let calls: Vec<_> = (0..3).map(|_| add(&mut batch, &lines("in", false))).collect();
        let error = StorageError::Closed;
        let stored = Err(AppendError { durable_lines: 2, error });
        Acks { stored, batch }.send();
        let ok: Vec<_> =
            calls.iter().map(|call| matches!(poll(call), Poll::Ready(Ok(())))).collect();
        assert_eq!(ok, [true, true, false]);
    }

    #[test]
    fn panicking_waker_does_not_stop_the_others() {
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("intended");
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
            add(&mut batch, &lines("in", false)).completion.wakers().push(waker);
        }
        Acks { stored: Ok(()), batch }.send();
        assert_eq!(counts.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[test]
    fn dropped_batch_completes_its_waiters() {
        let mut batch = Batch::default();
        let call = add(&mut batch, &lines("in", false));
        drop(batch);
        assert!(matches!(poll(&call), Poll::Ready(Err(StorageError::Closed))));
    }
}
