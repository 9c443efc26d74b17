//! `/v1/calls`: calls that start, get output and end in separate requests.

use std::sync::Arc;

use attestry::{Call, Interaction};
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::body::{WholeBody, has_type};
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// How a call ended, and fields that are known only then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(default)]
    outcome: Outcome,
    /// Of a failed call: a short, stable name.
    error_type: Option<String>,
    /// The last part of the output.
    output: Option<String>,
    model: Option<String>,
    latency_ms: Option<f64>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    safety_passed: Option<bool>,
    detectors_triggered: Option<Vec<String>>,
    block_reason: Option<String>,
    alerts: Option<Vec<String>>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    #[default]
    Completed,
    Failed,
    CutOff,
}

impl End {
    fn apply(self, call: &mut Call) {
        if let Some(output) = &self.output {
            call.push(output);
        }
        call.set(|mut fields| {
            if let Some(model) = self.model {
                fields = fields.model(model);
            }
            if let Some(latency) = self.latency_ms {
                fields = fields.latency_ms(latency);
            }
            if self.input_tokens.is_some() {
                fields = fields.input_tokens(self.input_tokens);
            }
            if self.output_tokens.is_some() {
                fields = fields.output_tokens(self.output_tokens);
            }
            if let Some(passed) = self.safety_passed {
                fields = fields.safety_passed(passed);
            }
            if let Some(names) = self.detectors_triggered {
                fields = fields.detectors_triggered(names);
            }
            if let Some(reason) = self.block_reason {
                fields = fields.block_reason(reason);
            }
            if let Some(alerts) = self.alerts {
                fields = fields.alerts(alerts);
            }
            self.metadata
                .into_iter()
                .fold(fields, |fields, (key, value)| fields.metadata(key, value))
        });
    }
}

/// Records that a call starts. Its start entry is on stable storage before the answer.
pub(super) async fn start(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Record)?;
    must_be_json(&headers)?;
    if state.calls.is_full() {
        return Err(Problem::unavailable("too many calls are open; end some, or wait"));
    }
    let interaction = interaction(&body)?;
    let started = state.logger.start(interaction).await.map_err(Problem::from);
    let call = state.note_write(started)?;
    let Some(id) = call.id().cloned() else {
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    };
    state.calls.insert(id.clone(), call, &caller.name);
    let location = [(LOCATION, format!("/v1/calls/{id}"))];
    Ok((StatusCode::CREATED, location, Json(json!({ "id": id }))))
}

/// An interaction whose output may be missing.
fn interaction(body: &[u8]) -> Result<Interaction<'static>, Problem> {
    let refused = |detail: String| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-interaction").detail(detail)
    };
    let mut fields: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| refused("expected a JSON object".to_owned()))?;
    fields.entry("output").or_insert_with(|| "".into());
    let json = serde_json::to_vec(&fields).map_err(|error| refused(error.to_string()))?;
    Interaction::from_json(&json).map_err(|error| refused(error.to_string()))
}

/// Appends output. It is kept in memory until the call ends.
pub(super) async fn output(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<StatusCode, Problem> {
    caller.require(Role::Record)?;
    if !has_type(&headers, "text/plain") {
        return Err(unsupported("send output as text/plain; charset=utf-8"));
    }
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::bad_request("the output is not UTF-8; do not split a character"))?;
    state.calls.push(&id, &caller.name, text)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records that a call ended. Its end entry is on stable storage before the answer.
pub(super) async fn end(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Record)?;
    must_be_json(&headers)?;
    let end: End = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-end").detail(format!(
            "at line {}, column {}: unknown key or wrong type",
            error.line(),
            error.column()
        ))
    })?;
    let (outcome, error_type) = (end.outcome, end.error_type.clone());
    if (outcome == Outcome::Failed) != error_type.is_some() {
        return Err(Problem::bad_request(
            "error_type belongs to the outcome failed, which needs it",
        ));
    }
    let mut call = state.calls.take(&id, &caller.name)?;
    end.apply(&mut call);
    let ended = match (outcome, error_type) {
        (Outcome::Failed, Some(error_type)) => call.fail(error_type).await,
        (Outcome::CutOff, _) => call.cut_off().await,
        _ => call.finish().await,
    };
    let id = state.note_write(ended.map_err(Problem::from))?;
    Ok(Json(json!({ "id": id })))
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    match has_type(headers, "application/json") {
        true => Ok(()),
        false => Err(unsupported("send application/json")),
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type").detail(detail)
}
