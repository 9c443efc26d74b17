//! `GET /v1/stats`: entries summarised in groups.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use attestry::stats::{GroupKey, Percentile, Statistics};
use attestry::{Phase, Query, StorageError};
use axum::extract::State;
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use http::Uri;
use serde_json::Value;

use super::entries::request;
use super::schema::{Conditions, Grouping};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// Bounds the memory of one request.
const MAX_GROUPS: usize = 10_000;
/// Records in a response at most that could not be read.
const MAX_NAMED: usize = 20;

/// Summaries of the entries that match conditions
///
/// Each call counts once, unless `phase` says otherwise.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "entries",
    operation_id = "stats",
    params(Conditions, Grouping),
    responses((status = 200, description = "The summaries.", body = super::schema::Statistics)),
    security(("token" = ["read"]))
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Read)?;
    let selecting = Parameters::selecting(Query::new().phase(Phase::Latest));
    let parameters = selecting.parse_more(&uri, &["by", "percentile"])?;
    parameters.must_only_select()?;
    let by = list(&parameters, "by", &[GroupKey::Provider, GroupKey::Model])?;
    let percentiles = list(&parameters, "percentile", &Percentile::USUAL)?;
    parameters.query.validate().map_err(StorageError::from)?;
    let mut statistics = Statistics::new(by);
    let mut unreadable: Vec<String> = Vec::new();
    let mut access = state.begin_access(&caller, Action::Summarise, &request(&uri)).await?;
    let mut found = state.logger.query(parameters.query);
    let mut count = 0;
    while let Some(entry) = found.next().await {
        match entry {
            Ok(entry) => statistics.add(&entry),
            Err(StorageError::Corrupt(record)) if unreadable.len() < MAX_NAMED => {
                unreadable.push(record.to_string());
            }
            Err(StorageError::Corrupt(_)) => {}
            Err(error) => return Err(error.into()),
        }
        count += 1;
        access.set_count(count);
        if statistics.groups().len() > MAX_GROUPS {
            return Err(Problem::bad_request(format!(
                "by: there are more than {MAX_GROUPS} groups; choose other keys, or add conditions"
            )));
        }
    }
    access.finish().await?;
    let mut json = statistics.to_json(&percentiles, |time| time.to_string());
    json["unreadable"] = unreadable.into();
    Ok(Json(json))
}

/// The values of a parameter, separated by commas.
fn list<T: FromStr<Err: Display> + Clone>(
    parameters: &Parameters,
    key: &str,
    default: &[T],
) -> Result<Vec<T>, Problem> {
    let Some(text) = parameters.extra(key) else { return Ok(default.to_vec()) };
    let invalid = |error: T::Err| Problem::bad_request(format!("{key}: {error}"));
    text.split(',').map(|value| value.parse().map_err(invalid)).collect()
}
