//! OTLP over HTTP: `POST /v1/traces` and `POST /v1/logs`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::budget;
use super::compression::Compression;
use super::receiver::{Encoding, Export, Otlp, Signal};
use super::response;
use crate::api::schema::Binary;
use crate::http::body::has_type;
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Spans of OpenTelemetry, as OTLP has them
///
/// Those of calls are on stable storage before the answer; parts of one call are joined into one entry.
#[utoipa::path(
    post,
    path = "/v1/traces",
    tag = "telemetry",
    operation_id = "traces",
    request_body(content((Binary = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses((status = 200, description = "An export response, with `partial_success` for what is refused.",
        content((Binary = "application/x-protobuf"), (serde_json::Value = "application/json")))),
    security(("token" = ["record"]))
)]
pub(crate) async fn traces(
    state: State<Arc<AppState>>,
    caller: Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    receive(&state, &caller, Signal::Traces, &headers, body).await
}

/// Log records of OpenTelemetry, as OTLP has them
///
/// Those of calls are on stable storage before the answer; parts of one call are joined into one entry.
#[utoipa::path(
    post,
    path = "/v1/logs",
    tag = "telemetry",
    operation_id = "logs",
    request_body(content((Binary = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses((status = 200, description = "An export response, with `partial_success` for what is refused.",
        content((Binary = "application/x-protobuf"), (serde_json::Value = "application/json")))),
    security(("token" = ["record"]))
)]
pub(crate) async fn logs(
    state: State<Arc<AppState>>,
    caller: Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    receive(&state, &caller, Signal::Logs, &headers, body).await
}

async fn receive(
    state: &AppState,
    caller: &Caller,
    signal: Signal,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(Role::Record)?;
    let receiver = receiver(state)?;
    let encoding = encoding(headers).ok_or_else(|| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type")
            .detail(format!("send {PROTOBUF} or {JSON}"))
    })?;
    let named = headers.get(CONTENT_ENCODING).map_or(Ok(""), HeaderValue::to_str);
    let compression = named.ok().and_then(Compression::named).ok_or_else(|| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding")
            .detail("compress with gzip, deflate or zstd, or not at all")
    })?;
    let limits = state.limits();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let (body, reservation) = budget::read(body, length, &limits, receiver.budget()).await?;
    let export = Export { signal, encoding, compression, body, reservation };
    let accepted = state.note_write(receiver.receive(export).await)?;
    Ok(match encoding {
        Encoding::Protobuf => {
            ([(CONTENT_TYPE, PROTOBUF)], response::protobuf(&accepted)).into_response()
        }
        Encoding::Json => {
            let json = response::json(&accepted, signal).to_string();
            ([(CONTENT_TYPE, JSON)], json).into_response()
        }
    })
}

/// The receiver, if the server has one.
pub(super) fn receiver(state: &AppState) -> Result<&Arc<Otlp>, Problem> {
    state.otlp.as_ref().ok_or_else(|| {
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no-inbox").detail(
            "this server receives no telemetry: its store is read-only, or it is not of files and has no folder for an inbox (--inbox)",
        )
    })
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    match () {
        () if has_type(headers, PROTOBUF) => Some(Encoding::Protobuf),
        () if has_type(headers, JSON) => Some(Encoding::Json),
        () => None,
    }
}

/// Errors of OTLP have the form `google.rpc.Status`, in the encoding of the request.
pub(crate) async fn errors_as_status(request: Request, next: Next) -> Response {
    let encoding = encoding(request.headers());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let (content_type, body) = match encoding {
        Some(Encoding::Json) => (JSON, response::json_status(&problem).to_string().into_bytes()),
        Some(Encoding::Protobuf) => (PROTOBUF, response::protobuf_status(&problem)),
        // Of a client that speaks neither.
        None => return response,
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
    response
}
