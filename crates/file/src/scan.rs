//! Selecting entries in order of time, and streaming them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, Order, Query, StorageError, Timestamp};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::catalog::{Catalog, Segment};
use crate::segment::Line;

/// Entries travel from the reading thread in groups of this many.
const GROUP: usize = 256;
/// This many groups are read ahead of the consumer.
const GROUPS_AHEAD: usize = 2;

/// What the reading thread found, in order.
type Found = Result<AuditEntry, StorageError>;

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
        entries.extend(catalog.read(&segments[segment], line)?);
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

/// The entries that `query` selects, read on a blocking thread a little ahead of the consumer.
/// Dropping the stream ends the reading.
pub(crate) fn stream(catalog: Arc<Catalog>, query: Query) -> ScanStream {
    let (sender, groups) = mpsc::channel(GROUPS_AHEAD);
    ScanStream { start: Some((catalog, query, sender)), groups, group: Vec::new().into_iter() }
}

/// The consumer's end of a scan. Reading starts when it is first polled.
#[derive(Debug)]
pub(crate) struct ScanStream {
    start: Option<(Arc<Catalog>, Query, mpsc::Sender<Vec<Found>>)>,
    groups: mpsc::Receiver<Vec<Found>>,
    group: std::vec::IntoIter<Found>,
}

impl Stream for ScanStream {
    type Item = Found;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Found>> {
        if let Some((catalog, query, sender)) = self.start.take() {
            tokio::task::spawn_blocking(move || {
                let mut out = Out { sender, group: Vec::with_capacity(GROUP) };
                if let Err(error) = produce(&catalog, &query, &mut out) {
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
struct Out {
    sender: mpsc::Sender<Vec<Found>>,
    group: Vec<Found>,
}

impl Out {
    /// Whether anybody still listens.
    fn push(&mut self, found: Found) -> bool {
        self.group.push(found);
        self.group.len() < GROUP || self.send()
    }

    fn send(&mut self) -> bool {
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(GROUP));
        self.sender.blocking_send(group).is_ok()
    }
}

fn produce(catalog: &Catalog, query: &Query, out: &mut Out) -> Result<(), StorageError> {
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
            Ok(Some(entry)) if query.matches(&entry) => {
                left -= 1;
                Ok(entry)
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
        let entry = catalog.read(&segments[*segment], *line);
        if matches!(entry, Ok(Some(entry)) if entry.id == cursor.id) {
            position = number + 1;
        }
    }
    Ok(position)
}
