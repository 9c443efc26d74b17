//! `GET /v1/entries/{id}/proof`.

use std::sync::Arc;

use attestry::EntryId;
use attestry::evidence::EvidenceExt as _;
use axum::Extension;
use axum::extract::{Path, State};
use http::Uri;

use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
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
    caller.require(Role::Read)?;
    let id: EntryId = id.parse().map_err(attestry::AuditError::from)?;
    let proven = state.logger.evidence()?.inclusion_proof(&id).await?;
    let found = u64::from(proven.is_some());
    state.record_access(&caller, Action::Prove, &request(&uri), Some(found)).await?;
    let proven = proven.ok_or_else(|| {
        Problem::not_found(format!("there is no entry {id} that a checkpoint covers"))
    })?;
    Ok(proven.proof.to_string())
}
