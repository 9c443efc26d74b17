//! Finds the client that asks for a page: by the session of its cookie, or a bearer token. Refuses forms of other sites.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};

use super::cookie::{self, Cookie, set_cookie};
use super::form::{self, Form};
use super::frame::Frame;
use super::{log_in, strings, url};
use crate::http::body::read_whole;
use crate::http::problem::Problem;
use crate::security::authenticate::{bearer, identify};
use crate::security::caller::{Caller, ClientAddress};
use crate::security::host::{FETCH_SITE, check_host, check_site};
use crate::security::role::Role;
use crate::security::sessions::Sessions;
use crate::state::AppState;

/// Adds the [`Caller`], the [`Frame`], the [`Cookie`] and the [`Form`] to the request. Without a caller, only the log-in
/// is answered. Problems become pages.
pub(super) async fn admit(
    State(state): State<Arc<AppState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = cookie::read(&state, request.headers());
    let cookie = given.clone().unwrap_or_else(Sessions::new_cookie);
    let form_token = state.sessions.form_token(&cookie);
    let mut frame = Frame::new(form_token, state.tokens().is_some(), request.uri());
    let admitted = admit_request(&state, &cookie, &mut request).await;
    let mut response = match admitted {
        Ok(caller) => {
            frame.caller = caller;
            request.extensions_mut().insert(frame.clone());
            request.extensions_mut().insert(Cookie(cookie.clone()));
            next.run(request).await
        }
        Err(Refusal::Problem(problem)) => problem.into_response(),
        Err(Refusal::LogIn { to }) => return url::see_other(&to),
        // Without a new cookie: that would replace the one that was left out.
        Err(Refusal::Again) => return log_in::again(&frame),
    };
    if let Some(problem) = response.extensions().get::<Problem>() {
        let page = frame.problem(problem);
        let (head, body) = page.into_parts();
        response.headers_mut().extend(head.headers);
        *response.body_mut() = body;
    }
    if given.is_none() && !response.headers().contains_key(SET_COOKIE) {
        set_cookie(&state, &mut response, &cookie);
    }
    response
}

enum Refusal {
    Problem(Problem),
    LogIn {
        to: String,
    },
    /// The browser followed a link of another site, and so left out the cookie.
    Again,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The caller, also put into the request; `None` only for the log-in.
async fn admit_request(
    state: &AppState,
    cookie: &str,
    request: &mut Request,
) -> Result<Option<Caller>, Refusal> {
    let address = request.extensions().get().map(|ClientAddress(address)| *address);
    check_host(state, request)?;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // Without tokens the header says nothing about the client.
    let has_bearer = state.tokens().is_some() && bearer(request.headers()).is_some();
    if !is_read {
        // No other site can send the header of a bearer token; a browser adds others by itself.
        if !has_bearer {
            check_site(request.headers(), request.uri())?;
        }
        let form = read_form(state, request).await?;
        if !has_bearer && !state.sessions.is_form_token(cookie, form.get(form::TOKEN)) {
            return Err(forbidden(strings::frame::OLD_FORM).into());
        }
        request.extensions_mut().insert(form);
    }
    let path = request.uri().path();
    let caller = find_caller(state, cookie, request.headers(), path, address).await?;
    let is_open = path == url::LOG_IN || path == url::LOG_OUT;
    match &caller {
        Some(caller) => {
            if !is_open {
                caller.require(Role::Read)?;
            }
            request.extensions_mut().insert(caller.clone());
        }
        None if is_read && from_other_site(request.headers()) => return Err(Refusal::Again),
        None if is_open => {}
        None => {
            let to = if is_read { request.uri().path_and_query() } else { None };
            let to = to.map_or("/", |to| to.as_str());
            return Err(Refusal::LogIn {
                to: format!("{}?next={}", url::LOG_IN, url::encoded(to)),
            });
        }
    }
    Ok(caller)
}

async fn find_caller(
    state: &AppState,
    cookie: &str,
    headers: &HeaderMap,
    path: &str,
    address: Option<SocketAddr>,
) -> Result<Option<Caller>, Problem> {
    let Some(tokens) = state.tokens() else { return Ok(Some(Caller::anonymous(address))) };
    if bearer(headers).is_some() {
        return identify(state, headers, address).await.map(Some);
    }
    // The live view asks as long as the page is open.
    let by_itself = path == url::NEWER;
    let sessions = &state.sessions;
    let token =
        if by_itself { sessions.peek(cookie, &tokens) } else { sessions.find(cookie, &tokens) };
    Ok(token.map(|token| Caller::with_token(&token, address)))
}

fn from_other_site(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site")
}

async fn read_form(state: &AppState, request: &mut Request) -> Result<Form, Problem> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    let body = std::mem::take(request.body_mut());
    let body = read_whole(body, form::MAX_BYTES, state.limits().receive, too_large).await?;
    Ok(Form::parse(&body))
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(detail)
}
