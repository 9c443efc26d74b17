//! A scan that is read on a thread of its own, a little ahead of the consumer.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, Query, StorageError};
use futures_core::Stream;
use tokio::sync::mpsc;

use super::merge::Found;
use super::{Selected, run};
use crate::reader::catalog::Catalog;
use crate::segment::SegmentName;

/// Lines travel from the reading thread in groups: the first is of so many, for those who want the
/// first entry soon,
const FIRST_GROUP: usize = 16;
/// and each four times the one before, up to this many: waking the consumer takes as long as reading
/// ten lines.
const GROUP: usize = 1024;
/// None has more than about this many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// So many groups are read ahead of the consumer.
const GROUPS_AHEAD: usize = 2;

/// What of a record the consumer wants: of its line, without the line break, and of its entry.
pub(crate) type Pick<T> = fn(&[u8], AuditEntry) -> T;

/// What `pick` takes of the records that `query` selects. Dropping the stream ends the reading.
pub(crate) fn stream<T>(catalog: Arc<Catalog>, query: Query, pick: Pick<T>) -> ScanStream<T> {
    let (sender, groups) = mpsc::channel(GROUPS_AHEAD);
    let scan = Scan { catalog, query, pick };
    ScanStream {
        scan: Arc::new(scan),
        sender: Some(sender),
        groups,
        group: Group::with_capacity(0, 0),
    }
}

#[derive(Debug)]
struct Scan<T> {
    catalog: Arc<Catalog>,
    query: Query,
    pick: Pick<T>,
}

/// Records in order.
#[derive(Debug)]
struct Group<T> {
    records: VecDeque<Record<T>>,
    /// The lines that are left to the consumer.
    lines: Vec<u8>,
    /// How long all lines are together.
    size: usize,
}

impl<T> Group<T> {
    fn with_capacity(records: usize, bytes: usize) -> Self {
        let (records, lines) = (VecDeque::with_capacity(records), Vec::with_capacity(bytes));
        Self { records, lines, size: 0 }
    }
}

/// Most lines are taken apart by the consumer: an entry has a dozen pieces of memory, and letting go of
/// them is half as dear on the thread that asked for them.
#[derive(Debug)]
enum Record<T> {
    Line { segment: SegmentName, offset: u64, at: Range<usize> },
    Taken(Result<T, StorageError>),
}

/// The consumer's end of a scan. Reading starts when it is first polled.
#[derive(Debug)]
pub(crate) struct ScanStream<T> {
    scan: Arc<Scan<T>>,
    /// There until reading starts.
    sender: Option<mpsc::Sender<Group<T>>>,
    groups: mpsc::Receiver<Group<T>>,
    group: Group<T>,
}

impl<T: Send + Unpin + 'static> Stream for ScanStream<T> {
    type Item = Result<T, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(sender) = this.sender.take() {
            let scan = Arc::clone(&this.scan);
            tokio::task::spawn_blocking(move || scan.read(&sender));
        }
        loop {
            while let Some(record) = this.group.records.pop_front() {
                match record {
                    Record::Taken(taken) => return Poll::Ready(Some(taken)),
                    Record::Line { segment, offset, at } => {
                        let line = &this.group.lines[at];
                        match this.scan.catalog.understand(segment, offset, line) {
                            Ok(Some(entry)) if this.scan.query.matches(&entry) => {
                                return Poll::Ready(Some(Ok((this.scan.pick)(line, entry))));
                            }
                            Ok(_) => {}
                            Err(error) => return Poll::Ready(Some(Err(error))),
                        }
                    }
                }
            }
            match ready!(this.groups.poll_recv(context)) {
                Some(group) => this.group = group,
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Scan<T> {
    /// The reading thread.
    fn read(&self, sender: &mpsc::Sender<Group<T>>) {
        let mut room = FIRST_GROUP;
        let mut group = Group::with_capacity(room, 0);
        let outcome = run(&self.catalog, &self.query, |selected| {
            self.add(selected, &mut group);
            if group.records.len() < room && group.size < GROUP_BYTES {
                return Ok(true);
            }
            let growth = if room < GROUP { 4 } else { 1 };
            room *= growth;
            let next = Group::with_capacity(room, group.lines.len() * growth);
            Ok(sender.blocking_send(std::mem::replace(&mut group, next)).is_ok())
        });
        group.records.extend(outcome.err().map(|error| Record::Taken(Err(error))));
        // Nobody listens any more, or everything has been sent.
        let _ = sender.blocking_send(group);
    }

    fn add(&self, selected: Result<Selected<'_>, StorageError>, group: &mut Group<T>) {
        let Selected { found, entry } = match selected {
            Ok(selected) => selected,
            Err(error) => return group.records.push_back(Record::Taken(Err(error))),
        };
        let Found { segment, offset, bytes: line } = found;
        group.size += line.len();
        if let Some(entry) = entry {
            group.records.push_back(Record::Taken(Ok((self.pick)(line, entry))));
        } else {
            let start = group.lines.len();
            group.lines.extend_from_slice(line);
            let at = start..group.lines.len();
            group.records.push_back(Record::Line { segment, offset, at });
        }
    }
}
