//! `GET /v1/entries` and `GET /v1/entries/{id}`.

use std::sync::Arc;

use attestry::{Query, StorageError};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Uri};
use serde_json::json;

use super::schema::{Conditions, Decryption, Entry, Page, Paging};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;
use crate::read::content::{Shown, require_for_conditions};
use crate::read::lines::{Form, encoded, lines};
use crate::read::{NDJSON, request};
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

pub(super) const JSON: &str = "application/json";
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// One entry
#[utoipa::path(
    get,
    path = "/v1/entries/{id}",
    tag = "entries",
    operation_id = "get",
    params(("id" = String, Path), Decryption),
    responses((status = 200, description = "The entry.", body = Entry)),
    security(("token" = ["read"]))
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(Role::Read)?;
    let parameters = Parameters::parse(&uri)?;
    if parameters.query != Query::new() {
        return Err(Problem::bad_request("one entry takes no parameter but decrypt"));
    }
    let shown = Shown::to(&caller, parameters.decrypt)?;
    let entry = state.logger.get_entry(id.as_str()).await?;
    let found = u64::from(entry.is_some());
    let action = if shown == Shown::Decrypted { Action::Decrypt } else { Action::Read };
    state.record_access(&caller, action, &request(&uri), Some(found)).await?;
    let entry = entry.ok_or_else(|| Problem::not_found(format!("there is no entry {id}")))?;
    let entry = shown.apply(&state.logger, entry)?;
    Ok(([(CONTENT_TYPE, JSON)], encoded(&entry)?).into_response())
}

/// Entries that match conditions
///
/// A page of entries as JSON, or with `Accept: application/x-ndjson` all of them as lines.
#[utoipa::path(
    get,
    path = "/v1/entries",
    tag = "entries",
    operation_id = "list",
    params(Conditions, Paging, Decryption),
    responses((status = 200, description = "The entries.",
        content((Page = "application/json"), (String = "application/x-ndjson")))),
    security(("token" = ["read"]))
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Role::Read)?;
    let Parameters { query, decrypt, dry_run, reason, .. } = Parameters::parse(&uri)?;
    if dry_run || reason.is_some() {
        return Err(Problem::bad_request("dry_run and reason are parameters of DELETE"));
    }
    require_for_conditions(&caller, &query)?;
    let shown = Shown::to(&caller, decrypt)?;
    if wants_lines(&headers) {
        query.validate().map_err(StorageError::from)?;
        let action = if shown == Shown::Decrypted { Action::Decrypt } else { Action::Export };
        let access = state.begin_access(&caller, action, &request(&uri)).await?;
        let lines = lines(state, query, shown, Form::Json, access);
        return Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response());
    }
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit: a page has 1 to {MAX_PAGE} entries; for more, send Accept: {NDJSON}"
        )));
    }
    let page = state.logger.page(query.limit(limit)).await?;
    let action = if shown == Shown::Decrypted { Action::Decrypt } else { Action::List };
    let count = page.entries.len() as u64;
    state.record_access(&caller, action, &request(&uri), Some(count)).await?;
    let mut body = b"{\"entries\":[".to_vec();
    for (number, entry) in page.entries.into_iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend(encoded(&shown.apply(&state.logger, entry)?)?);
    }
    let unreadable: Vec<_> = page.corrupt.iter().map(ToString::to_string).collect();
    let rest = json!({ "next": page.next, "unreadable": unreadable }).to_string();
    body.extend_from_slice(b"],");
    body.extend_from_slice(&rest.as_bytes()[1..]);
    Ok(([(CONTENT_TYPE, JSON)], body).into_response())
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or("");
    accepted.split(',').any(|given| given.split(';').next().is_some_and(|t| t.trim() == NDJSON))
}
