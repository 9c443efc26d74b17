//! Queries whose [`Phase`] depends on whether start entries have an end entry, for backends that override
//! [`scan`](crate::StorageBackend::scan) or [`scan_lines`](crate::StorageBackend::scan_lines).

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::streams::{EntryStream, LineStream};
use crate::{AuditEntry, Cursor, Order, Phase, Query, StorageError, line, metadata};

/// What such a query needs of a backend. Every [`StorageBackend`](crate::StorageBackend) is a source.
pub trait Source: Send + Sync {
    /// As [`StorageBackend::scan`](crate::StorageBackend::scan).
    fn scan(&self, query: Query) -> EntryStream<'_>;

    /// As [`StorageBackend::scan_lines`](crate::StorageBackend::scan_lines).
    fn scan_lines(&self, query: Query) -> LineStream<'_>;

    /// As [`StorageBackend::have_ended`](crate::StorageBackend::have_ended).
    ///
    /// # Errors
    ///
    /// Any failure of the backend.
    fn have_ended<'a>(
        &'a self,
        starts: &'a [Cursor],
    ) -> BoxFuture<'a, Result<Vec<bool>, StorageError>>;
}

/// Records whose start entries are looked up together.
const MAX_CHUNK: usize = 1_024;
/// Their size, about. A single record may be larger.
const MAX_CHUNK_BYTES: usize = 8 << 20;
/// The first chunk of a query, which may need few entries.
const FIRST_CHUNK: usize = 32;
/// End entries that are remembered until their start entry comes.
const MAX_ENDS: usize = 1 << 16;

/// The entries that `query` selects, if that depends on other entries: [`Phase::Latest`] and
/// [`Phase::Open`]. `None` for any other query, which a backend answers by itself. Memory is bounded: start
/// entries are held in chunks until it is known whether they have an end.
///
/// A backend that overrides [`scan`](crate::StorageBackend::scan) calls this first:
///
/// ```
/// # use attestry_core::{EntryStream, Query, StorageBackend, calls};
/// fn scan<S: StorageBackend>(backend: &S, query: Query) -> EntryStream<'_> {
///     if let Some(entries) = calls::entries(backend, &query) {
///         return entries;
///     }
///     // Its own scan.
/// #   backend.scan(query)
/// }
/// ```
pub fn entries<'a, S: Source + ?Sized>(backend: &'a S, query: &Query) -> Option<EntryStream<'a>> {
    query.phase.needs_ends().then(|| scan(backend, query))
}

/// [`entries`] for [`scan_lines`](crate::StorageBackend::scan_lines).
pub fn lines<'a, S: Source + ?Sized>(backend: &'a S, query: &Query) -> Option<LineStream<'a>> {
    query.phase.needs_ends().then(|| scan(backend, query))
}

/// A record of a scan: an entry, or its line.
trait Record: Send + Sync + Sized {
    /// How a backend streams such records.
    fn scan<S: Source + ?Sized>(
        backend: &S,
        query: Query,
    ) -> BoxStream<'_, Result<Self, StorageError>>;

    /// What it is, if it is an entry of a call with a start and an end.
    fn role(&self) -> Option<Role>;

    /// About its size in memory.
    fn bytes(&self) -> usize;
}

/// An entry of a call.
enum Role {
    Start(Cursor),
    /// With the id of the start entry.
    End(String),
}

impl Role {
    fn of(entry: &AuditEntry) -> Option<Self> {
        if entry.phase() == Some(metadata::PHASE_START) {
            return Some(Self::Start(Cursor::from(entry)));
        }
        entry.call().map(|start| Self::End(start.to_owned()))
    }
}

impl Record for AuditEntry {
    fn scan<S: Source + ?Sized>(
        backend: &S,
        query: Query,
    ) -> BoxStream<'_, Result<Self, StorageError>> {
        backend.scan(query)
    }

    fn role(&self) -> Option<Role> {
        Role::of(self)
    }

    fn bytes(&self) -> usize {
        let content = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        1_024 + content(&self.input_content) + content(&self.output_content)
    }
}

impl Record for Vec<u8> {
    fn scan<S: Source + ?Sized>(
        backend: &S,
        query: Query,
    ) -> BoxStream<'_, Result<Self, StorageError>> {
        backend.scan_lines(query)
    }

    fn role(&self) -> Option<Role> {
        // Most lines are whole calls and need not be parsed.
        if !may_contain_text(self, "attestry.") {
            return None;
        }
        Role::of(&line::decode(self).ok()?)
    }

    fn bytes(&self) -> usize {
        self.len()
    }
}

/// Whether a string of the JSON text `line` may contain `text`, which is ASCII.
fn may_contain_text(line: &[u8], text: &str) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return true };
    let is_printable_ascii = |(at, escape): (usize, &str)| {
        line.as_bytes().get(at + escape.len()).is_some_and(|digit| (b'2'..=b'7').contains(digit))
    };
    // No program is known that escapes such characters, but it may.
    line.contains(text) || line.match_indices("\\u00").any(is_printable_ascii)
}

