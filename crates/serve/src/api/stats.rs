//! `GET /v1/stats`: entries summarised in groups.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use attestry::stats::{GroupKey, Percentile, Statistics};
use attestry::{AuditEntry, Phase, Query, StorageError, metadata};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::Uri;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::entries::JSON;
use super::schema::{Conditions, Grouping};
use crate::access_log::Action;
use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;
use crate::read::content::require_for_conditions;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// Bound the memory of one request.
const MAX_GROUPS: usize = 10_000;
const MAX_KEYS: usize = 8;
const MAX_PERCENTILES: usize = 16;
const MAX_VALUE_BYTES: usize = 1024;
/// Of the values of all groups.
const MAX_GROUP_BYTES: usize = 16 << 20;
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
) -> Result<Response, Problem> {
    caller.require(Role::Read)?;
    let selecting = Parameters::selecting(Query::new().phase(Phase::Latest));
    let parameters = selecting.parse_more(&uri, &["by", "percentile"])?;
    parameters.must_only_select()?;
    let by = list(&parameters, "by", &[GroupKey::Provider, GroupKey::Model], MAX_KEYS)?;
    let percentiles = list(&parameters, "percentile", &Percentile::USUAL, MAX_PERCENTILES)?;
    require_for_conditions(&caller, &parameters.query)?;
    if by.contains(&GroupKey::Metadata(metadata::OTHER.to_owned())) {
        caller.require(Role::Content)?;
    }
    parameters.query.validate().map_err(StorageError::from)?;
    let mut statistics = Statistics::new(by.iter().cloned());
    let mut unreadable: Vec<String> = Vec::new();
    let mut access = state.begin_access(&caller, Action::Summarise, &request(&uri)).await?;
    let mut found = state.logger.query(parameters.query);
    let (mut count, mut group_bytes) = (0, 0);
    while let Some(entry) = found.next().await {
        match entry {
            Ok(mut entry) => {
                let groups = statistics.groups().len();
                let bytes = cut_values(&mut entry, &by);
                statistics.add(&entry);
                if statistics.groups().len() > groups {
                    group_bytes += bytes;
                }
            }
            Err(StorageError::Corrupt(record)) if unreadable.len() < MAX_NAMED => {
                unreadable.push(record.to_string());
            }
            Err(StorageError::Corrupt(_)) => {}
            Err(error) => return Err(error.into()),
        }
        count += 1;
        access.set_count(count);
        if statistics.groups().len() > MAX_GROUPS || group_bytes > MAX_GROUP_BYTES {
            return Err(Problem::bad_request(format!(
                "by: there are more than {MAX_GROUPS} groups, or their values have more than {MAX_GROUP_BYTES} \
                 bytes; choose other keys, or add conditions"
            )));
        }
    }
    access.finish().await?;
    let encode = move || {
        let mut json = statistics.to_json(&percentiles, |time| time.to_string());
        json["unreadable"] = unreadable.into();
        json.to_string()
    };
    // Many groups take long.
    let encoded = blocking(encode).await?;
    Ok(([(CONTENT_TYPE, JSON)], encoded).into_response())
}

/// The distinct values of a parameter, separated by commas: at most `limit`.
fn list<T: FromStr<Err: Display> + Clone + PartialEq>(
    parameters: &Parameters,
    key: &str,
    default: &[T],
    limit: usize,
) -> Result<Vec<T>, Problem> {
    let Some(text) = parameters.extra(key) else { return Ok(default.to_vec()) };
    let mut values = Vec::new();
    for value in text.split(',') {
        let value =
            value.parse().map_err(|error| Problem::bad_request(format!("{key}: {error}")))?;
        if !values.contains(&value) {
            values.push(value);
        }
        if values.len() > limit {
            return Err(Problem::bad_request(format!("{key}: there are more than {limit}")));
        }
    }
    Ok(values)
}

/// Cuts the values that `entry` has for the keys; returns how many bytes they have then.
fn cut_values(entry: &mut AuditEntry, by: &[GroupKey]) -> usize {
    let mut bytes = 0;
    for key in by {
        bytes += match key {
            GroupKey::Provider => entry.provider.as_mut().map_or(0, cut),
            GroupKey::Model => entry.model.as_mut().map_or(0, cut),
            GroupKey::Conversation => entry.conversation_id.as_mut().map_or(0, cut),
            GroupKey::Metadata(key) => entry.metadata.get_mut(key).map_or(0, |value| {
                if let Value::Array(_) | Value::Object(_) = value {
                    *value = value.to_string().into();
                }
                if let Value::String(text) = value { cut(text) } else { 0 }
            }),
            // These are short.
            _ => 0,
        };
    }
    bytes
}

/// Cuts `text` after [`MAX_VALUE_BYTES`]; returns its length.
fn cut(text: &mut String) -> usize {
    if text.len() > MAX_VALUE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text.len()
}
