//! A line of the log for each request. Neither query strings nor headers are in it: they may hold texts and tokens.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Logs each answer: those with a failure of the server as warnings, the others for debugging.
pub(crate) async fn log_requests(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    if status >= 500 {
        tracing::warn!(%method, path, status, seconds, "answered");
    } else {
        tracing::debug!(%method, path, status, seconds, "answered");
    }
    response
}
