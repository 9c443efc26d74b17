//! Interactions as programs send them: with messages or other JSON as input and output, and values of other types than
//! [`Interaction::from_json`] accepts. `docs/importing.md` lists the tolerances.

mod content;
mod fields;

use attestry_logger::Interaction;
use thiserror::Error;

pub use self::content::canonical_content;

/// Why a text is not an interaction. Names the field and what would be accepted; quotes no content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct InvalidInteraction {
    /// The reason.
    pub reason: String,
}

/// Parses an interaction: what [`Interaction::from_json`] accepts, and with the tolerances of the importer also
/// messages or other JSON as input and output, which become canonical text.
///
/// ```
/// use attestry_genai::interaction_from_json;
///
/// let json = br#"{"input": [{"role": "user", "content": "2+2?"}], "output": "4", "latency_ms": null}"#;
/// let interaction = interaction_from_json(json)?;
/// assert_eq!(interaction.input(), r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#);
/// # Ok::<(), attestry_genai::InvalidInteraction>(())
/// ```
///
/// # Errors
///
/// [`InvalidInteraction`].
pub fn interaction_from_json(json: &[u8]) -> Result<Interaction<'static>, InvalidInteraction> {
    let json = json.trim_ascii();
    Interaction::from_json(json)
        .or_else(|error| fields::decode(json, &error))
        .map_err(|reason| InvalidInteraction { reason })
}
