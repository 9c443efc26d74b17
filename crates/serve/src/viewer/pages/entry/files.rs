//! Parts of an entry as files.

use std::sync::Arc;

use attestry::Content;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Uri};

use super::find;
use crate::access_log::Action;
use crate::http::blocking::blocking;
use crate::http::problem::Problem;
use crate::read::proof::prove;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::viewer::checks::check_content;
use crate::viewer::media::image;
use crate::viewer::strings::entry as strings;

const TEXT: &str = "text/plain; charset=utf-8";
/// An image opened by itself is a document: it may do nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The inclusion proof.
pub(in crate::viewer) async fn proof(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let proven = prove(&state, &caller, &id, &request(&uri)).await?;
    Ok(file("entry.tlog-proof", TEXT, proven.proof.to_string().into_bytes()))
}

/// The stored line byte for byte, with what it has of content.
pub(in crate::viewer) async fn line(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.require(Role::Content)?;
    let entry = find(&state, &caller, &id, Action::Export, &uri).await?;
    let line = state.logger.storage().read_line(&entry.id).await?;
    let line = line.ok_or_else(|| Problem::not_found(strings::not_found(&id)))?;
    Ok(file("entry.json", "application/json", line))
}

/// The whole input or output.
pub(in crate::viewer) async fn side(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path((id, side)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let content = decrypted(&state, &caller, &id, &uri).await?;
    let text = of_side(content, &side)?;
    Ok(file(&format!("{side}.txt"), TEXT, text.into_bytes()))
}

/// An image of a message.
pub(in crate::viewer) async fn media(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path((id, side, message, part)): Path<(String, String, usize, usize)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let content = decrypted(&state, &caller, &id, &uri).await?;
    let text = of_side(content, &side)?;
    let found = blocking(move || image(&text, message, part)).await?;
    let (media_type, bytes) = found.ok_or_else(|| Problem::not_found(strings::NO_IMAGE))?;
    Ok(([(CONTENT_TYPE, media_type)], [(CONTENT_SECURITY_POLICY, NOTHING)], bytes).into_response())
}

async fn decrypted(
    state: &AppState,
    caller: &Caller,
    id: &str,
    uri: &Uri,
) -> Result<Content, Problem> {
    caller.require(Role::Content)?;
    let entry = find(state, caller, id, Action::Decrypt, uri).await?;
    let (content, _) = check_content(state, entry).await?;
    content.ok_or_else(|| Problem::not_found(strings::CANNOT_SHOW))
}

fn of_side(content: Content, side: &str) -> Result<String, Problem> {
    let text = match side {
        "input" => content.input,
        "output" => content.output,
        _ => None,
    };
    text.ok_or_else(|| Problem::not_found(strings::NOT_STORED))
}

fn file(name: &str, media_type: &str, content: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, disposition)], content)
        .into_response()
}
