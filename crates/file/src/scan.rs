//! Selecting entries in the order of time, and streaming them in bounded memory.

mod merge;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, Cursor, Query, StorageError, Timestamp};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::catalog::Catalog;
use merge::Merge;

/// Records travel from the reading thread in groups: the first is of so many, for those who want the
/// first entry soon,
const FIRST_GROUP: usize = 16;
/// and each four times the one before, up to this many: waking the consumer takes as long as reading
/// ten records.
const GROUP: usize = 1024;
/// None has more than about this many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// So many groups are read ahead of the consumer.
const GROUPS_AHEAD: usize = 2;

/// What of a record the consumer wants: of its line, without the line break, and of its entry.
pub(crate) type Pick<T> = fn(&[u8], AuditEntry) -> T;

/// All entries from `start` to `end`, in order; fails on the first record that cannot be read.
pub(crate) fn list(
    catalog: &Catalog,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<AuditEntry>, StorageError> {
    let mut entries = Vec::new();
    let query = Query::range(start, end);
    run(
        catalog,
        &query,
        |_, entry| entry,
        |found, _| {
            entries.push(found?);
            Ok(true)
        },
    )?;
    Ok(entries)
}

/// Hands what `pick` takes of the records that `query` selects to `take`, in order and each with the
/// length of its line, until that says no or fails.
fn run<T>(
    catalog: &Catalog,
    query: &Query,
    pick: Pick<T>,
    mut take: impl FnMut(Result<T, StorageError>, usize) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    query.validate()?;
    let Some((start, end)) = query.time_range() else { return Ok(()) };
    let segments = catalog.snapshot()?;
    // A line that cannot be read has no time that could place it; they come first.
    for error in catalog.corrupt_records(&segments)? {
        if !take(Err(error), 0)? {
            return Ok(());
        }
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    // Says whether there is more to do.
    let mut hand_on = |entry: Result<Option<AuditEntry>, StorageError>, line: &[u8]| match entry {
        Ok(Some(entry)) if query.matches(&entry) => {
            left -= 1;
            Ok(take(Ok(pick(line, entry)), line.len())? && left > 0)
        }
        Ok(_) => Ok(true),
        Err(error @ StorageError::Corrupt(_)) => take(Err(error), 0),
        Err(error) => Err(error),
    };
    let mut merge = Merge::new(catalog, &segments, start, end, query.order);
    if let Some(cursor) = &query.after {
        for (line, entry) in behind_cursor(catalog, &mut merge, cursor)? {
            if !hand_on(entry, &line)? {
                return Ok(());
            }
        }
    }
    while let Some(found) = merge.next()? {
        if !hand_on(found.entry(catalog), found.bytes())? {
            break;
        }
    }
    Ok(())
}

/// A line and what it holds, as [`Found::entry`](merge::Found::entry) has it.
type Held = (Vec<u8>, Result<Option<AuditEntry>, StorageError>);

/// What comes behind `cursor` among the records of its moment, which stand first, and the first of a
/// later one; all of them when its entry is not there.
fn behind_cursor(
    catalog: &Catalog,
    merge: &mut Merge<'_>,
    cursor: &Cursor,
) -> Result<Vec<Held>, StorageError> {
    let mut ties = Vec::new();
    while let Some(found) = merge.next()? {
        let entry = found.entry(catalog);
        let (same_moment, is_it) = match &entry {
            Ok(Some(entry)) => {
                let same_moment = entry.timestamp == cursor.timestamp;
                (same_moment, same_moment && entry.id == cursor.id)
            }
            _ => (true, false),
        };
        ties.push((found.bytes().to_vec(), entry));
        if is_it {
            ties.clear();
        }
        if !same_moment {
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
        let mut room = FIRST_GROUP;
        let mut group = Vec::with_capacity(room);
        let mut bytes = 0;
        let outcome = run(&self.catalog, &self.query, self.pick, |found, length| {
            bytes += length;
            group.push(found);
            if group.len() < room && bytes < GROUP_BYTES {
                return Ok(true);
            }
            (room, bytes) = ((room * 4).min(GROUP), 0);
            let full = std::mem::replace(&mut group, Vec::with_capacity(room));
            Ok(sender.blocking_send(full).is_ok())
        });
        group.extend(outcome.err().map(Err));
        // Nobody listens any more, or everything has been sent.
        let _ = sender.blocking_send(group);
    }
}
