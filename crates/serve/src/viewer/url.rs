//! Addresses of pages.

use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the characters that mean nothing in an address.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) const LOG_IN: &str = "/login";
pub(super) const LOG_OUT: &str = "/logout";
pub(super) const ENTRIES: &str = "/entries";

/// A text as one segment of a path, or as a value of a query string.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENT).to_string()
}

/// The page of an entry.
pub(super) fn entry(id: &str) -> String {
    format!("{ENTRIES}/{}", encoded(id))
}

/// `next` if it is an address on this server, otherwise the first page.
pub(super) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local { next } else { "/" }
}

/// Goes to another page of this server.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_this_server_are_gone_to() {
        for local_one in ["/", "/entries?model=a%20b", "/entries/x"] {
            assert_eq!(local(local_one), local_one);
        }
        for other in ["", "//evil", "/\\evil", "https://evil", "evil", "/a\r\nb", "/ä"] {
            assert_eq!(local(other), "/");
        }
    }

    #[test]
    fn ids_stay_one_segment() {
        assert_eq!(entry("a/b?c#d%e f"), "/entries/a%2Fb%3Fc%23d%25e%20f");
    }
}
