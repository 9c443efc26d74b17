//! Inputs and outputs that are JSON values: their canonical text, so that the hash of a conversation does
//! not depend on spacing, key order or the API that it came from.

use attestry::messages::{InvalidContent, canonical_json};
use attestry::metadata;
use attestry_genai::messages_from_json;

/// The canonical text (RFC 8785) of the JSON value `json`, and what it is: a value of `attestry.content`.
pub(crate) fn canonical(json: &str) -> Result<(String, &'static str), InvalidContent> {
    let value = canonical_json::parse(json)?;
    Ok(match messages_from_json(value.clone()) {
        Some(messages) => (messages.canonical(), metadata::CONTENT_MESSAGES_V1),
        None => (canonical_json::to_string(&value)?, metadata::CONTENT_JSON),
    })
}
