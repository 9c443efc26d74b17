//! Limits the number of requests that are answered at the same time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::state::AppState;

/// Answers 503 at once where too many requests are being answered: a client retries elsewhere or later, and
/// memory stays bounded.
pub(crate) async fn limit_requests(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    match state.requests.try_acquire() {
        Ok(_running) => next.run(request).await,
        Err(_) => {
            state.refused_requests.add();
            Problem::unavailable("too many requests are being answered").into_response()
        }
    }
}
