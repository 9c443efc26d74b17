//! Receives requests of OTLP, whatever the transport.

use std::sync::Arc;
use std::thread::available_parallelism;

use attestry_genai::{Decoded, Format, RecordError, decode, decode_logs, decode_traces};
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::budget::{Budget, Reservation, too_large};
use super::compression::{Compression, Damaged};
use crate::counter::Counter;
use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::inbox::{Accepted, Inbox, Prepared};
use crate::options::Limits;

/// A larger body is decoded on another thread: it takes a millisecond or more. So is one that is compressed: how large
/// it is, is not known before.
const INLINE_BYTES: usize = 64 << 10;

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
    /// What `body` holds of the budget. It goes where the body goes, so that the bytes of a request that is cancelled
    /// are held as long as they are in memory.
    pub(super) reservation: Reservation,
}

/// Receives telemetry.
#[derive(Debug)]
pub(crate) struct Otlp {
    pub(crate) inbox: Arc<Inbox>,
    limits: Limits,
    /// Bytes of bodies that may be held at the same time.
    budget: Budget,
    /// Large bodies that are decoded at the same time: more would only take memory.
    decoding: Arc<Semaphore>,
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
            decoding: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            budget: Budget::new(limits.received_bytes),
            received: Counter::default(),
            ignored: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// The bytes of bodies that may be held at the same time.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Stores the calls of a request. When it returns, everything is durable that is not refused.
    ///
    /// If the future is dropped, some of it may be stored; sent again, it is stored once.
    pub(super) async fn receive(self: &Arc<Self>, export: Export) -> Result<Accepted, Problem> {
        let is_small = export.body.len() <= INLINE_BYTES;
        let (prepared, _reservation) = if is_small && export.compression == Compression::None {
            self.prepare(export)?
        } else {
            let turn = Arc::clone(&self.decoding).acquire_owned().await;
            let receiver = Arc::clone(self);
            let prepare = move || {
                let _turn = turn;
                receiver.prepare(export)
            };
            blocking(prepare).await??
        };
        let accepted = self.inbox.store(prepared).await.map_err(retryable)?;
        self.refused.add_many(accepted.refused);
        Ok(accepted)
    }

    fn prepare(&self, export: Export) -> Result<(Prepared, Reservation), Problem> {
        let Export { signal, encoding, compression, body, mut reservation } = export;
        let body = decompress(compression, body, &self.limits, &mut reservation)?;
        let decoded = decode_body((signal, encoding), &body)?;
        drop(body);
        self.received.add_many(decoded.records.len() as u64);
        self.ignored.add_many(decoded.ignored);
        Ok((self.inbox.prepare(decoded.records), reservation))
    }
}

/// The body as it was before it was compressed. Its bytes are reserved, too: those of a body that is not compressed for
/// what is decoded from it.
fn decompress(
    compression: Compression,
    body: Bytes,
    limits: &Limits,
    reservation: &mut Reservation,
) -> Result<Bytes, Problem> {
    let reserve = |bytes| reservation.grow(bytes);
    compression.decompress(body, limits.body, reserve).map_err(|damaged| match damaged {
        Damaged::TooLarge => too_large(limits),
        Damaged::Invalid => Problem::bad_request("the body cannot be decompressed"),
        Damaged::Unreserved(problem) => problem,
    })
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
    let signal = if is_log { Signal::Logs } else { Signal::Traces };
    let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
    let limits = Limits { body: limit, ..Limits::default() };
    let mut reservation = Budget::new(limits.received_bytes).reserve();
    let compression = Compression::named(compression)?;
    let body = decompress(compression, body, &limits, &mut reservation).ok()?;
    assert!(body.len() <= limit, "the limit does not hold");
    decode_body((signal, encoding), &body).ok()
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

/// A client drops what it cannot send for any other reason: a failure of the store is none of the request.
fn retryable(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => Problem::unavailable(problem.text()),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::runtime::{self, Runtime};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::inbox::InboxSettings;

    async fn receiver(folder: &std::path::Path) -> Arc<Otlp> {
        let logger = attestry::open(folder.join("audit")).await.unwrap();
        let settings = InboxSettings {
            folder: folder.join("inbox"),
            deadline: Duration::from_secs(30),
            bytes: 1 << 20,
        };
        Arc::new(Otlp::new(Inbox::open(logger, settings).await.unwrap(), Limits::default()))
    }

    fn export(receiver: &Otlp, compression: Compression, body: &[u8]) -> Export {
        let mut reservation = receiver.budget().reserve();
        reservation.grow(body.len()).unwrap();
        let body = Bytes::copy_from_slice(body);
        let (signal, encoding) = (Signal::Traces, Encoding::Json);
        Export { signal, encoding, compression, body, reservation }
    }

    /// A runtime with a single thread for blocking work.
    fn runtime() -> Runtime {
        let mut runtime = runtime::Builder::new_current_thread();
        runtime.enable_all().max_blocking_threads(1).build().unwrap()
    }

    /// Keeps the thread for blocking work busy until the sender is dropped.
    fn occupy() -> (mpsc::Sender<()>, JoinHandle<()>) {
        let (end, ended) = mpsc::channel();
        (
            end,
            tokio::task::spawn_blocking(move || {
                let _: Result<(), _> = ended.recv();
            }),
        )
    }

    #[test]
    fn cancelled_request_holds_its_bytes_until_its_work_ends() {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let receiver = receiver(folder.path()).await;
            let free = receiver.budget().free();
            let (end, busy) = occupy();
            for compression in [Compression::Gzip, Compression::None] {
                let body = vec![b' '; INLINE_BYTES + 1];
                let export = export(&receiver, compression, &body);
                assert!(receiver.receive(export).now_or_never().is_none());
            }
            assert!(receiver.budget().free() <= free - 2 * INLINE_BYTES);
            drop(end);
            busy.await.unwrap();
            while receiver.budget().free() < free {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    #[test]
    fn small_compressed_body_is_not_decoded_on_the_thread_of_the_runtime() {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let receiver = receiver(folder.path()).await;
            let (end, busy) = occupy();
            for (compression, waits) in [(Compression::Gzip, true), (Compression::None, false)] {
                let export = export(&receiver, compression, b"damaged");
                assert_eq!(receiver.receive(export).now_or_never().is_none(), waits);
            }
            drop(end);
            busy.await.unwrap();
        });
    }
}
