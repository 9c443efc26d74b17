//! Under which names the server answers, and requests that a browser sends on behalf of another site.

use std::net::IpAddr;

use axum::extract::Request;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode, Uri};

use crate::http::problem::Problem;
use crate::state::AppState;

pub(crate) const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const OTHER_SITE: &str =
    "the request was sent by another site; open the page of this server and send it from there";

/// Fails if every client may do everything, and the name of the server in the request is none of this host.
///
/// A page of another site can let a name of its own point to this host. A browser then takes the server for a part of that
/// site, and lets the page read what it answers (DNS rebinding).
pub(crate) fn check_host(state: &AppState, request: &Request) -> Result<(), Problem> {
    if !state.exposure.local_names_only {
        return Ok(());
    }
    let authority = authority(request.headers(), request.uri());
    // A browser always names the host; a client of HTTP/1.0 need not.
    if authority.is_none() && !request.headers().contains_key(HOST) {
        return Ok(());
    }
    let host = authority.as_ref().map_or("", Authority::host).trim_end_matches('.');
    if is_local(&host.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(
        "without tokens, the server answers under the names of this host only, such as localhost and 127.0.0.1; use \
         one of them, configure tokens, or allow other names with --insecure",
    ))
}

/// Fails if a browser sent the request on behalf of another site.
pub(crate) fn check_site(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let is_same = match (text(FETCH_SITE), text(ORIGIN)) {
        // Without a site, the user began it: no page did.
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let origin = origin.split_once("://").map_or("", |(_, origin)| origin);
            authority(headers, uri).is_some_and(|own| own.as_str().eq_ignore_ascii_case(origin))
        }
        // No browser.
        (None, None) => true,
    };
    if is_same {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(OTHER_SITE))
}

/// The name and port of the server in a request. HTTP/2 has them in the URI.
fn authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let header = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    header.or_else(|| uri.authority().cloned())
}

/// Whether no other site can have the name: an address, or one below `localhost`.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost")
}
