//! Streams the entries that a query selects, day by day in timestamp order, in bounded memory.
//!
//! S3 lists keys by id. A day is therefore loaded as a whole and sorted. Bodies beyond the memory budget
//! are dropped and fetched again in the order of the stream.

use std::sync::{Arc, Mutex, PoisonError};

use attestry_core::{Cursor, Order, Query, StorageError, Timestamp};
use futures_core::Stream;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt, pin_mut};

use crate::bucket::{Bucket, too_large};
use crate::client::StoreClient;
use crate::key::Day;
use crate::record::{self, Keep};
use crate::task::abortable;

/// Days loaded concurrently, ahead of the consumer. Fewer with a limit, as it may end the scan early.
const DAYS_AHEAD: usize = 4;
const DAYS_AHEAD_WITH_LIMIT: usize = 2;
/// Maximum number of objects in a chunk whose bodies are fetched again.
const CHUNK: usize = 512;
const CHUNKS_AHEAD: usize = 2;

/// Bodies are kept rather than entries: their size in memory is known, and it is smaller.
type Body = Box<[u8]>;
const KEEP_BODY: Keep<Body> = |body, _| body.into_boxed_slice();

/// Turns the body of a record into an item of the stream.
pub(crate) type Decode<T> = fn(&Bucket, Day, &str, Vec<u8>) -> Result<T, StorageError>;

/// How many bytes of bodies may be kept of one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryBudget {
    pub(crate) bytes: u64,
}

/// A record of a day, with its sort key.
pub(crate) struct Row<T> {
    timestamp: Timestamp,
    sequence: u64,
    pub(crate) id: Box<str>,
    /// Length of the body.
    size: u64,
    selected: bool,
    /// `None` if the bodies of the day exceed the memory budget.
    kept: Option<T>,
}

/// The selected records of a day in the order of the query, and an error for each unreadable object.
pub(crate) struct LoadedDay<T> {
    day: Day,
    corrupt: Vec<StorageError>,
    pub(crate) rows: Vec<Row<T>>,
}

enum Fetched<T> {
    Row(Row<T>),
    Corrupt(StorageError),
    /// Deleted since it was listed.
    Gone,
}

/// Streams what `query` selects. Sends the first request when first polled; dropping it cancels all.
pub(crate) fn stream<T: Send + 'static>(
    client: Arc<StoreClient>,
    query: Query,
    decode: Decode<T>,
) -> BoxStream<'static, Result<T, StorageError>> {
    if let Err(error) = query.validate() {
        return stream::once(std::future::ready(Err(error.into()))).boxed();
    }
    let limit = query.limit;
    let Some((start, end)) = query.time_range().filter(|_| limit != Some(0)) else {
        return stream::empty().boxed();
    };
    // Foreign objects outside of days have no place in the order: their errors come first. The same
    // listing collects the days.
    let days = Arc::new(Mutex::new(Vec::new()));
    let bucket = Arc::clone(&client.bucket);
    let collected = Arc::clone(&days);
    let foreign = client.bucket.list_top_level().map_ok(move |page| {
        collected.lock().unwrap_or_else(PoisonError::into_inner).extend(page.days);
        let bucket = Arc::clone(&bucket);
        stream::iter(page.foreign.into_iter().map(move |key| Err(bucket.corrupt(&key, FOREIGN))))
    });
    let entries = stream::once(async move {
        let mut days = std::mem::take(&mut *days.lock().unwrap_or_else(PoisonError::into_inner));
        days.retain(|day| day.start() <= end && start <= day.end());
        if query.order == Order::Descending {
            days.reverse();
        }
        stream_days(client, days, Arc::new(query), decode)
    });
    let all = foreign.try_flatten().chain(entries.flatten());
    limited(all, limit.unwrap_or(usize::MAX)).boxed()
}

const FOREIGN: &str = "not an object of this store; move it to another prefix";

