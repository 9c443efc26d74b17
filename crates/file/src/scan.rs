//! Selecting entries in order of time, and streaming them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, Order, Query, StorageError, Timestamp};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::catalog::{Catalog, Segment, Stored};
use crate::segment::Line;

/// Entries travel from the reading thread in groups of this many.
const GROUP: usize = 256;
/// This many groups are read ahead of the consumer.
const GROUPS_AHEAD: usize = 2;

/// What of a record the consumer wants.
pub(crate) type Pick<T> = fn(Stored) -> T;

/// All entries from `start` to `end`, in order; fails on the first record that cannot be read.
pub(crate) fn list(
    catalog: &Catalog,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<AuditEntry>, StorageError> {
    let query = Query::range(start, end);
    query.validate()?;
    let segments = catalog.snapshot()?;
    if let Some(error) = catalog.corrupt_records(&segments)?.into_iter().next() {
        return Err(error);
    }
    let mut entries = Vec::new();
    for (segment, line) in places(&segments, start, end) {
        entries.extend(catalog.read(&segments[segment], line)?.map(|stored| stored.entry));
    }
    Ok(entries)
}

/// Lines in a range of time with the number of their segment, ordered by time, ties as written.
fn places(segments: &[Segment], start: Timestamp, end: Timestamp) -> Vec<(usize, Line)> {
    let mut places = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let index = segment.index();
        let in_range = index.lines().filter(|line| (start..=end).contains(&line.timestamp));
        places.extend(in_range.map(|line| (number, *line)));
    }
    // Stable, and collected in the order written.
    places.sort_by_key(|(_, line)| line.timestamp);
    places
}

/// What `pick` takes of the records that `query` selects, read on a blocking thread a little ahead
/// of the consumer. Dropping the stream ends the reading.
pub(crate) fn stream<T>(catalog: Arc<Catalog>, query: Query, pick: Pick<T>) -> ScanStream<T> {
    let (sender, groups) = mpsc::channel(GROUPS_AHEAD);
    let scan = Scan { catalog, query, pick };
    ScanStream { start: Some((scan, sender)), groups, group: Vec::new().into_iter() }
}

#[derive(Debug)]
struct Scan<T> {
    catalog: Arc<Catalog>,
    query: Query,
    pick: Pick<T>,
}

/// Records in order, each with its own success or failure.
type Group<T> = Vec<Result<T, StorageError>>;

/// The consumer's end of a scan. Reading starts when it is first polled.
#[derive(Debug)]
pub(crate) struct ScanStream<T> {
    start: Option<(Scan<T>, mpsc::Sender<Group<T>>)>,
    groups: mpsc::Receiver<Group<T>>,
    group: std::vec::IntoIter<Result<T, StorageError>>,
}

impl<T: Send + Unpin + 'static> Stream for ScanStream<T> {
    type Item = Result<T, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((scan, sender)) = self.start.take() {
            tokio::task::spawn_blocking(move || {
                let mut out = Out { sender, group: Vec::with_capacity(GROUP) };
                if let Err(error) = scan.run(&mut out) {
                    out.push(Err(error));
                }
                out.send();
            });
        }
        loop {
            if let Some(found) = self.group.next() {
                return Poll::Ready(Some(found));
            }
            match ready!(self.groups.poll_recv(context)) {
                Some(group) => self.group = group.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The reading thread's end.
struct Out<T> {
    sender: mpsc::Sender<Group<T>>,
    group: Group<T>,
}

impl<T> Out<T> {
    /// Whether anybody still listens.
    fn push(&mut self, found: Result<T, StorageError>) -> bool {
        self.group.push(found);
        self.group.len() < GROUP || self.send()
    }

    fn send(&mut self) -> bool {
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(GROUP));
        self.sender.blocking_send(group).is_ok()
    }
}

impl<T> Scan<T> {
    fn run(&self, out: &mut Out<T>) -> Result<(), StorageError> {
        let Self { catalog, query, pick } = self;
        query.validate()?;
        let Some((start, end)) = query.time_range() else { return Ok(()) };
        let segments = catalog.snapshot()?;
        // A line that cannot be read has no time that could place it; they come first.
        for error in catalog.corrupt_records(&segments)? {
            if !out.push(Err(error)) {
                return Ok(());
            }
        }
        let mut places = places(&segments, start, end);
        if query.order == Order::Descending {
            places.reverse();
        }
        let places = &places[position_behind_cursor(catalog, query, &segments, &places)?..];

        let mut left = query.limit.unwrap_or(usize::MAX);
        for (segment, line) in places {
            if left == 0 {
                break;
            }
            let found = match catalog.read(&segments[*segment], *line) {
                Ok(Some(stored)) if query.matches(&stored.entry) => {
                    left -= 1;
                    Ok(pick(stored))
                }
                Ok(_) => continue,
                Err(error @ StorageError::Corrupt(_)) => Err(error),
                Err(error) => return Err(error),
            };
            if !out.push(found) {
                break;
            }
        }
        Ok(())
    }
}

/// Where the query goes on among `places`, which begin at the cursor's moment if it has one.
fn position_behind_cursor(
    catalog: &Catalog,
    query: &Query,
    segments: &[Segment],
    places: &[(usize, Line)],
) -> Result<usize, StorageError> {
    let Some(cursor) = &query.after else { return Ok(0) };
    let mut position = 0;
    let ties = places.iter().take_while(|(_, line)| line.timestamp == cursor.timestamp);
    for (number, (segment, line)) in ties.enumerate() {
        let stored = catalog.read(&segments[*segment], *line);
        if matches!(stored, Ok(Some(stored)) if stored.entry.id == cursor.id) {
            position = number + 1;
        }
    }
    Ok(position)
}
