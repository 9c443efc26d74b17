//! Streaming what a query selects, day by day in the order of time, in bounded memory.

use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::{AuditEntry, Cursor, Order, Query, StorageError, Timestamp};
use futures_core::Stream;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt, pin_mut};

use crate::bucket::{Bucket, too_large};
use crate::key::Day;
use crate::record;
use crate::storage::{Inner, abortable};

/// Days that are read at once, ahead of the consumer; fewer where it may not want them.
pub(crate) const DAYS_AHEAD: usize = 4;
const DAYS_AHEAD_WITH_LIMIT: usize = 2;
/// At most so many objects are fetched a second time at once.
const CHUNK: usize = 512;
const CHUNKS_AHEAD: usize = 2;

/// What is kept of a record until it is handed out: of its body, and of its entry.
pub(crate) type Pick<T> = fn(Vec<u8>, AuditEntry) -> T;

/// A body takes as much memory as it has bytes. How much an entry made of it takes is not known
/// that easily, and it is more.
type Body = Box<[u8]>;
const BODY: Pick<Body> = |body, _| body.into_boxed_slice();

/// What the consumer wants, made of a record's body when it is handed out.
pub(crate) type Make<T> = fn(&Bucket, Day, &str, Vec<u8>) -> Result<T, StorageError>;

/// How many bytes of bodies one day may keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) bytes: u64,
}

/// A record of a day, with what orders it, and whether the query selects it.
pub(crate) struct Row<T> {
    moment: Timestamp,
    order: u64,
    pub(crate) id: Box<str>,
    /// Of the body.
    size: u64,
    selected: bool,
    /// `None` where the day as a whole was too large to be kept.
    item: Option<T>,
}

/// A day's records in the order of the query, and what cannot be read.
pub(crate) struct Loaded<T> {
    day: Day,
    corrupt: Vec<StorageError>,
    pub(crate) rows: Vec<Row<T>>,
}

enum Fetched<T> {
    Row(Row<T>),
    Corrupt(StorageError),
    Gone,
}

/// What `query` selects. Requests begin when the stream is first polled; dropping it ends them.
pub(crate) fn stream<T: Send + 'static>(
    inner: Arc<Inner>,
    query: Query,
    make: Make<T>,
) -> BoxStream<'static, Result<T, StorageError>> {
    if let Err(error) = query.validate() {
        return stream::once(std::future::ready(Err(error.into()))).boxed();
    }
    let limit = query.limit;
    let Some((start, end)) = query.time_range().filter(|_| limit != Some(0)) else {
        return stream::empty().boxed();
    };
    // Foreign objects have no day that could place them, and come first; days meanwhile gather.
    let days = Arc::new(Mutex::new(Vec::new()));
    let bucket = Arc::clone(&inner.bucket);
    let gather = Arc::clone(&days);
    let foreign = inner.bucket.top().map_ok(move |page| {
        gather.lock().unwrap_or_else(PoisonError::into_inner).extend(page.days);
        let bucket = Arc::clone(&bucket);
        stream::iter(page.foreign.into_iter().map(move |key| Err(bucket.corrupt(&key, FOREIGN))))
    });
    let entries = stream::once(async move {
        let mut days = std::mem::take(&mut *days.lock().unwrap_or_else(PoisonError::into_inner));
        days.retain(|day| day.start() <= end && start <= day.end());
        if query.order == Order::Descending {
            days.reverse();
        }
        of_days(inner, days, Arc::new(query), make)
    });
    let all = foreign.try_flatten().chain(entries.flatten());
    bounded(all, limit.unwrap_or(usize::MAX)).boxed()
}

const FOREIGN: &str = "it is not one of the store's objects; move it elsewhere";

fn of_days<T: Send + 'static>(
    inner: Arc<Inner>,
    days: Vec<Day>,
    query: Arc<Query>,
    make: Make<T>,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    let ahead = if query.limit.is_some() { DAYS_AHEAD_WITH_LIMIT } else { DAYS_AHEAD };
    let share = Share { bytes: inner.day_bytes };
    let loading = Arc::clone(&inner);
    stream::iter(days)
        .map(move |day| {
            abortable(load_day(Arc::clone(&loading), day, Arc::clone(&query), BODY, share))
        })
        .buffered(ahead)
        .map_ok(move |loaded| emit(Arc::clone(&inner), loaded, make))
        .try_flatten()
}

/// Reads `day`. Bodies are dropped once they exceed their share; the order is found all the same.
pub(crate) async fn load_day<T: Send + 'static>(
    inner: Arc<Inner>,
    day: Day,
    query: Arc<Query>,
    pick: Pick<T>,
    share: Share,
) -> Result<Loaded<T>, StorageError> {
    let mut corrupt = Vec::new();
    let foreign = Mutex::new(Vec::new());
    let ids = inner.bucket.day(day, None).map_ok(|page| {
        foreign.lock().unwrap_or_else(PoisonError::into_inner).extend(page.foreign);
        stream::iter(page.entries.into_iter().map(Ok))
    });
    let fetches = ids
        .try_flatten()
        .map_ok(|(id, size)| fetch(&inner, day, id, size, &query, pick))
        .try_buffer_unordered(inner.bucket.concurrency());
    pin_mut!(fetches);
    let mut rows: Vec<Row<T>> = Vec::new();
    // Bytes that may still be kept; `None` once they were too many.
    let mut room = Some(share.bytes);
    while let Some(fetched) = fetches.try_next().await? {
        match fetched {
            Fetched::Gone => {}
            Fetched::Corrupt(error) => corrupt.push(error),
            Fetched::Row(mut row) => {
                let size = if row.item.is_some() { row.size } else { 0 };
                room = match room.map(|room| room.checked_sub(size)) {
                    Some(None) => {
                        rows.iter_mut().for_each(|row| row.item = None);
                        None
                    }
                    left => left.flatten(),
                };
                if room.is_none() {
                    row.item = None;
                }
                rows.push(row);
            }
        }
    }
    let foreign = std::mem::take(&mut *foreign.lock().unwrap_or_else(PoisonError::into_inner));
    corrupt.extend(foreign.iter().map(|key| inner.bucket.corrupt(key, FOREIGN)));
    corrupt.sort_by_key(ToString::to_string);
    rows.sort_unstable_by(|a, b| (a.moment, a.order, &a.id).cmp(&(b.moment, b.order, &b.id)));
    if query.order == Order::Descending {
        rows.reverse();
    }
    rows.drain(..query.after.as_ref().map_or(0, |cursor| behind(cursor, &rows)));
    rows.retain(|row| row.selected);
    rows.shrink_to_fit();
    Ok(Loaded { day, corrupt, rows })
}