fn stream_days<T: Send + 'static>(
    client: Arc<StoreClient>,
    days: Vec<Day>,
    query: Arc<Query>,
    decode: Decode<T>,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    let ahead = if query.limit.is_some() { DAYS_AHEAD_WITH_LIMIT } else { DAYS_AHEAD };
    let budget = MemoryBudget { bytes: client.day_bytes };
    let loader = Arc::clone(&client);
    stream::iter(days)
        .map(move |day| {
            let (client, query) = (Arc::clone(&loader), Arc::clone(&query));
            abortable(load_day(client, day, query, KEEP_BODY, budget))
        })
        .buffered(ahead)
        .map_ok(move |loaded| stream_rows(Arc::clone(&client), loaded, decode))
        .try_flatten()
}

/// Loads and sorts the records of `day`. Keeps no body if together they exceed `budget`.
pub(crate) async fn load_day<T: Send + 'static>(
    client: Arc<StoreClient>,
    day: Day,
    query: Arc<Query>,
    keep: Keep<T>,
    budget: MemoryBudget,
) -> Result<LoadedDay<T>, StorageError> {
    let mut corrupt = Vec::new();
    let foreign = Mutex::new(Vec::new());
    let ids = client.bucket.list_day(day, None).map_ok(|page| {
        foreign.lock().unwrap_or_else(PoisonError::into_inner).extend(page.foreign);
        stream::iter(page.entries.into_iter().map(Ok))
    });
    let fetches = ids
        .try_flatten()
        .map_ok(|(id, size)| fetch(&client, day, id, size, &query, keep))
        .try_buffer_unordered(client.bucket.concurrency());
    pin_mut!(fetches);
    let mut rows: Vec<Row<T>> = Vec::new();
    // `None` once the budget was exceeded.
    let mut budget_left = Some(budget.bytes);
    while let Some(fetched) = fetches.try_next().await? {
        match fetched {
            Fetched::Gone => {}
            Fetched::Corrupt(error) => corrupt.push(error),
            Fetched::Row(mut row) => {
                let size = if row.kept.is_some() { row.size } else { 0 };
                budget_left = match budget_left.map(|left| left.checked_sub(size)) {
                    Some(None) => {
                        rows.iter_mut().for_each(|row| row.kept = None);
                        None
                    }
                    left => left.flatten(),
                };
                if budget_left.is_none() {
                    row.kept = None;
                }
                rows.push(row);
            }
        }
    }
    let foreign = std::mem::take(&mut *foreign.lock().unwrap_or_else(PoisonError::into_inner));
    corrupt.extend(foreign.iter().map(|key| client.bucket.corrupt(key, FOREIGN)));
    corrupt.sort_by_key(ToString::to_string);
    rows.sort_unstable_by(|a, b| {
        (a.timestamp, a.sequence, &a.id).cmp(&(b.timestamp, b.sequence, &b.id))
    });
    if query.order == Order::Descending {
        rows.reverse();
    }
    rows.drain(..query.after.as_ref().map_or(0, |cursor| index_after(cursor, &rows)));
    rows.retain(|row| row.selected);
    rows.shrink_to_fit();
    Ok(LoadedDay { day, corrupt, rows })
}

/// The index after the last row of `cursor`, or 0 if there is none.
fn index_after<T>(cursor: &Cursor, rows: &[Row<T>]) -> usize {
    let matches =
        |row: &Row<T>| row.timestamp == cursor.timestamp && *row.id == *cursor.id.as_str();
    rows.iter().rposition(matches).map_or(0, |index| index + 1)
}

async fn fetch<T>(
    client: &Arc<StoreClient>,
    day: Day,
    id: String,
    size: u64,
    query: &Query,
    keep: Keep<T>,
) -> Result<Fetched<T>, StorageError> {
    let key = client.bucket.layout.key(day, &id);
    if size > attestry_core::MAX_LINE_BYTES as u64 + 1 {
        return Ok(Fetched::Corrupt(client.bucket.corrupt(&key, too_large(size))));
    }
    let object = match client.bucket.get(&key, size).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(Fetched::Gone),
        Err(error @ StorageError::Corrupt(_)) => return Ok(Fetched::Corrupt(error)),
        Err(error) => return Err(error),
    };
    let size = object.body.len() as u64;
    match record::decode(&client.bucket, day, &id, &object.body) {
        Ok(entry) => {
            let (timestamp, sequence) = (entry.timestamp, object.sequence);
            let selected = query.matches(&entry) && in_time_range(query, timestamp);
            let kept = selected.then(|| keep(object.body, entry));
            let id = id.into_boxed_str();
            Ok(Fetched::Row(Row { timestamp, sequence, id, size, selected, kept }))
        }
        Err(error @ StorageError::Corrupt(_)) => Ok(Fetched::Corrupt(error)),
        Err(error) => Err(error),
    }
}

