//! `/v1/verify`: compares the entries with the Merkle tree and the signed checkpoints.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{Stream, stream};
use http::header::ACCEPT;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::schema::VerificationResult;
use crate::http::problem::Problem;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::verification::{Latest, Progress};
use crate::verify_store::Running;

const EVENTS: &str = "text/event-stream";

/// The result of the latest verification, requested or scheduled
#[utoipa::path(
    get,
    path = "/v1/verify",
    tag = "evidence",
    operation_id = "latest_verification",
    responses((status = 200, description = "The result.", body = VerificationResult)),
    security(("token" = ["read"]))
)]
pub(super) async fn latest(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Problem> {
    caller.require(Role::Read)?;
    let latest = state.verifications.latest();
    let none = || Problem::not_found("nothing was verified since the server started");
    Ok(Json(latest.ok_or_else(none)?.to_json()))
}

/// Verifies the store
///
/// The answer is the result, or with `Accept: text/event-stream` a stream of events: `progress`,
/// and `result` or `failed` at the end. The verification goes on if the client disconnects.
#[utoipa::path(
    post,
    path = "/v1/verify",
    tag = "evidence",
    operation_id = "verify",
    responses((status = 200, description = "The result.",
        content((VerificationResult = "application/json"), (String = "text/event-stream")))),
    security(("token" = ["read"]))
)]
pub(super) async fn verify(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Role::Read)?;
    attestry::evidence::EvidenceExt::evidence(&state.logger)?.latest_checkpoint().await?;
    let running = Running::begin(&state, &caller, &request(&uri)).await?;
    let (sender, progress) = watch::channel((0, 0));
    let verified = tokio::spawn(run(state, running, sender));
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or("");
    if accepted.contains(EVENTS) {
        let events = Sse::new(events(progress, verified)).keep_alive(KeepAlive::default());
        return Ok(events.into_response());
    }
    Ok(Json(ended(verified.await)?.to_json()).into_response())
}

async fn run(
    state: Arc<AppState>,
    running: Running,
    progress: watch::Sender<Progress>,
) -> Result<Arc<Latest>, Problem> {
    running.run(&state, progress).await?
}

/// The progress until the end, and the result.
fn events(
    progress: watch::Receiver<Progress>,
    verified: JoinHandle<Result<Arc<Latest>, Problem>>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold(Some((progress, verified)), |state| async move {
        let (mut progress, verified) = state?;
        // The sender is dropped when the verification ends.
        if progress.changed().await.is_ok() {
            let (leaves, total) = *progress.borrow_and_update();
            let data = json!({ "leaves": leaves, "leaves_total": total }).to_string();
            return Some((
                Ok(Event::default().event("progress").data(data)),
                Some((progress, verified)),
            ));
        }
        let event = match ended(verified.await) {
            Ok(latest) => Event::default().event("result").data(latest.to_json().to_string()),
            Err(problem) => Event::default().event("failed").data(problem.to_json().to_string()),
        };
        Some((Ok(event), None))
    })
}

fn ended<E>(joined: Result<Result<Arc<Latest>, Problem>, E>) -> Result<Arc<Latest>, Problem> {
    joined.unwrap_or_else(|_| Err(Problem::unavailable("the server shuts down")))
}
