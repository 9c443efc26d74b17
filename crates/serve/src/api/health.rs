//! `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::extract::State;

use crate::http::problem::Problem;
use crate::state::AppState;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests should be sent here.
pub(super) async fn ready(State(state): State<Arc<AppState>>) -> Result<&'static str, Problem> {
    match state.not_ready() {
        None => Ok("ready\n"),
        Some(reason) => Err(Problem::unavailable(reason)),
    }
}
