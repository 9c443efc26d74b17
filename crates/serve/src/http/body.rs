//! Reads the body of a request as a whole, within the limits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::problem::Problem;
use crate::state::AppState;

/// The body of a request, decompressed.
pub(crate) struct WholeBody(pub(crate) Bytes);

impl FromRequest<Arc<AppState>> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self, Problem> {
        let limits = state.limits();
        let too_large = || {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large")
                .detail(format!(
                    "a body has at most {} bytes as it is sent and {} bytes decompressed; send fewer entries in a request",
                    limits.encoded_body, limits.body
                ))
        };
        read_whole(request.into_body(), limits.body, limits.receive, too_large).await.map(Self)
    }
}

/// Reads `body` as a whole: at most `limit` bytes, within `time`.
pub(crate) async fn read_whole(
    body: Body,
    limit: usize,
    time: Duration,
    too_large: impl FnOnce() -> Problem,
) -> Result<Bytes, Problem> {
    let read = axum::body::to_bytes(body, limit);
    match tokio::time::timeout(time, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(too_large()),
        Ok(Err(_)) => {
            Err(Problem::bad_request("the body could not be read: it is incomplete or damaged"))
        }
        Err(_elapsed) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout")
            .detail(format!("the body took longer than {} s", time.as_secs()))),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Whether the request has this media type. Parameters, such as a character set, are ignored.
pub(crate) fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(media_type))
}
