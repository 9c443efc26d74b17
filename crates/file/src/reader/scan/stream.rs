//! A scan that reads on a thread of its own, a bounded number of lines ahead of its consumer.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use attestry_core::{AuditEntry, Query, StorageError};
use futures_core::Stream;
use tokio::sync::mpsc;

use super::merge::ScannedLine;
use super::{Selected, run};
use crate::reader::Catalog;
use crate::segment::SegmentName;

/// Lines in the first chunk: few, so that the first entry arrives early.
const FIRST_CHUNK_LINES: usize = 16;
/// Chunks grow by this factor ...
const CHUNK_GROWTH: usize = 4;
/// ... up to this many lines. Waking the consumer costs as much as reading ten lines.
const MAX_CHUNK_LINES: usize = 1024;
/// A chunk ends with the line that reaches this many bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// How many chunks are read ahead of the consumer.
const CHUNKS_AHEAD: usize = 2;

/// Maps a line, without its line break, and its entry to an item of the stream.
pub(crate) type Map<T> = fn(&[u8], AuditEntry) -> T;

/// Streams the records that `query` selects, mapped by `map`. Dropping the stream ends the scan.
pub(crate) fn stream<T>(catalog: Arc<Catalog>, query: Query, map: Map<T>) -> ScanStream<T> {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let scan = Scan { catalog, query, map };
    ScanStream {
        scan: Arc::new(scan),
        sender: Some(sender),
        chunks,
        chunk: Chunk::with_capacity(0, 0),
    }
}

#[derive(Debug)]
struct Scan<T> {
    catalog: Arc<Catalog>,
    query: Query,
    map: Map<T>,
}

/// Consecutive records.
#[derive(Debug)]
struct Chunk<T> {
    records: VecDeque<Record<T>>,
    /// The bytes of the [`Record::Line`]s.
    lines: Vec<u8>,
    /// The length of all lines together.
    bytes: usize,
}

impl<T> Chunk<T> {
    fn with_capacity(records: usize, bytes: usize) -> Self {
        let (records, lines) = (VecDeque::with_capacity(records), Vec::with_capacity(bytes));
        Self { records, lines, bytes: 0 }
    }
}

/// Most lines are decoded on the consumer's thread: freeing an entry's dozen allocations is cheaper on the
/// thread that made them.
#[derive(Debug)]
enum Record<T> {
    Line { segment: SegmentName, offset: u64, at: Range<usize> },
    Item(Result<T, StorageError>),
}

/// The consumer's end of a scan. The first poll starts the reading thread.
#[derive(Debug)]
pub(crate) struct ScanStream<T> {
    scan: Arc<Scan<T>>,
    /// `Some` until the reading thread starts.
    sender: Option<mpsc::Sender<Chunk<T>>>,
    chunks: mpsc::Receiver<Chunk<T>>,
    chunk: Chunk<T>,
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
            while let Some(record) = this.chunk.records.pop_front() {
                match record {
                    Record::Item(item) => return Poll::Ready(Some(item)),
                    Record::Line { segment, offset, at } => {
                        let line = &this.chunk.lines[at];
                        match this.scan.catalog.decode(segment, offset, line) {
                            Ok(Some(entry)) if this.scan.query.matches(&entry) => {
                                return Poll::Ready(Some(Ok((this.scan.map)(line, entry))));
                            }
                            Ok(_) => {}
                            Err(error) => return Poll::Ready(Some(Err(error))),
                        }
                    }
                }
            }
            match ready!(this.chunks.poll_recv(context)) {
                Some(chunk) => this.chunk = chunk,
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Scan<T> {
    /// Runs on the reading thread.
    fn read(&self, sender: &mpsc::Sender<Chunk<T>>) {
        let mut max_lines = FIRST_CHUNK_LINES;
        let mut chunk = Chunk::with_capacity(max_lines, 0);
        let outcome = run(&self.catalog, &self.query, |selected| {
            self.push(selected, &mut chunk);
            if chunk.records.len() < max_lines && chunk.bytes < CHUNK_BYTES {
                return Ok(true);
            }
            let growth = if max_lines < MAX_CHUNK_LINES { CHUNK_GROWTH } else { 1 };
            max_lines *= growth;
            let next = Chunk::with_capacity(max_lines, chunk.lines.len() * growth);
            Ok(sender.blocking_send(std::mem::replace(&mut chunk, next)).is_ok())
        });
        chunk.records.extend(outcome.err().map(|error| Record::Item(Err(error))));
        // Fails if the stream was dropped.
        let _ = sender.blocking_send(chunk);
    }

    fn push(&self, selected: Result<Selected<'_>, StorageError>, chunk: &mut Chunk<T>) {
        let Selected { line, entry } = match selected {
            Ok(selected) => selected,
            Err(error) => return chunk.records.push_back(Record::Item(Err(error))),
        };
        let ScannedLine { segment, offset, bytes } = line;
        chunk.bytes += bytes.len();
        if let Some(entry) = entry {
            chunk.records.push_back(Record::Item(Ok((self.map)(bytes, entry))));
        } else {
            let start = chunk.lines.len();
            chunk.lines.extend_from_slice(bytes);
            let at = start..chunk.lines.len();
            chunk.records.push_back(Record::Line { segment, offset, at });
        }
    }
}
