//! The cookie by which the server knows a browser.

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::security::sessions::Sessions;
use crate::state::AppState;

/// The cookie of the browser.
#[derive(Debug, Clone)]
pub(super) struct Cookie(pub(super) String);

/// Cookies are the same for all ports of a host; the name tells servers apart. With TLS the browser refuses to let other
/// hosts of the domain set it.
fn cookie_name(state: &AppState) -> String {
    let prefix = if state.exposure.tls { "__Host-" } else { "" };
    format!("{prefix}attestry-{}", state.exposure.port)
}

pub(super) fn read(state: &AppState, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(state);
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|header| header.split(';')).map(str::trim);
    let value = pairs.find_map(|pair| pair.strip_prefix(&name)?.strip_prefix('='))?;
    Sessions::is_cookie(value).then(|| value.to_owned())
}

/// Sets the cookie; an empty one is removed.
pub(super) fn set_cookie(state: &AppState, response: &mut Response, value: &str) {
    let secure = if state.exposure.tls { "; Secure" } else { "" };
    let ends = if value.is_empty() { "; Max-Age=0" } else { "" };
    let name = cookie_name(state);
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}
