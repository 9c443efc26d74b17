//! `GET /v1/entries/{id}/proof`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::Uri;

use crate::http::problem::Problem;
use crate::read::proof::prove;
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;

/// The inclusion proof of an entry, as C2SP tlog-proof prescribes
#[utoipa::path(
    get,
    path = "/v1/entries/{id}/proof",
    tag = "evidence",
    operation_id = "prove",
    params(("id" = String, Path)),
    responses((status = 200, description = "The proof.", body = String, content_type = "text/plain")),
    security(("token" = ["read"]))
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<String, Problem> {
    let proven = prove(&state, &caller, &id, &request(&uri)).await?;
    Ok(proven.proof.to_string())
}
