//! What the API and the viewer have in common when they read entries.

pub(crate) mod content;
pub(crate) mod csv;
pub(crate) mod lines;
pub(crate) mod proof;

use http::Uri;

/// Entries as lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The request as the access log has it.
pub(crate) fn request(uri: &Uri) -> String {
    uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}
