//! `POST /v1/entries`: records one interaction, or one a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use attestry::{AuditEntry, AuditLogger, ErrorChain, Interaction, StorageError};
use attestry_genai::interaction_from_json;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::schema::Stored;
use crate::http::blocking::blocking;
use crate::http::body::{WholeBody, has_type};
use crate::http::problem::Problem;
use crate::read::NDJSON;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// A larger body is hashed on another thread: it takes a millisecond or more.
const INLINE_BYTES: usize = 256 << 10;
/// Lines that a problem names at most.
const MAX_NAMED: usize = 20;

/// An interaction that is ready to be stored.
struct Prepared {
    entry: AuditEntry,
    has_id: bool,
    dated_now: bool,
}

/// What became of an interaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    New,
    /// The same interaction is stored under its id.
    Present,
    /// Another one is.
    Differs,
}

/// Records one interaction, or one a line
///
/// Lines are stored together; if one is refused, nothing is stored. With ids of the client the request can be repeated.
#[utoipa::path(
    post,
    path = "/v1/entries",
    tag = "entries",
    operation_id = "record",
    request_body(content((super::schema::Interaction = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 201, description = "It is on stable storage.", body = Stored),
        (status = 200, description = "It was stored before; or a line for each line.",
         content((Stored = "application/json"), (String = "application/x-ndjson"))),
    ),
    security(("token" = ["record"]))
)]
pub(super) async fn post(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    caller.require(Role::Record)?;
    let by_line = match () {
        () if has_type(&headers, NDJSON) => true,
        () if has_type(&headers, "application/json") => false,
        () => {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type")
                .detail(format!(
                    "send one interaction as application/json, or one a line as {NDJSON}"
                )));
        }
    };
    let prepared = prepare(&state.logger, body, by_line).await?;
    let stored = store(&state.logger, &prepared).await;
    let outcomes = state.note_write(stored)?;
    let new = outcomes.iter().filter(|outcome| **outcome == Outcome::New).count();
    state.recorded_entries.add_many(new as u64);
    let answers = || prepared.iter().zip(&outcomes).map(|(given, outcome)| answer(given, *outcome));
    if outcomes.contains(&Outcome::Differs) {
        let detail = "another interaction is stored under the id; entries are never replaced. All others are stored";
        return Err(Problem::new(StatusCode::CONFLICT, "already-exists")
            .detail(detail)
            .with("entries", answers().collect::<Vec<_>>()));
    }
    if by_line {
        let lines: String = answers().map(|answer| format!("{answer}\n")).collect();
        return Ok(([(CONTENT_TYPE, NDJSON)], lines).into_response());
    }
    let (Some(one), Some(outcome)) = (prepared.first(), outcomes.first()) else {
        return Err(Problem::bad_request("the body is empty"));
    };
    let status = if *outcome == Outcome::New { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(LOCATION, format!("/v1/entries/{}", escaped(one.entry.id.as_str())))];
    Ok((status, location, axum::Json(answer(one, *outcome))).into_response())
}

/// An id as a segment of a path.
fn escaped(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
}

fn answer(given: &Prepared, outcome: Outcome) -> Value {
    let id = given.entry.id.as_str();
    match outcome {
        Outcome::New => json!({ "id": id }),
        Outcome::Present => json!({ "id": id, "present": true }),
        Outcome::Differs => json!({ "id": id, "present": true, "differs": true }),
    }
}

/// Parses and hashes all interactions. If one is refused, none is stored.
async fn prepare(
    logger: &AuditLogger,
    body: Bytes,
    by_line: bool,
) -> Result<Vec<Prepared>, Problem> {
    if body.len() <= INLINE_BYTES {
        return prepare_now(logger, &body, by_line);
    }
    let logger = logger.clone();
    blocking(move || prepare_now(&logger, &body, by_line)).await?
}

fn prepare_now(logger: &AuditLogger, body: &[u8], by_line: bool) -> Result<Vec<Prepared>, Problem> {
    if !by_line {
        return match prepare_one(logger, body) {
            Ok(prepared) => Ok(vec![prepared]),
            Err(reason) => Err(refused(reason)),
        };
    }
    let mut prepared = Vec::new();
    let mut errors = Vec::new();
    for (number, line) in (1_u64..).zip(body.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match prepare_one(logger, line) {
            Ok(one) => prepared.push(one),
            Err(reason) => errors.push((number, reason)),
        }
    }
    if errors.is_empty() {
        return Ok(prepared);
    }
    let named: Vec<_> = errors
        .iter()
        .take(MAX_NAMED)
        .map(|(line, reason)| json!({ "line": line, "detail": reason }))
        .collect();
    let detail = format!("{} lines are refused, and nothing was stored", errors.len());
    Err(refused(detail).with("errors", named))
}

fn refused(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-interaction").detail(detail)
}

fn prepare_one(logger: &AuditLogger, json: &[u8]) -> Result<Prepared, String> {
    let interaction = match Interaction::from_json(json) {
        Ok(interaction) => interaction,
        // An import takes that for a call that failed; here it is a mistake. `null` says that there is none.
        Err(error) if lacks_output(json) => return Err(error.to_string()),
        Err(_) => interaction_from_json(json).map_err(|error| error.reason)?,
    };
    let has_id = interaction.given_id().is_some();
    let dated_now = interaction.given_timestamp().is_none();
    let entry = logger.prepare(interaction).map_err(|error| ErrorChain(&error).to_string())?;
    Ok(Prepared { entry, has_id, dated_now })
}

/// Whether `json` is an object without an output.
fn lacks_output(json: &[u8]) -> bool {
    let fields: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_slice(json);
    fields.is_ok_and(|fields| !fields.contains_key("output"))
}

/// Stores all of them; those with an id of the client only once.
async fn store(logger: &AuditLogger, prepared: &[Prepared]) -> Result<Vec<Outcome>, Problem> {
    let storage = logger.storage();
    let entries: Vec<_> = prepared.iter().map(|prepared| prepared.entry.clone()).collect();
    if prepared.iter().all(|prepared| !prepared.has_id) {
        storage.append(&entries).await?;
        return Ok(vec![Outcome::New; entries.len()]);
    }
    let mut outcomes = Vec::with_capacity(entries.len());
    for (given, is_new) in prepared.iter().zip(storage.write_new(&entries).await?) {
        outcomes.push(match is_new {
            true => Outcome::New,
            false if is_stored(logger, given).await? => Outcome::Present,
            false => Outcome::Differs,
        });
    }
    Ok(outcomes)
}

/// Whether the entry under the id is of the same interaction.
async fn is_stored(logger: &AuditLogger, given: &Prepared) -> Result<bool, StorageError> {
    let stored = logger.storage().read(&given.entry.id).await?;
    Ok(stored.is_some_and(|stored| given.entry.is_same_interaction(&stored, given.dated_now)))
}
