//! Responses of OTLP, in protobuf and JSON.

use http::StatusCode;
use prost::Message;
use serde_json::{Value, json};

use super::receiver::Signal;
use crate::http::problem::{Problem, RETRY_SECONDS};
use crate::inbox::Accepted;

/// `ExportTraceServiceResponse` and `ExportLogsServiceResponse`, whose fields have the same numbers.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// A successful response in protobuf.
pub(super) fn protobuf(accepted: &Accepted) -> Vec<u8> {
    let partial_success = (accepted.refused > 0).then(|| PartialSuccess {
        rejected: i64::try_from(accepted.refused).unwrap_or(i64::MAX),
        error_message: reasons(accepted),
    });
    ExportResponse { partial_success }.encode_to_vec()
}

/// A successful response in JSON.
pub(super) fn json(accepted: &Accepted, signal: Signal) -> Value {
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
    };
    match accepted.refused {
        0 => json!({}),
        refused => json!({"partialSuccess":
            {rejected: refused.to_string(), "errorMessage": reasons(accepted)}}),
    }
}

fn reasons(accepted: &Accepted) -> String {
    accepted.reasons.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// The problem as `google.rpc.Status` in protobuf; with the time after which to retry, if that helps.
pub(super) fn protobuf_status(problem: &Problem) -> Vec<u8> {
    let retry = problem.is_retryable().then(|| Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo { delay: Some(Delay { seconds: RETRY_SECONDS.into() }) }.encode_to_vec(),
    });
    RpcStatus {
        code: rpc_code(problem.status()),
        message: problem.text().to_owned(),
        details: retry.into_iter().collect(),
    }
    .encode_to_vec()
}

/// The problem as `google.rpc.Status` in JSON.
pub(super) fn json_status(problem: &Problem) -> Value {
    json!({"code": rpc_code(problem.status()), "message": problem.text()})
}

/// The code of `google.rpc.Code`.
pub(super) fn rpc_code(status: StatusCode) -> i32 {
    match status.as_u16() {
        401 => 16,             // UNAUTHENTICATED
        403 => 7,              // PERMISSION_DENIED
        408 => 4,              // DEADLINE_EXCEEDED
        413 => 8,              // RESOURCE_EXHAUSTED
        404 | 405 | 501 => 12, // UNIMPLEMENTED
        400..=499 => 3,        // INVALID_ARGUMENT
        _ => 14,               // UNAVAILABLE
    }
}
