//! What is in memory of the inbox.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use attestry::{EntryId, Timestamp};
use attestry_genai::{CallRecord, JoinKey, JoinTable, JoinedCall};
use tokio::time::Instant;

use super::part::Part;
use super::recent::{Recent, Written};

/// Keys of calls that were written last: about 10 MB.
pub(super) const RECENT_KEYS: usize = 1 << 16;
/// Calls that are written together.
const BATCH: usize = 256;
/// Between removals of lines that are done, each of which rewrites a segment at most.
const SWEEP: Duration = Duration::from_secs(5);
/// Pause after a write that failed, and the longest time without a look at the deadlines.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest time without one.
const SHORTEST: Duration = Duration::from_millis(5);

/// Calls that wait for more of their parts.
#[derive(Debug)]
pub(super) struct Waiting {
    calls: JoinTable<Part>,
    /// Calls that are complete, by their numbers.
    complete: VecDeque<u64>,
    bytes: usize,
    pub(super) recent: Recent,
    /// The times of parts that are not marked as done.
    unfinished: BTreeSet<Timestamp>,
    /// Parts of calls that are written, and are not marked yet.
    unmarked: Vec<Part>,
    last_time: Timestamp,
    /// Everything up to this time has been removed.
    swept: Timestamp,
    last_sweep: Instant,
    /// No write is tried before this, after one that failed.
    paused_until: Option<Instant>,
}

/// A call to be written.
#[derive(Debug)]
pub(super) struct ReadyCall {
    pub(super) call: JoinedCall<Part>,
    /// The entry of the same call, if one has been written.
    pub(super) target: Option<EntryId>,
}

impl Waiting {
    pub(super) fn new(last_time: Option<Timestamp>) -> Self {
        Self {
            calls: JoinTable::new(),
            complete: VecDeque::new(),
            bytes: 0,
            recent: Recent::new(RECENT_KEYS),
            unfinished: BTreeSet::new(),
            unmarked: Vec::new(),
            last_time: last_time.unwrap_or(Timestamp::MIN),
            swept: Timestamp::MIN,
            last_sweep: Instant::now(),
            paused_until: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The current time, or the next microsecond after the last one: times order the lines, also if the clock is set back.
    pub(super) fn next_time(&mut self) -> Timestamp {
        let next = self.last_time.saturating_add(Duration::from_micros(1));
        self.last_time = next.max(Timestamp::now());
        self.last_time
    }

    /// Whether another part of the call waits, or has been written.
    pub(super) fn has_seen(&self, record: &CallRecord, keys: &BTreeSet<JoinKey>) -> bool {
        self.calls.has_call_of(record, keys) || self.recent.find(keys, record.started()).is_some()
    }

    pub(super) fn add(&mut self, record: CallRecord, part: Part) {
        self.unfinished.insert(part.time);
        self.bytes += part.bytes;
        let number = self.calls.add(record, part);
        self.note_complete(number);
    }

    fn note_complete(&mut self, number: u64) {
        if self.calls.get(number).is_some_and(|call| call.record.is_complete()) {
            self.complete.push_back(number);
        }
    }

    /// Takes calls that are complete, due, or too many for `max_bytes`; with `all`, whatever there is.
    pub(super) fn take_ready(&mut self, all: bool, max_bytes: usize) -> Vec<ReadyCall> {
        let mut ready = Vec::new();
        let now = Instant::now();
        if self.paused_until.is_some_and(|until| until > now) && !all {
            return ready;
        }
        let mut later = VecDeque::new();
        while ready.len() < BATCH
            && let Some(number) = self.complete.pop_front()
        {
            match self.take(number) {
                Taken::Ready(call) => ready.push(*call),
                Taken::NotYet => later.push_back(number),
                Taken::Gone => {}
            }
        }
        later.append(&mut self.complete);
        self.complete = later;
        // The first ones have the earliest deadlines.
        let numbers: Vec<u64> = self.calls.iter().map(|(number, _)| number).take(BATCH).collect();
        for number in numbers {
            let is_due = |call: &JoinedCall<Part>| call.tags.iter().any(|part| part.due <= now);
            let due = all || self.bytes > max_bytes || self.calls.get(number).is_some_and(is_due);
            if ready.len() >= BATCH || !due {
                break;
            }
            if let Taken::Ready(call) = self.take(number) {
                ready.push(*call);
            }
        }
        ready
    }

    fn take(&mut self, number: u64) -> Taken {
        let Some(call) = self.calls.get(number) else { return Taken::Gone };
        let target = match self.recent.find(&call.keys, call.record.started()) {
            Some(Written::Begun) => return Taken::NotYet,
            Some(Written::Stored(id)) => Some(id.clone()),
            None => None,
        };
        if !call.tags.iter().all(Part::is_stored) {
            return Taken::NotYet;
        }
        let Some(call) = self.calls.take(number) else { return Taken::Gone };
        self.bytes -= call.tags.iter().map(|part| part.bytes).sum::<usize>();
        if target.is_none() {
            self.recent.set(&call.keys, call.record.started(), &Written::Begun);
        }
        Taken::Ready(Box::new(ReadyCall { call, target }))
    }

    /// The call is stored under `id`.
    pub(super) fn written(&mut self, call: JoinedCall<Part>, id: EntryId) {
        self.recent.set(&call.keys, call.record.started(), &Written::Stored(id));
        self.unmarked.extend(call.tags);
    }

    /// The call can never be stored.
    pub(super) fn dropped(&mut self, call: JoinedCall<Part>) {
        self.recent.forget(&call.keys);
        self.unmarked.extend(call.tags);
    }

    /// The calls could not be written, and wait again.
    pub(super) fn put_back(&mut self, calls: Vec<JoinedCall<Part>>) {
        for call in calls {
            self.recent.forget(&call.keys);
            self.bytes += call.tags.iter().map(|part| part.bytes).sum::<usize>();
            let number = self.calls.put(call);
            self.note_complete(number);
        }
        self.paused_until = Some(Instant::now() + PAUSE);
    }

    /// Parts whose request failed. What was joined with others stays there: its client sends it again.
    pub(super) fn remove_parts<'a>(&mut self, ids: impl Iterator<Item = &'a EntryId>) {
        let ids: HashSet<&EntryId> = ids.collect();
        let is_gone = |part: &Part| ids.contains(&part.id);
        let affected: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| call.tags.iter().any(is_gone))
            .map(|(number, _)| number)
            .collect();
        for number in affected {
            let Some(mut call) = self.calls.take(number) else { continue };
            for part in call.tags.extract_if(.., |part| is_gone(part)) {
                self.bytes -= part.bytes;
                self.unfinished.remove(&part.time);
            }
            if !call.tags.is_empty() {
                let number = self.calls.put(call);
                self.note_complete(number);
            }
        }
    }