/// Whether `timestamp` is in the time range that the query's bounds and its cursor leave.
fn in_time_range(query: &Query, timestamp: Timestamp) -> bool {
    query.time_range().is_some_and(|(start, end)| (start..=end).contains(&timestamp))
}

/// Streams the records of a day. Fetches the bodies that were not kept, chunk by chunk.
fn stream_rows<T: Send + 'static>(
    client: Arc<StoreClient>,
    loaded: LoadedDay<Body>,
    decode: Decode<T>,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    let LoadedDay { day, corrupt, rows } = loaded;
    let chunks = chunks(rows, client.day_bytes);
    let bucket = Arc::clone(&client.bucket);
    let items = stream::iter(chunks)
        .map(move |chunk| abortable(fetch_bodies(Arc::clone(&client), day, chunk)))
        .buffered(CHUNKS_AHEAD)
        .map_ok(stream::iter)
        .try_flatten()
        .map(move |fetched| {
            fetched.and_then(|(id, body)| decode(&bucket, day, &id, body.into_vec()))
        });
    stream::iter(corrupt.into_iter().map(Err)).chain(items)
}

/// Splits `rows` into chunks of at most [`CHUNK`] rows and `max_bytes` (or a single larger row).
fn chunks<T>(rows: Vec<Row<T>>, max_bytes: u64) -> impl Iterator<Item = Vec<Row<T>>> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut chunk = vec![rows.next()?];
        let mut bytes = chunk[0].size;
        while chunk.len() < CHUNK
            && let Some(row) = rows.next_if(|row| bytes + row.size <= max_bytes)
        {
            bytes += row.size;
            chunk.push(row);
        }
        Some(chunk)
    })
}

type FetchedBody = Result<(Box<str>, Body), StorageError>;

/// The ids and bodies of `chunk`, without objects that were deleted since they were listed.
async fn fetch_bodies(
    client: Arc<StoreClient>,
    day: Day,
    chunk: Vec<Row<Body>>,
) -> Result<Vec<FetchedBody>, StorageError> {
    let concurrency = client.bucket.concurrency();
    let match_all = Query::new();
    let fetches = chunk.into_iter().map(|row| {
        let (client, match_all) = (&client, &match_all);
        async move {
            if let Some(body) = row.kept {
                return Some(Ok((row.id, body)));
            }
            match fetch(client, day, row.id.into_string(), row.size, match_all, KEEP_BODY).await {
                Ok(Fetched::Row(row)) => row.kept.map(|body| Ok((row.id, body))),
                Ok(Fetched::Corrupt(error)) | Err(error) => Some(Err(error)),
                Ok(Fetched::Gone) => None,
            }
        }
    });
    Ok(stream::iter(fetches).buffered(concurrency).filter_map(std::future::ready).collect().await)
}

/// Ends after `limit` records, or after an error that is not the corruption of a single record.
fn limited<T: Send>(
    all: impl Stream<Item = Result<T, StorageError>> + Send,
    limit: usize,
) -> impl Stream<Item = Result<T, StorageError>> + Send {
    stream::unfold((Box::pin(all), limit), |(mut all, left)| async move {
        if left == 0 {
            return None;
        }
        let item = all.next().await?;
        let left = match &item {
            Ok(_) => left - 1,
            Err(StorageError::Corrupt(_)) => left,
            Err(_) => 0,
        };
        Some((item, (all, left)))
    })
}
