//! Finds the token of a request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::caller::{Caller, ClientAddress};
use super::host::{check_host, check_site};
use super::role::Role;
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::state::AppState;

/// Name of a client without a token that reads the tree.
const PUBLIC: &str = "public";

/// Adds the [`Caller`] to the request, or refuses it.
pub(crate) async fn authenticate(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = check_origin(&state, &request) {
        return problem.into_response();
    }
    let address = request.extensions().get().map(|ClientAddress(address)| *address);
    let is_public = state.public_tree
        && is_tree(request.uri().path())
        && !request.headers().contains_key(AUTHORIZATION);
    let caller = if is_public {
        Ok(Caller { name: PUBLIC.to_owned(), role: Role::Read, address })
    } else {
        identify(&state, request.headers(), address).await
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            let mut response = problem.into_response();
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

/// The client whose token is in `headers`.
pub(crate) async fn identify(
    state: &AppState,
    headers: &HeaderMap,
    address: Option<SocketAddr>,
) -> Result<Caller, Problem> {
    let Some(tokens) = state.tokens() else {
        return Ok(Caller::anonymous(address));
    };
    let secret = bearer(headers);
    match secret.and_then(|secret| tokens.find(secret)) {
        Some(token) => Ok(Caller::with_token(token, address)),
        None => Err(refuse(state, secret.is_some(), address).await),
    }
}

/// Fails if every client may do everything, and a browser may have sent the request for a page of another site.
fn check_origin(state: &AppState, request: &Request) -> Result<(), Problem> {
    if returns_records(request) {
        check_host(state, request)?;
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && state.exposure.local_names_only {
        check_site(request.headers(), request.uri())?;
    }
    Ok(())
}

/// Whether a request is answered with more than what became of it. What records is sent under any name.
fn returns_records(request: &Request) -> bool {
    *request.method() != Method::POST || request.uri().path() == "/v1/verify"
}

/// Whether a path is one of the Merkle tree: hashes only.
fn is_tree(path: &str) -> bool {
    path == "/checkpoint" || path.starts_with("/tile/")
}

/// The token in `Authorization: Bearer TOKEN`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?;
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Counts a failed authentication, and records it.
pub(crate) async fn refuse(
    state: &AppState,
    has_token: bool,
    address: Option<SocketAddr>,
) -> Problem {
    state.failed_authentications.add();
    if let Some(count) = state.failures.add() {
        let nameless = Caller { name: String::new(), role: Role::Record, address };
        // A refusal is answered also if it cannot be recorded: nothing was read.
        let action = Action::FailedAuthentication;
        let _ = state.record_access(&nameless, action, "", Some(count)).await;
    }
    let detail = match has_token {
        true => "the token is not known; it may have been removed from the file of tokens",
        false => "send a token: Authorization: Bearer TOKEN",
    };
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized").detail(detail)
}