/// The place right behind the last record that `cursor` names; the first where there is none.
fn behind<T>(cursor: &Cursor, rows: &[Row<T>]) -> usize {
    let is_it = |row: &Row<T>| row.moment == cursor.timestamp && *row.id == *cursor.id.as_str();
    rows.iter().rposition(is_it).map_or(0, |place| place + 1)
}

async fn fetch<T>(
    inner: &Arc<Inner>,
    day: Day,
    id: String,
    size: u64,
    query: &Query,
    pick: Pick<T>,
) -> Result<Fetched<T>, StorageError> {
    let key = inner.bucket.layout.key(day, &id);
    if size > attestry_core::MAX_LINE_BYTES as u64 + 1 {
        return Ok(Fetched::Corrupt(inner.bucket.corrupt(&key, too_large(size))));
    }
    let object = match inner.bucket.get(&key, size).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(Fetched::Gone),
        Err(error @ StorageError::Corrupt(_)) => return Ok(Fetched::Corrupt(error)),
        Err(error) => return Err(error),
    };
    let size = object.body.len() as u64;
    match record::decode(&inner.bucket, day, &id, &object.body) {
        Ok(entry) => {
            let (moment, order) = (entry.timestamp, object.order);
            let selected = query.matches(&entry) && lies_behind(query, moment);
            let item = selected.then(|| pick(object.body, entry));
            Ok(Fetched::Row(Row { moment, order, id: id.into_boxed_str(), size, selected, item }))
        }
        Err(error @ StorageError::Corrupt(_)) => Ok(Fetched::Corrupt(error)),
        Err(error) => Err(error),
    }
}

/// Whether `moment` is not on the near side of the query's cursor.
fn lies_behind(query: &Query, moment: Timestamp) -> bool {
    query.time_range().is_some_and(|(start, end)| (start..=end).contains(&moment))
}

/// A day's records, one by one; bodies that were not kept are fetched again.
fn emit<T: Send + 'static>(
    inner: Arc<Inner>,
    loaded: Loaded<Body>,
    make: Make<T>,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    let Loaded { day, corrupt, rows } = loaded;
    let chunks = chunks(rows, inner.day_bytes);
    let bucket = Arc::clone(&inner.bucket);
    let items = stream::iter(chunks)
        .map(move |chunk| abortable(refill(Arc::clone(&inner), day, chunk)))
        .buffered(CHUNKS_AHEAD)
        .map_ok(stream::iter)
        .try_flatten()
        .map(move |whole| whole.and_then(|(id, body)| make(&bucket, day, &id, body.into_vec())));
    stream::iter(corrupt.into_iter().map(Err)).chain(items)
}

/// Rows in their order, parted so that none of the parts is too large to be held.
fn chunks<T>(rows: Vec<Row<T>>, most_bytes: u64) -> impl Iterator<Item = Vec<Row<T>>> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut chunk = vec![rows.next()?];
        let mut bytes = chunk[0].size;
        while chunk.len() < CHUNK
            && let Some(row) = rows.next_if(|row| bytes + row.size <= most_bytes)
        {
            bytes += row.size;
            chunk.push(row);
        }
        Some(chunk)
    })
}

type Whole = Result<(Box<str>, Body), StorageError>;

/// The ids and bodies of `chunk`, but for those deleted since.
async fn refill(
    inner: Arc<Inner>,
    day: Day,
    chunk: Vec<Row<Body>>,
) -> Result<Vec<Whole>, StorageError> {
    let concurrency = inner.bucket.concurrency();
    let everything = Query::new();
    let whole = chunk.into_iter().map(|row| {
        let (inner, everything) = (&inner, &everything);
        async move {
            if let Some(body) = row.item {
                return Some(Ok((row.id, body)));
            }
            match fetch(inner, day, row.id.into_string(), row.size, everything, BODY).await {
                Ok(Fetched::Row(row)) => row.item.map(|body| Ok((row.id, body))),
                Ok(Fetched::Corrupt(error)) | Err(error) => Some(Err(error)),
                Ok(Fetched::Gone) => None,
            }
        }
    });
    Ok(stream::iter(whole).buffered(concurrency).filter_map(std::future::ready).collect().await)
}

/// At most `left` records of `all`, and nothing behind an error that is not of one record.
fn bounded<T: Send>(
    all: impl Stream<Item = Result<T, StorageError>> + Send,
    left: usize,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    stream::unfold((Box::pin(all), left), |(mut all, left)| async move {
        if left == 0 {
            return None;
        }
        let found = all.next().await?;
        let left = match &found {
            Ok(_) => left - 1,
            Err(StorageError::Corrupt(_)) => left,
            Err(_) => 0,
        };
        Some((found, (all, left)))
    })
}
