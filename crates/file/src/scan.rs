//! Selecting entries in the order of time, and streaming them in bounded memory.

mod merge;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, EntryId, Query, StorageError, Timestamp};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::catalog::{Catalog, Stored};
use merge::Merge;

/// Records travel from the reading thread in groups of at most this many,
const GROUP: usize = 256;
/// and of about this many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// So many groups are read ahead of the consumer.
const GROUPS_AHEAD: usize = 2;

/// What of a record the consumer wants.
pub(crate) type Pick<T> = fn(Stored) -> T;

/// All entries from `start` to `end`, in order; fails on the first record that cannot be read.
pub(crate) fn list(
    catalog: &Catalog,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<AuditEntry>, StorageError> {
    let mut entries = Vec::new();
    let query = Query::range(start, end);
    run(catalog, &query, |found| {
        entries.push(found?.entry);
        Ok(true)
    })?;
    Ok(entries)
}

/// Hands what `query` selects to `take`, in order, until that says no or fails.
fn run(
    catalog: &Catalog,
    query: &Query,
    mut take: impl FnMut(Result<Stored, StorageError>) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    query.validate()?;
    let Some((start, end)) = query.time_range() else { return Ok(()) };
    let segments = catalog.snapshot()?;
    // A line that cannot be read has no time that could place it; they come first.
    for error in catalog.corrupt_records(&segments)? {
        if !take(Err(error))? {
            return Ok(());
        }
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    let mut merge = Merge::new(catalog, &segments, start, end, query.order);
    let mut ahead = Vec::new();
    if let Some(cursor) = &query.after {
        ahead = behind_cursor(&mut merge, cursor.timestamp, &cursor.id)?;
    }
    let mut ahead = ahead.into_iter();
    while left > 0 {
        let Some(found) = ahead.next().or_else(|| merge.next()) else { break };
        match found {
            Ok(stored) if !query.matches(&stored.entry) => {}
            Ok(stored) => {
                left -= 1;
                if !take(Ok(stored))? {
                    break;
                }
            }
            Err(error @ StorageError::Corrupt(_)) => {
                if !take(Err(error))? {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What comes behind the entry `id` among those of the moment `timestamp`, which stand first; all
/// of them when it is not there.
fn behind_cursor(
    merge: &mut Merge<'_>,
    timestamp: Timestamp,
    id: &EntryId,
) -> Result<Vec<Result<Stored, StorageError>>, StorageError> {
    let mut ties = Vec::new();
    while let Some(found) = merge.next() {
        let beyond = found.as_ref().is_ok_and(|stored| stored.entry.timestamp != timestamp);
        let is_it = found
            .as_ref()
            .is_ok_and(|stored| stored.entry.timestamp == timestamp && stored.entry.id == *id);
        ties.push(found);
        if is_it {
            ties.clear();
        }
        if beyond {
            break;
        }
    }
    Ok(ties)
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
            tokio::task::spawn_blocking(move || scan.run(&sender));
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

impl<T> Scan<T> {
    /// The reading thread.
    fn run(&self, sender: &mpsc::Sender<Group<T>>) {
        // The first group is short, for those who want the first entry soon.
        let mut room = 16;
        let mut group = Vec::with_capacity(room);
        let mut bytes = 0;
        let outcome = run(&self.catalog, &self.query, |found| {
            bytes += found.as_ref().map_or(0, |stored| stored.line.len());
            group.push(found.map(self.pick));
            if group.len() < room && bytes < GROUP_BYTES {
                return Ok(true);
            }
            (room, bytes) = (GROUP, 0);
            let full = std::mem::replace(&mut group, Vec::with_capacity(room));
            Ok(sender.blocking_send(full).is_ok())
        });
        group.extend(outcome.err().map(Err));
        // Nobody listens any more, or everything has been sent.
        let _ = sender.blocking_send(group);
    }
}
