//! Lines that `export` or `list --format json` wrote: entries with all 17 fields.

use attestry::{AuditEntry, json_text, line, metadata};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields that tell an entry from an interaction.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    input_hash: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

pub(super) fn is_entry(line: &[u8]) -> bool {
    let has_marks = |line: &[u8]| {
        serde_json::from_slice::<Marks<'_>>(line).map(|marks| marks.input_hash.is_some())
    };
    // The Python package writes NaN.
    let without_nan = || json_text::without_special_numbers(line, b"null");
    has_marks(line)
        .or_else(|error| without_nan().map_or(Err(error), |line| has_marks(&line)))
        .unwrap_or(false)
}

/// The entry in `line`. It is recorded as it is, so a value that an entry cannot hold is refused.
pub(super) fn decode(line: &[u8]) -> Result<AuditEntry, String> {
    let entry = line::decode(line).map_err(|error| error.to_string())?;
    let encoded = line::encode(&entry).map_err(|error| error.to_string())?;
    if encoded.strip_suffix(b"\n") == Some(line) {
        return Ok(entry);
    }
    // Written by another program, or formatted.
    if serde_json::from_slice::<AuditEntry>(line).is_err() {
        return Err(
            "an exported entry with half of a surrogate pair cannot be recorded as it is; \
                    copy the file of the store instead"
                .to_owned(),
        );
    }
    if let Ok(Marks { metadata: Some(metadata), .. }) = serde_json::from_slice(line) {
        metadata::from_json(metadata.get()).map_err(|error| error.to_string())?;
    }
    Ok(entry)
}
