//! `DELETE /v1/entries` and `DELETE /v1/entries/{id}`.

use std::sync::Arc;

use attestry::evidence::EvidenceExt as _;
use attestry::{AuditError, EntryId, Query};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::Uri;
use serde_json::{Value, json};

use super::schema::{Conditions, Erased, Erasing, Trying};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// Entries that are selected before they are erased.
const BATCH: usize = 1000;
/// Records in a response at most that could not be read.
const MAX_NAMED: usize = 20;

/// Erases one entry
#[utoipa::path(
    delete,
    path = "/v1/entries/{id}",
    tag = "entries",
    operation_id = "erase",
    params(("id" = String, Path), Erasing),
    responses((status = 200, description = "It was erased.", body = Erased)),
    security(("token" = ["admin"]))
)]
pub(super) async fn delete(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Admin)?;
    let parameters = Parameters::parse(&uri)?;
    if parameters.query != Query::new() || parameters.decrypt || parameters.dry_run {
        return Err(Problem::bad_request("one entry takes no parameter but reason"));
    }
    let reason = reason(&parameters)?;
    let id: EntryId = id.parse().map_err(AuditError::from)?;
    let mut access = state.begin_access(&caller, Action::Delete, &request(&uri)).await?;
    let erased = erase(&state, &id, &reason, &caller).await?;
    state.overview.forget();
    access.set_count(u64::from(erased));
    access.finish().await?;
    if erased {
        Ok(Json(json!({ "erased": 1 })))
    } else {
        Err(Problem::not_found(format!("there is no entry {id}")))
    }
}

/// Erases the entries that match conditions
///
/// Needs at least one condition.
#[utoipa::path(
    delete,
    path = "/v1/entries",
    tag = "entries",
    operation_id = "erase_matching",
    params(Conditions, Erasing, Trying),
    responses((status = 200, description = "They were erased.", body = Erased)),
    security(("token" = ["admin"]))
)]
pub(super) async fn delete_matching(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Admin)?;
    let parameters = Parameters::parse(&uri)?;
    if parameters.query == Query::new() {
        return Err(Problem::bad_request(
            "give at least one condition, such as metadata=user.id=u-17",
        ));
    }
    let reason = if parameters.dry_run { String::new() } else { reason(&parameters)? };
    let mut access = state.begin_access(&caller, Action::Delete, &request(&uri)).await?;
    let (mut erased, mut unreadable) = (0_u64, Vec::new());
    let mut query = parameters.query.limit(BATCH);
    loop {
        let page = state.logger.page(query.clone()).await?;
        unreadable.extend(page.corrupt.iter().take(MAX_NAMED).map(ToString::to_string));
        for entry in &page.entries {
            if parameters.dry_run || erase(&state, &entry.id, &reason, &caller).await? {
                erased += 1;
                access.set_count(erased);
            }
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    state.overview.forget();
    access.finish().await?;
    unreadable.truncate(MAX_NAMED);
    let key = if parameters.dry_run { "selected" } else { "erased" };
    Ok(Json(json!({ key: erased, "unreadable": unreadable })))
}

fn reason(parameters: &Parameters) -> Result<String, Problem> {
    parameters.reason.clone().filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
        Problem::bad_request("reason: say why, such as reason=request%204711; it is kept on record")
    })
}

/// Erases an entry; a file store with evidence keeps reason and name.
async fn erase(
    state: &AppState,
    id: &EntryId,
    reason: &str,
    caller: &Caller,
) -> Result<bool, Problem> {
    Ok(match state.logger.evidence() {
        Ok(store) => store.delete_because(id, reason, &caller.name).await?,
        Err(_) => state.logger.storage().delete(id).await?,
    })
}
