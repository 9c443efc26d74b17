//! OTLP over gRPC: `TraceService/Export` and `LogsService/Export`.
//!
//! The frame of a message is read here, not by tonic: its decoder holds and decompresses messages without regard to the
//! budget of bytes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tonic::{Code, Status};

use super::budget;
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

const STATUS: &str = "grpc-status";
const ENCODING: &str = "grpc-encoding";
const ACCEPTED: &str = "grpc-accept-encoding";
/// Whether a message is compressed, and its length in four bytes.
const PREFIX: usize = 5;

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
    match answer(state, signal, request).await {
        Ok(message) => accept(&message),
        Err(problem) => refuse(&problem),
    }
}

/// The message of the response.
async fn answer(
    state: &Arc<AppState>,
    signal: Signal,
    request: Request,
) -> Result<Vec<u8>, Problem> {
    let address = request.extensions().get().map(|ClientAddress(address)| *address);
    let caller: Caller = identify(state, request.headers(), address).await?;
    caller.require(Role::Record)?;
    let receiver = receiver(state)?;
    let compression = compression(request.headers())?;
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let (body, reservation) =
        budget::read(request.into_body(), length, &state.limits(), receiver.budget()).await?;
    let (is_compressed, body) = message(&body)?;
    let compression = if is_compressed { compression } else { Compression::None };
    let encoding = Encoding::Protobuf;
    let export = Export { signal, encoding, compression, body, reservation };
    let accepted = state.note_write(receiver.receive(export).await)?;
    Ok(response::protobuf(&accepted))
}

/// How compressed messages of the request are compressed.
fn compression(headers: &HeaderMap) -> Result<Compression, Problem> {
    match headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Compression::None),
        Some(b"gzip") => Ok(Compression::Gzip),
        Some(_) => Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unsupported-encoding")
            .detail("compress with gzip, or not at all")),
    }
}

/// The one message in `body`, and whether it is compressed.
fn message(body: &Bytes) -> Result<(bool, Bytes), Problem> {
    let framed = || {
        let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
        let [flag, length @ ..] = *prefix;
        let is_whole = flag <= 1 && u32::from_be_bytes(length) as usize == message.len();
        is_whole.then(|| (flag == 1, body.slice(PREFIX..)))
    };
    framed().ok_or_else(|| Problem::bad_request("the body is not one message of gRPC"))
}

fn accept(message: &[u8]) -> Response {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static(STATUS),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn refuse(problem: &Problem) -> Response {
    let code = Code::from_i32(response::rpc_code(problem.status()));
    let details = response::protobuf_status(problem);
    let mut response = Status::with_details(code, problem.text(), details.into()).into_http();
    response.headers_mut().insert(ACCEPTED, HeaderValue::from_static("identity,gzip"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_one_message() {
        let framed = |bytes: &[u8]| message(&Bytes::copy_from_slice(bytes)).ok();
        assert_eq!(framed(b"\0\0\0\0\x02ab"), Some((false, Bytes::from("ab"))));
        assert_eq!(framed(b"\x01\0\0\0\0"), Some((true, Bytes::new())));
        for wrong in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab", b"\x02\0\0\0\0"]
        {
            assert_eq!(framed(wrong), None, "{wrong:?}");
        }
    }
}
