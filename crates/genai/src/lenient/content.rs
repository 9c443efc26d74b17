//! Inputs and outputs that are JSON values: their canonical text, so that the hash of a conversation does
//! not depend on spacing, key order or the API that it came from.

use attestry_core::metadata;
use attestry_logger::messages::{InvalidContent, canonical_json};

use crate::messages_from_json;

/// The canonical text (RFC 8785) of the JSON value `json`, and what it is: a value of `attestry.content`.
///
/// ```
/// use attestry_genai::canonical_content;
///
/// let (text, kind) = canonical_content(r#"[{"role": "user", "content": "2+2?"}]"#)?;
/// assert_eq!(text, r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#);
/// assert_eq!(kind, "messages/v1");
/// # Ok::<(), attestry_logger::messages::InvalidContent>(())
/// ```
///
/// # Errors
///
/// [`InvalidContent`] if it is not JSON, or has no canonical form.
pub fn canonical_content(json: &str) -> Result<(String, &'static str), InvalidContent> {
    let value = canonical_json::parse(json)?;
    Ok(match messages_from_json(value.clone()) {
        Some(messages) => (messages.canonical(), metadata::CONTENT_MESSAGES_V1),
        None => (canonical_json::to_string(&value)?, metadata::CONTENT_JSON),
    })
}
