//! `/v1/calls`: calls that start, get output and end in separate requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use attestry::messages::{Part, canonical_json};
use attestry::{Call, Interaction, metadata};
use attestry_genai::{canonical_content, interaction_from_json, messages_from_json};
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::schema::Id;
use crate::http::body::{WholeBody, has_type};
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// How a call ended, and fields that are known only then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    #[serde(default)]
    outcome: Outcome,
    /// Of a failed call: a short, stable name.
    error_type: Option<String>,
    /// The last part of the output.
    #[schema(value_type = Option<Value>)]
    output: Option<Box<RawValue>>,
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

#[derive(Deserialize, ToSchema, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    #[default]
    Completed,
    Failed,
    CutOff,
}

impl End {
    fn apply(self, call: &mut Call) {
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

/// Records that a call starts
///
/// Its start entry is on stable storage before the answer. The output may be missing.
#[utoipa::path(
    post,
    path = "/v1/calls",
    tag = "calls",
    operation_id = "start_call",
    request_body = super::schema::Interaction,
    responses((status = 201, description = "The id of the call and of its start entry.", body = Id)),
    security(("token" = ["record"]))
)]
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

/// An interaction whose output may be missing. If its input is messages, so is its output.
fn interaction(body: &[u8]) -> Result<Interaction<'static>, Problem> {
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(|_| refused("expected a JSON object"))?;
    if !fields.contains_key("output") {
        if let Some(input) = fields.get("input").filter(|input| is_structured(input)) {
            let (text, kind) = canonical_content(input.get())
                .map_err(|error| refused(format!("input: {error}")))?;
            let key = match kind {
                metadata::CONTENT_MESSAGES_V1 => metadata::CONTENT,
                _ => metadata::CONTENT_INPUT,
            };
            let metadata = with_member(fields.get("metadata").map(|raw| raw.get()), key, kind);
            fields.insert("input".to_owned(), raw(Value::from(text).to_string())?);
            fields.insert("metadata".to_owned(), raw(metadata)?);
        }
        fields.insert("output".to_owned(), raw("\"\"".to_owned())?);
    }
    let json = serde_json::to_vec(&fields).map_err(|error| refused(error.to_string()))?;
    interaction_from_json(&json).map_err(|error| refused(error.reason))
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-interaction").detail(detail)
}

fn raw(json: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(json).map_err(|_| refused("metadata: expected an object"))
}

/// Whether a value is a list or an object.
fn is_structured(value: &RawValue) -> bool {
    value.get().starts_with(['[', '{'])
}

/// `object` with one more member. Its numbers stay as they are written.
fn with_member(object: Option<&str>, key: &str, value: &str) -> String {
    let member = format!("{}:{}", Value::from(key), Value::from(value));
    match object.and_then(|object| object.strip_prefix('{')).map(str::trim_start) {
        Some("}") => format!("{{{member}}}"),
        Some(rest) => format!("{{{member},{rest}"),
        None => match object {
            None | Some("null") => format!("{{{member}}}"),
            Some(other) => other.to_owned(),
        },
    }
}

/// Appends text, or the parts of messages, to the output.
fn push(call: &mut Call, output: Output) {
    match output {
        Output::Text(text) => call.push(&text),
        Output::Parts(parts) => parts.iter().for_each(|part| call.push_part(part)),
    }
}

/// A part of the output.
enum Output {
    Text(String),
    Parts(Vec<Part>),
}

impl Output {
    fn parse(json: &str) -> Result<Self, Problem> {
        let value = canonical_json::parse(json)
            .map_err(|error| Problem::bad_request(format!("output: {error}")))?;
        Ok(match value {
            Value::String(text) => Self::Text(text),
            value => match messages_from_json(value.clone()) {
                Some(messages) => {
                    Self::Parts(messages.0.into_iter().flat_map(|message| message.parts).collect())
                }
                None => Self::Parts(vec![Part::other(value)]),
            },
        })
    }
}

/// Appends output
///
/// Text, or messages as JSON. It is kept in memory until the call ends.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/output",
    tag = "calls",
    operation_id = "append_output",
    params(("id" = String, Path)),
    request_body(content((String = "text/plain"), (Value = "application/json"))),
    responses((status = 204, description = "It was appended.")),
    security(("token" = ["record"]))
)]
pub(super) async fn output(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<StatusCode, Problem> {
    caller.require(Role::Record)?;
    let output = if has_type(&headers, "text/plain") {
        String::from_utf8(body.into()).map(Output::Text).map_err(|_| {
            Problem::bad_request("the output is not UTF-8; do not split a character")
        })?
    } else if has_type(&headers, "application/json") {
        let text = std::str::from_utf8(&body);
        Output::parse(text.map_err(|_| Problem::bad_request("the output is not UTF-8"))?)?
    } else {
        return Err(unsupported(
            "send text as text/plain; charset=utf-8, messages as application/json",
        ));
    };
    state.calls.update(&id, &caller.name, |call| push(call, output))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records that a call ended
///
/// Its end entry is on stable storage before the answer.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/end",
    tag = "calls",
    operation_id = "end_call",
    params(("id" = String, Path)),
    request_body = End,
    responses((status = 200, description = "The id of the end entry.", body = Id)),
    security(("token" = ["record"]))
)]
pub(super) async fn end(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Record)?;
    must_be_json(&headers)?;
    let mut end: End = serde_json::from_slice(&body).map_err(|error| {
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
    let output = end.output.take().filter(|output| output.get() != "null");
    let output = output.map(|output| Output::parse(output.get())).transpose()?;
    let mut call = state.calls.take(&id, &caller.name)?;
    if let Some(output) = output {
        push(&mut call, output);
    }
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
