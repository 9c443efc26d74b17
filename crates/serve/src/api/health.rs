//! `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::extract::State;

use crate::http::problem::Problem;
use crate::state::AppState;

/// The process answers
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    operation_id = "alive",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests should be sent here
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    operation_id = "ready",
    responses((status = 200, description = "They should.", body = String, content_type = "text/plain"))
)]
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Result<&'static str, Problem> {
    match state.not_ready() {
        None if state.signing.fails(&state.logger) => Ok(
            "ready\nwarning: the checkpoint that is due cannot be signed; see the log of the server\n",
        ),
        None => Ok("ready\n"),
        Some(reason) => Err(Problem::unavailable(reason)),
    }
}
