//! Receives requests of OTLP, whatever the transport.

use std::sync::Arc;
use std::thread::available_parallelism;

use attestry_genai::{Decoded, Format, RecordError, decode, decode_logs, decode_traces};
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::compression::{Compression, Damaged};
use crate::counter::Counter;
use crate::http::problem::Problem;
use crate::inbox::{Accepted, Inbox, Prepared};
use crate::options::Limits;

/// A larger body is decoded on another thread: it takes a millisecond or more.
const INLINE_BYTES: usize = 64 << 10;
/// The unit of the budget of bytes.
const KIB: usize = 1 << 10;

/// What a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
}

/// How the message in a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

/// The message of a request.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) compression: Compression,
    pub(super) body: Bytes,
}

/// Receives telemetry.
#[derive(Debug)]
pub(crate) struct Otlp {
    pub(crate) inbox: Arc<Inbox>,
    limits: Limits,
    /// KiB of bodies that may be held at the same time.
    budget: Arc<Semaphore>,
    /// Large bodies that are decoded at the same time: more would only take memory.
    decoding: Semaphore,
    /// Spans and log records that are calls.
    pub(crate) received: Counter,
    /// Those that are of something else, and are not stored.
    pub(crate) ignored: Counter,
    /// Those that cannot be stored.
    pub(crate) refused: Counter,
}

impl Otlp {
    pub(crate) fn new(inbox: Inbox, limits: Limits) -> Self {
        Self {
            inbox: Arc::new(inbox),
            limits,
            decoding: Semaphore::new(available_parallelism().map_or(1, usize::from)),
            budget: Arc::new(Semaphore::new(limits.received_bytes.div_ceil(KIB))),
            received: Counter::default(),
            ignored: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// Memory for `bytes` of a body, until the permit is dropped.
    pub(super) fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.budget).try_acquire_many_owned(kib);
        permit.map_err(|_| Problem::unavailable("too much telemetry is being received"))
    }

    /// Stores the calls of a request. When it returns, everything is durable that is not refused.
    ///
    /// If the future is dropped, some of it may be stored; sent again, it is stored once.
    pub(super) async fn receive(self: &Arc<Self>, export: Export) -> Result<Accepted, Problem> {
        let (prepared, _permit) = if export.body.len() <= INLINE_BYTES {
            self.prepare(export)?
        } else {
            let _turn = self.decoding.acquire().await;
            let receiver = Arc::clone(self);
            let prepared = tokio::task::spawn_blocking(move || receiver.prepare(export)).await;
            prepared.unwrap_or_else(|_| Err(Problem::unavailable("the server shuts down")))?
        };
        let accepted = self.inbox.store(prepared).await.map_err(retryable)?;
        self.refused.add_many(accepted.refused);
        Ok(accepted)
    }

    fn prepare(&self, export: Export) -> Result<(Prepared, OwnedSemaphorePermit), Problem> {
        let (body, export) = decompress(export, &self.limits)?;
        let permit = self.reserve(body.len())?;
        let decoded = decode_body(export, &body)?;
        drop(body);
        self.received.add_many(decoded.records.len() as u64);
        self.ignored.add_many(decoded.ignored);
        Ok((self.inbox.prepare(decoded.records), permit))
    }
}

/// The body as it was before it was compressed, and what is in it.
fn decompress(export: Export, limits: &Limits) -> Result<(Bytes, (Signal, Encoding)), Problem> {
    let Export { signal, encoding, compression, body } = export;
    let body = compression.decompress(body, limits.body).map_err(|damaged| match damaged {
        Damaged::TooLarge => too_large(limits),
        Damaged::Invalid => Problem::bad_request("the body cannot be decompressed"),
    })?;
    Ok((body, (signal, encoding)))
}

fn decode_body((signal, encoding): (Signal, Encoding), body: &[u8]) -> Result<Decoded, Problem> {
    let decoded = match (encoding, signal) {
        (Encoding::Protobuf, Signal::Traces) => decode_traces(body),
        (Encoding::Protobuf, Signal::Logs) => decode_logs(body),
        (Encoding::Json, _) => decode_json(body),
    };
    decoded.map_err(|error| Problem::bad_request(error.to_string()))
}

/// Decodes whatever bytes a client sends, as [`Otlp::receive`] does; for fuzzing.
#[cfg(fuzzing)]
pub(crate) fn decode_any(
    is_log: bool,
    is_json: bool,
    compression: &str,
    body: Bytes,
    limit: usize,
) -> Option<Decoded> {
    let export = Export {
        signal: if is_log { Signal::Logs } else { Signal::Traces },
        encoding: if is_json { Encoding::Json } else { Encoding::Protobuf },
        compression: Compression::named(compression)?,
        body,
    };
    let limits = Limits { body: limit, ..Limits::default() };
    let (body, export) = decompress(export, &limits).ok()?;
    assert!(body.len() <= limit, "the limit does not hold");
    decode_body(export, &body).ok()
}

/// An object without fields is a message without spans.
fn decode_json(body: &[u8]) -> Result<Decoded, RecordError> {
    match decode(Format::Otlp, body) {
        Err(RecordError::OtherFormat { .. })
            if body.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}") =>
        {
            Ok(Decoded::default())
        }
        decoded => decoded,
    }
}

pub(super) fn too_large(limits: &Limits) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large").detail(format!(
        "a request has at most {} bytes as it is sent and {} bytes decompressed; send fewer spans in a request",
        limits.encoded_body, limits.body
    ))
}

/// A client drops what it cannot send for any other reason: a failure of the store is none of the request.
fn retryable(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => Problem::unavailable(problem.text()),
        _ => problem,
    }
}
