//! Under which names the server answers.

use std::net::IpAddr;

use axum::extract::Request;
use http::StatusCode;
use http::header::HOST;
use http::uri::Authority;

use crate::http::problem::Problem;
use crate::state::AppState;

/// Fails if every client may do everything, and the name of the server in the request is none of this host.
///
/// A page of another site can let a name of its own point to this host. A browser then takes the server for a part of that
/// site, and lets the page read what it answers (DNS rebinding).
pub(crate) fn check_host(state: &AppState, request: &Request) -> Result<(), Problem> {
    if !state.exposure.local_names_only {
        return Ok(());
    }
    let header = request.headers().get(HOST);
    let authority = header.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let authority = authority.or_else(|| request.uri().authority().cloned());
    let host = authority.as_ref().map_or("", Authority::host).trim_end_matches('.');
    if is_local(&host.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(
        "without tokens, the server answers under the names of this host only, such as localhost and 127.0.0.1; use \
         one of them, configure tokens, or allow other names with --insecure",
    ))
}

/// Whether no other site can have the name: an address, or one below `localhost`.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost")
}
