//! The selection as a file.

use std::sync::Arc;

use attestry::evidence::EvidenceExt as _;
use attestry::{EntryId, ErrorChain, Query, StorageError};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::Uri;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::json;

use super::check;
use super::selection::Selection;
use crate::access_log::{Action, LongAccess};
use crate::http::problem::Problem;
use crate::read::content::Shown;
use crate::read::lines::{Form, lines};
use crate::read::{NDJSON, csv, request};
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::viewer::checks::LINES_AT_ONCE;

/// All entries that match, not only those of a page.
pub(in crate::viewer) async fn download(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let selection = Selection::parse(&uri, &["form", "content"])?;
    check(&caller, &selection)?;
    let with_content = match selection.extra("content") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::bad_request("content: expected true or false")),
    };
    let mut query = selection.query.clone();
    (query.limit, query.after) = (None, None);
    query.validate().map_err(StorageError::from)?;
    let shown = if with_content { Shown::to(&caller, true)? } else { Shown::Hidden };
    let action = if with_content { Action::Decrypt } else { Action::Export };
    let asked = request(&uri);
    let begin = state.begin_access(&caller, action, &asked);
    let (media_type, extension, body) = match selection.extra("form") {
        Some("jsonl") => {
            let access = begin.await?;
            let lines = lines(state, query, shown, Form::Json, access);
            (NDJSON, "jsonl", Body::from_stream(lines))
        }
        Some("csv") => {
            let access = begin.await?;
            let header = stream::iter([Ok(Bytes::from(csv::header()))]);
            let lines = header.chain(lines(state, query, shown, Form::Csv, access));
            (csv::CSV, "csv", Body::from_stream(lines))
        }
        Some("proofs") => {
            // The lines are stored ones, with what they have of content.
            caller.require(Role::Content)?;
            state.logger.evidence()?.latest_checkpoint().await?;
            let access = begin.await?;
            (NDJSON, "proofs.jsonl", Body::from_stream(proofs(state, query, access)))
        }
        _ => return Err(Problem::bad_request("form: expected jsonl, csv or proofs")),
    };
    let name = format!("attachment; filename=\"attestry.{extension}\"");
    let headers = [(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}

/// Each entry as its stored line with its inclusion proof, or the reason why there is none.
fn proofs(
    state: Arc<AppState>,
    query: Query,
    access: LongAccess,
) -> impl Stream<Item = Result<Bytes, Problem>> + Send {
    // Only the ids: the lines are read with their proofs.
    let ids = state.logger.query(query).map(|found| found.map(|entry| entry.id));
    let found = ids.chunks(LINES_AT_ONCE);
    stream::unfold(Some((state, found, access, 0)), |proofs| async move {
        let (state, mut found, mut access, mut count) = proofs?;
        let Some(ids) = found.next().await else {
            return access.finish().await.err().map(|problem| (Err(problem), None));
        };
        let lines = match prove(&state, ids).await {
            Ok(lines) => lines,
            Err(problem) => return Some((Err(problem), None)),
        };
        count += lines.len() as u64;
        access.set_count(count);
        Some((Ok(lines.concat().into()), Some((state, found, access, count))))
    })
}

async fn prove(
    state: &AppState,
    found: Vec<Result<EntryId, StorageError>>,
) -> Result<Vec<String>, Problem> {
    let (mut ids, mut lines): (Vec<EntryId>, Vec<String>) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Ok(id) => ids.push(id),
            Err(StorageError::Corrupt(record)) => {
                lines.push(format!("{}\n", json!({ "unreadable": record.to_string() })));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let proofs = state.logger.evidence()?.inclusion_proofs(&ids).await?;
    for (id, proof) in ids.iter().zip(proofs) {
        let line = match proof {
            Ok(Some(proven)) => {
                let line = String::from_utf8_lossy(&proven.line);
                json!({ "id": id, "line": line, "proof": proven.proof.to_string() })
            }
            // Erased since.
            Ok(None) => json!({ "id": id, "unproven": "the entry is not there any more" }),
            Err(error) => json!({ "id": id, "unproven": ErrorChain(&error).to_string() }),
        };
        lines.push(format!("{line}\n"));
    }
    Ok(lines)
}
