//! Reads the rest of a body that the server answers without it.
//!
//! A server that closes a connection with unread bytes resets it (RFC 1122, 4.2.2.13), and a client of HTTP/1.1 that
//! still sends its body may never see the answer: neither that it should retry nor that it should not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::Version;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::runtime::Handle;

use crate::options::Limits;
use crate::state::AppState;

/// Bodies up to so many times the limit are read to their end; a client with a larger one finds its connection closed.
const TIMES_LIMIT: usize = 2;

/// Has the rest of the body read and discarded, within the limits, when the request is answered before its end.
pub(crate) async fn discard_rest(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let rest = Rest::of(&request, &state.limits());
    let request = match rest {
        None => request,
        Some(rest) => request.map(|body| Body::new(Discarded { body, rest, has_ended: false })),
    };
    next.run(request).await
}

/// How much of a body is read and discarded, and how long.
#[derive(Debug, Clone, Copy)]
struct Rest {
    bytes: u64,
    time: Duration,
}

impl Rest {
    fn of(request: &Request, limits: &Limits) -> Option<Self> {
        let bytes = limits.encoded_body.saturating_mul(TIMES_LIMIT) as u64;
        // A stream of HTTP/2 ends alone, and a client that expects 100 sends nothing until it is asked to.
        let is_read = request.version() < Version::HTTP_2
            && !request.headers().contains_key(EXPECT)
            && !request.body().is_end_stream()
            && request.body().size_hint().lower() <= bytes;
        is_read.then_some(Self { bytes, time: limits.receive })
    }
}

/// A body whose rest is read when it is dropped.
struct Discarded {
    body: Body,
    rest: Rest,
    /// Of a body of unknown length only its last frame says so.
    has_ended: bool,
}

impl HttpBody for Discarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.has_ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Discarded {
    fn drop(&mut self) {
        if self.has_ended || self.body.is_end_stream() {
            return;
        }
        let (body, rest) = (std::mem::take(&mut self.body), self.rest);
        // The task ends with the connection, or after the time that any body may take.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(rest.time, read(body, rest.bytes)));
        }
    }
}

async fn read(mut body: Body, limit: u64) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > limit {
            return;
        }
    }
}
