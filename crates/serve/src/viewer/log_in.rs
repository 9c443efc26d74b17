//! Logging in with a token, and out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use maud::html;

use super::cookie::{Cookie, set_cookie};
use super::form::Form;
use super::frame::{Frame, Nav, with_status};
use super::strings::log_in as strings;
use super::url::{self, see_other};
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::security::authenticate::refuse;
use crate::security::caller::{Caller, ClientAddress};
use crate::security::role::Role;
use crate::security::tokens::Token;
use crate::state::AppState;

/// The form, or with `?once=SECRET` a session at once.
pub(super) async fn form(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = uri.query().unwrap_or("");
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let next = value("next").unwrap_or_default();
    let Some(secret) = value("once") else {
        if frame.caller.is_some() {
            return Ok(see_other(url::local(&next)));
        }
        return Ok(page(&frame, &next, None));
    };
    let address = address.map(|Extension(ClientAddress(address))| address);
    if let Some(token) = state.sessions.once(&secret) {
        // The address stays good if that fails.
        record(&state, &token, address).await?;
        if let Some((_, cookie)) = state.sessions.begin_once(&secret) {
            return Ok(begun(&state, &cookie, &next));
        }
    }
    refuse(&state, true, address).await;
    let page = page(&frame, &next, Some(strings::USED));
    Ok(with_status(page, StatusCode::UNAUTHORIZED))
}

/// Begins a session with the token of the form.
pub(super) async fn log_in(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(form): Extension<Form>,
    Extension(Cookie(old)): Extension<Cookie>,
    address: Option<Extension<ClientAddress>>,
) -> Result<Response, Problem> {
    let address = address.map(|Extension(ClientAddress(address))| address);
    let next = form.get("next");
    let Some(tokens) = state.tokens() else { return Ok(see_other(url::local(next))) };
    let secret = form.get("token").trim();
    let Some(token) = tokens.find(secret) else {
        refuse(&state, !secret.is_empty(), address).await;
        let page = page(&frame, next, Some(strings::UNKNOWN));
        return Ok(with_status(page, StatusCode::UNAUTHORIZED));
    };
    Caller::with_token(token, address).require(Role::Read)?;
    record(&state, token, address).await?;
    state.sessions.end(&old);
    let cookie = state.sessions.begin(token.clone());
    Ok(begun(&state, &cookie, next))
}

/// Puts the log-in on record, before the session begins.
async fn record(
    state: &AppState,
    token: &Token,
    address: Option<SocketAddr>,
) -> Result<(), Problem> {
    let caller = Caller::with_token(token, address);
    state.record_access(&caller, Action::LogIn, url::LOG_IN, None).await
}

/// Gives the browser the cookie of its session.
fn begun(state: &AppState, cookie: &str, next: &str) -> Response {
    let mut response = see_other(url::local(next));
    set_cookie(state, &mut response, cookie);
    response
}

/// Ends the session.
pub(super) async fn log_out(
    State(state): State<Arc<AppState>>,
    Extension(Cookie(cookie)): Extension<Cookie>,
    caller: Option<Extension<Caller>>,
) -> Response {
    state.sessions.end(&cookie);
    if let Some(Extension(caller)) = caller {
        // The session has ended also if that cannot be recorded: nothing was read.
        let _ = state.record_access(&caller, Action::LogOut, url::LOG_OUT, None).await;
    }
    let mut response = see_other(url::LOG_IN);
    set_cookie(&state, &mut response, "");
    response
}

/// A page that asks for itself. A browser leaves out the cookie where a link of another site was followed, and sends it
/// with this request.
pub(super) fn again(frame: &Frame) -> Response {
    let address = url::local(frame.address());
    let head = html! { meta http-equiv="refresh" content={ "0; url=" (address) }; };
    let main = html! { p { a href=(address) { (strings::CONTINUE) } } };
    frame.page_with_head(strings::CONTINUE, Nav::None, &head, &main)
}

fn page(frame: &Frame, next: &str, problem: Option<&str>) -> Response {
    let main = html! {
        h1 { (strings::TITLE) }
        @if let Some(problem) = problem { p.notice.bad role="alert" { (problem) } }
        form.stacked method="post" action=(url::LOG_IN) {
            (frame.form_token())
            input type="hidden" name="next" value=(url::local(next));
            label for="token" { (strings::TOKEN) }
            input id="token" name="token" type="password" autocomplete="current-password" required
                autofocus spellcheck="false" aria-describedby="token-help";
            p id="token-help" .help { (strings::TOKEN_HELP) }
            button.primary type="submit" { (strings::SUBMIT) }
        }
    };
    frame.page(strings::TITLE, Nav::None, &main)
}