    /// Parts to be marked, and the time of the mark.
    pub(super) fn take_unmarked(&mut self) -> Option<(Vec<Part>, Timestamp)> {
        if self.unmarked.is_empty() {
            return None;
        }
        let parts = std::mem::take(&mut self.unmarked);
        Some((parts, self.next_time()))
    }

    pub(super) fn marked(&mut self, parts: &[Part]) {
        for part in parts {
            self.unfinished.remove(&part.time);
        }
    }

    pub(super) fn mark_failed(&mut self, parts: Vec<Part>) {
        self.unmarked.extend(parts);
        self.paused_until = Some(Instant::now() + PAUSE);
    }

    /// The time up to which all lines can be removed, if there are any and it is not too soon.
    pub(super) fn removable(&mut self, at_once: bool) -> Option<Timestamp> {
        if self.last_sweep.elapsed() < SWEEP && !at_once {
            return None;
        }
        self.last_sweep = Instant::now();
        let until = match self.unfinished.first() {
            Some(first) => first.saturating_sub(Duration::from_micros(1)),
            None => self.last_time,
        };
        (until > self.swept).then_some(until)
    }

    pub(super) fn removed(&mut self, until: Timestamp) {
        self.swept = self.swept.max(until);
    }

    /// When the next look at the calls is due.
    pub(super) fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let first = self.calls.iter().next().map(|(_, call)| call);
        let due = first.into_iter().flat_map(|call| &call.tags).map(|part| part.due).min();
        let due = due.unwrap_or(now + PAUSE).min(now + PAUSE);
        // Not at once: a call that is due may wait for its parts to be stored.
        due.max(now + SHORTEST).max(self.paused_until.unwrap_or(now))
    }
}

enum Taken {
    Ready(Box<ReadyCall>),
    /// A part is not on disk yet, or an entry of the call is being written.
    NotYet,
    Gone,
}
