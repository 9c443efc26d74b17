//! An entry as one line of JSON, byte for byte as the Python package writes it.
//!
//! [`encode`] writes what Python's `json.dumps(entry.to_dict())` writes: fields in the
//! specification's order, the separators `", "` and `": "`, characters outside printable ASCII as
//! `\uXXXX`, floats as Python's `repr`. [`decode`] also reads any other JSON of the same meaning and
//! Python's extensions of JSON: `NaN`, `Infinity`, and lone surrogates.

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod python;

use serde::Serialize;

pub use crate::decode_error::{DecodeError, MAX_LINE_BYTES};
use crate::{AuditEntry, InvalidEntry, json_text};

/// Appends `entry` to `out` as one line, with its line break. Does not validate the entry; see
/// [`AuditEntry::validate`]. On an error `out` is unchanged.
///
/// # Errors
///
/// [`InvalidEntry::TooLarge`] if the line would exceed [`MAX_LINE_BYTES`];
/// [`InvalidEntry::NotFinite`] if JSON cannot represent the latency.
pub fn encode_into(entry: &AuditEntry, out: &mut Vec<u8>) -> Result<(), InvalidEntry> {
    if !entry.latency_ms.is_finite() {
        return Err(InvalidEntry::NotFinite { field: "latency_ms", value: entry.latency_ms });
    }
    let start = out.len();
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, python::PythonFormatter);
    // Serialising to memory fails only for keys that are not text, and every key here is text.
    let encoded = entry.serialize(&mut serializer);
    debug_assert!(encoded.is_ok());
    let length = out.len() - start;
    if length > MAX_LINE_BYTES {
        out.truncate(start);
        return Err(InvalidEntry::TooLarge { length });
    }
    out.push(b'\n');
    Ok(())
}

/// [`encode_into`] a new buffer.
///
/// ```
/// use attestry_core::{AuditEntry, Timestamp, line};
///
/// let entry = AuditEntry::new("é-1".parse()?, Timestamp::UNIX_EPOCH, "00".into(), "ff".into());
/// let line = line::encode(&entry)?;
/// assert!(line.starts_with(br#"{"id": "\u00e9-1", "timestamp": "1970-01-01T00:00:00", "input_hash": "00","#));
/// assert_eq!(line::decode(&line)?, entry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`encode_into`].
pub fn encode(entry: &AuditEntry) -> Result<Vec<u8>, InvalidEntry> {
    let content = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let mut line =
        Vec::with_capacity(640 + content(&entry.input_content) + content(&entry.output_content));
    encode_into(entry, &mut line)?;
    Ok(line)
}

/// The entry in `line`, with or without its line break.
///
/// In metadata, `NaN` and infinities become `null`, a lone surrogate becomes U+FFFD, and integers of
/// more than 64 bits become floats. The stored line does not change.
///
/// # Errors
///
/// [`DecodeError`] if it is not JSON, not an entry, or longer than [`MAX_LINE_BYTES`].
pub fn decode(line: &[u8]) -> Result<AuditEntry, DecodeError> {
    if line.len() > MAX_LINE_BYTES + 1 {
        return Err(DecodeError::too_long(line.len()));
    }
    if line.trim_ascii_start().first() == Some(&b'[') {
        return Err(DecodeError::not_an_object());
    }
    serde_json::from_slice(line).or_else(|error| match json_text::without_extensions(line) {
        Some(rewritten) => {
            serde_json::from_slice(&rewritten).map_err(|_| DecodeError::from_json(&error))
        }
        None => Err(DecodeError::from_json(&error)),
    })
}

#[cfg(test)]
mod tests;
