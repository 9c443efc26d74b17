//! JSON whose canonical form loses nothing.

use attestry::{json_text, metadata};
use serde_json::Value;

/// Integers up to this one are exact in RFC 8785, whose numbers are doubles.
const MAX_EXACT: u64 = 1 << 53;

/// The value of `json`. Fails if a key occurs twice, or if an integer would be rounded.
pub(super) fn parse(json: &str) -> Result<Value, String> {
    let is_inexact = |integer: &str| {
        integer.parse::<i64>().map_or(true, |integer| integer.unsigned_abs() > MAX_EXACT)
    };
    if json_text::has_integer(json, is_inexact) {
        return Err("an integer in JSON content has more than 53 bits; write it as text".to_owned());
    }
    metadata::value_from_json(json).map_err(|error| error.to_string())
}