fn scan<'a, S: Source + ?Sized, T: Record + 'a>(
    backend: &'a S,
    query: &Query,
) -> BoxStream<'a, Result<T, StorageError>> {
    // Also with a limit of 0, which reads nothing.
    if let Err(error) = query.validate() {
        return stream::iter([Err(error.into())]).boxed();
    }
    let mut all = query.clone();
    all.limit = None;
    // Ends, too, although `Phase::Open` selects none: most starts need not be looked up then.
    all.phase = Phase::All;
    let left = query.limit.unwrap_or(usize::MAX);
    let selection = Selection {
        backend,
        records: T::scan(backend, all).fuse().boxed(),
        phase: query.phase,
        order: query.order,
        left,
        chunk: left.clamp(FIRST_CHUNK, MAX_CHUNK),
        ends: HashSet::new(),
    };
    let chunks = stream::try_unfold(selection, |mut selection| async move {
        let chunk = selection.next_chunk().await?;
        Ok::<_, StorageError>(chunk.map(|chunk| (stream::iter(chunk).map(Ok), selection)))
    });
    let records = chunks.try_flatten().map(|record| record.and_then(|record| record));
    records.boxed()
}

struct Selection<'a, S: ?Sized, T> {
    backend: &'a S,
    records: BoxStream<'a, Result<T, StorageError>>,
    phase: Phase,
    order: Order,
    /// Entries that are still to be selected.
    left: usize,
    /// The maximum number of records of the next chunk.
    chunk: usize,
    /// Start entries whose end was met, and which were not met themselves.
    ends: HashSet<String>,
}

impl<S: Source + ?Sized, T: Record> Selection<'_, S, T> {
    /// The selected records of the next chunk; `None` at the end.
    async fn next_chunk(&mut self) -> Result<Option<Vec<Result<T, StorageError>>>, StorageError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < self.chunk
            && bytes < MAX_CHUNK_BYTES
            && let Some(record) = self.records.next().await
        {
            bytes += record.as_ref().map_or(0, Record::bytes);
            records.push(record);
        }
        if records.is_empty() {
            return Ok(None);
        }
        self.chunk = (self.chunk * 2).min(MAX_CHUNK);
        let is_selected = self.are_selected(&records).await?;
        let shown = records.into_iter().zip(is_selected).filter(|(_, is_selected)| *is_selected);
        let mut selected = Vec::new();
        for (record, _) in shown {
            // An unreadable record does not count towards the limit.
            if record.is_ok() {
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
            }
            selected.push(record);
        }
        Ok(Some(selected))
    }

    /// Whether the phase selects each of `records`.
    async fn are_selected(
        &mut self,
        records: &[Result<T, StorageError>],
    ) -> Result<Vec<bool>, StorageError> {
        let mut selected = vec![false; records.len()];
        let mut unknown = Vec::new();
        // From the newest to the oldest, so that an end comes before its start.
        let mut indexes: Vec<usize> = (0..records.len()).collect();
        if self.order == Order::Ascending {
            indexes.reverse();
        }
        for index in indexes {
            let Ok(record) = &records[index] else {
                selected[index] = true;
                continue;
            };
            let role = record.role();
            selected[index] = self.phase == Phase::Latest && !matches!(&role, Some(Role::Start(_)));
            match role {
                Some(Role::Start(start)) if self.ends.remove(start.id.as_str()) => {}
                Some(Role::Start(start)) => unknown.push((index, start)),
                Some(Role::End(start)) => drop(self.ends.insert(start)),
                None => {}
            }
        }
        // Ascending, their starts came before. Starts of forgotten ones are looked up.
        if self.order == Order::Ascending || self.ends.len() > MAX_ENDS {
            self.ends = HashSet::new();
        }
        let (unknown, starts): (Vec<usize>, Vec<Cursor>) = unknown.into_iter().unzip();
        if !starts.is_empty() {
            let have_ended = self.backend.have_ended(&starts).await?;
            for (index, has_ended) in unknown.into_iter().zip(have_ended) {
                selected[index] = !has_ended;
            }
        }
        Ok(selected)
    }
}

/// Whether each of `starts` has an end entry, by one scan from the oldest of them until all ends are found:
/// the provided [`have_ended`](crate::StorageBackend::have_ended), for backends that override it and cannot use
/// their index.
///
/// # Errors
///
/// Any failure of the backend.
pub async fn have_ended<S: Source + ?Sized>(
    backend: &S,
    starts: &[Cursor],
) -> Result<Vec<bool>, StorageError> {
    let Some(first) = starts.iter().map(|start| start.timestamp).min() else {
        return Ok(Vec::new());
    };
    let mut ended = vec![false; starts.len()];
    let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, start) in starts.iter().enumerate() {
        open.entry(start.id.as_str()).or_default().push(index);
    }
    let mut ends = backend.scan(Query::new().since(first).metadata_exists(metadata::CALL));
    while !open.is_empty()
        && let Some(end) = ends.next().await
    {
        let end = match end {
            Ok(end) => end,
            // It is reported by the scan that asks.
            Err(StorageError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let Some(call) = end.call() else { continue };
        if let Some(waiting) = open.get_mut(call) {
            waiting.retain(|index| {
                ended[*index] = end.timestamp >= starts[*index].timestamp;
                !ended[*index]
            });
            if waiting.is_empty() {
                open.remove(call);
            }
        }
    }
    Ok(ended)
}
