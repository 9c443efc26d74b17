//! Times in addresses.

use attestry::Timestamp;

use crate::http::problem::Problem;

/// A time as the API takes it, or as a field of a form gives it: without seconds.
pub(super) fn moment(key: &str, value: &str) -> Result<Timestamp, Problem> {
    let with_seconds = format!("{value}:00");
    let parsed = value.parse().or_else(|error| with_seconds.parse().map_err(|_| error));
    parsed.map_err(|error| Problem::bad_request(format!("{key}: {error}")))
}
