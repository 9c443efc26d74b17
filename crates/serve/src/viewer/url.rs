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
/// Not below the entries, where every name is an id.
pub(super) const NEWER: &str = "/entries.newer";
pub(super) const DOWNLOAD: &str = "/entries.download";
pub(super) const CONVERSATIONS: &str = "/conversations";
pub(super) const OVERVIEW: &str = "/";
pub(super) const INTEGRITY: &str = "/integrity";
pub(super) const VERIFY: &str = "/integrity/verify";
pub(super) const PROGRESS: &str = "/integrity/progress";
pub(super) const CHECKPOINT: &str = "/integrity/checkpoint";
pub(super) const ACCESS: &str = "/access";

/// In a query string, times stay readable.
const IN_VALUE: &AsciiSet = &IN_SEGMENT.remove(b':').remove(b',');

/// A text as one segment of a path, or as a value of a query string.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENT).to_string()
}

/// `path` with a query string.
pub(super) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (number, (key, value)) in parameters.iter().enumerate() {
        url.push(if number == 0 { '?' } else { '&' });
        url.push_str(key);
        url.push('=');
        url.extend(utf8_percent_encode(value, IN_VALUE));
    }
    url
}

/// The page of an entry.
pub(super) fn entry(id: &str) -> String {
    format!("{ENTRIES}/{}", encoded(id))
}

/// The page of a conversation. A browser resolves a segment of points, so that such an id is in the query string.
pub(super) fn conversation(id: &str) -> String {
    if matches!(id, "" | "." | "..") {
        return format!("{CONVERSATIONS}?id={}", encoded(id));
    }
    format!("{CONVERSATIONS}/{}", encoded(id))
}

/// The address that `address` makes of an id, unless it is too long: servers refuse such requests, and a page has many
/// of them. That of every valid id of an entry is short enough.
pub(super) fn short(id: &str, address: fn(&str) -> String) -> Option<String> {
    const MAX: usize = 800;
    if id.len() > MAX {
        return None;
    }
    Some(address(id)).filter(|address| address.len() <= MAX)
}

/// `path` with the content of what is there.
pub(super) fn with_content(path: &str) -> String {
    format!("{path}?content=show")
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
    fn long_ids_have_no_address() {
        assert_eq!(short("a b", conversation).as_deref(), Some("/conversations/a%20b"));
        assert!(short(&" ".repeat(255), entry).is_some());
        for long in [" ".repeat(300), "a".repeat(1_000_000)] {
            assert_eq!(short(&long, conversation), None);
        }
    }

    #[test]
    fn ids_stay_one_segment() {
        assert_eq!(entry("a/b?c#d%e f"), "/entries/a%2Fb%3Fc%23d%25e%20f");
    }
}
