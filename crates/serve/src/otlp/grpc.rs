//! OTLP over gRPC: `TraceService/Export` and `LogsService/Export`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic::{Code, Status};

use super::compression::Compression;
use super::http::receiver;
use super::receiver::{Encoding, Export, Signal};
use super::response;
use crate::http::problem::Problem;
use crate::security::authenticate::identify;
use crate::security::caller::{Caller, ClientAddress};
use crate::security::role::Role;
use crate::state::AppState;

pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(crate) const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Memory that is set aside for a request of unknown length until it is there.
const UNKNOWN_LENGTH: usize = 1 << 20;
const STATUS: &str = "grpc-status";

pub(crate) async fn traces(state: State<Arc<AppState>>, request: Request) -> Response {
    export(&state, Signal::Traces, request).await
}

pub(crate) async fn logs(state: State<Arc<AppState>>, request: Request) -> Response {
    export(&state, Signal::Logs, request).await
}

/// Any other method.
pub(crate) async fn unknown() -> Response {
    Status::unimplemented("this server has the methods Export of TraceService and LogsService")
        .into_http()
}

async fn export(state: &Arc<AppState>, signal: Signal, request: Request) -> Response {
    let Ok(_running) = state.requests.try_acquire() else {
        state.refused_requests.add();
        return refuse(&Problem::unavailable("too many requests are being answered"));
    };
    let limits = state.limits();
    let address = request.extensions().get().map(|ClientAddress(address)| *address);
    let _permit = match admit(state, request.headers(), address).await {
        Ok(permit) => permit,
        Err(problem) => return refuse(&problem),
    };
    let service = tower::service_fn(|request: tonic::Request<Bytes>| async move {
        let export = Export {
            signal,
            encoding: Encoding::Protobuf,
            // The message has been decompressed.
            compression: Compression::None,
            body: request.into_inner(),
        };
        let receiver = receiver(state).map_err(|problem| status(&problem))?;
        let accepted = state.note_write(receiver.receive(export).await);
        let accepted = accepted.map_err(|problem| status(&problem))?;
        Ok(tonic::Response::new(response::protobuf(&accepted)))
    });
    let mut grpc = Grpc::new(BytesCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limits.body);
    let answered = tokio::time::timeout(limits.receive, grpc.unary(service, request)).await;
    let Ok(answered) = answered else {
        return Status::deadline_exceeded("the request took too long").into_http();
    };
    let mut answered = answered.map(Body::new);
    // For a message that is too long, as other implementations say it.
    if answered.headers().get(STATUS).is_some_and(|code| code == "11") {
        answered.headers_mut().insert(STATUS, HeaderValue::from_static("8"));
    }
    answered
}

/// Checks the client before its message is read.
async fn admit(
    state: &AppState,
    headers: &HeaderMap,
    address: Option<SocketAddr>,
) -> Result<OwnedSemaphorePermit, Problem> {
    let caller: Caller = identify(state, headers, address).await?;
    caller.require(Role::Record)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    receiver(state)?.reserve(length.unwrap_or(UNKNOWN_LENGTH))
}

fn refuse(problem: &Problem) -> Response {
    status(problem).into_http()
}

fn status(problem: &Problem) -> Status {
    let code = Code::from_i32(response::rpc_code(problem.status()));
    let details = response::protobuf_status(problem);
    Status::with_details(code, problem.text(), details.into())
}

/// Messages as bytes: they are decoded as those of HTTP.
#[derive(Debug, Clone, Copy)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
