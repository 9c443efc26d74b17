//! What is known of a line that is not valid JSON: torn, or corrupt.

use attestry_core::{EntryId, Timestamp};

/// The id of the entry, if the line has the whole field.
pub(crate) fn id_in(bytes: &[u8]) -> Option<EntryId> {
    EntryId::new(text_field(bytes, "\"id\"")?).ok()
}

/// The timestamp of the entry, if the line has the whole field.
pub(crate) fn timestamp_in(bytes: &[u8]) -> Option<Timestamp> {
    text_field(bytes, "\"timestamp\"")?.parse().ok()
}

/// Whether the line contains the id, in whatever field.
pub(crate) fn contains_id(bytes: &[u8], id: &EntryId) -> bool {
    json_spellings(id).iter().any(|id| memchr::memmem::find(bytes, id.as_bytes()).is_some())
}

/// The value of the first field with this quoted name.
fn text_field(bytes: &[u8], name: &str) -> Option<String> {
    let start = memchr::memmem::find(bytes, name.as_bytes())?;
    let rest = bytes[start + name.len()..].trim_ascii_start();
    let value = rest.strip_prefix(b":")?.trim_ascii_start();
    let is_end = |at: &usize| value[*at] == b'"' && value[at - 1] != b'\\';
    let end = (1..value.len()).find(is_end)?;
    serde_json::from_slice(&value[..=end]).ok()
}

/// The two JSON spellings of an id: with all non-ASCII characters escaped, as this crate and Python write it,
/// and unescaped.
fn json_spellings(id: &EntryId) -> [String; 2] {
    let plain = serde_json::to_string(id.as_str()).unwrap_or_default();
    let mut escaped = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    [escaped, plain]
}

#[cfg(test)]
mod tests {
    use attestry_core::{AuditEntry, line};

    use super::*;

    /// Of every prefix of a line, what is found is what was written.
    #[test]
    fn fields_of_a_torn_line_are_found_once_they_are_whole() {
        for id in ["an-id", "zürich", "a b"] {
            let id: EntryId = id.parse().unwrap();
            let at = Timestamp::UNIX_EPOCH;
            let content = r#"{"id": "other", "timestamp": "2026-01-01"}"#.to_owned();
            let mut entry = AuditEntry::new(id.clone(), at, "in".into(), "out".into());
            entry.input_content = Some(content);
            let bytes = line::encode(&entry).unwrap();
            let found = |length: usize| (id_in(&bytes[..length]), timestamp_in(&bytes[..length]));
            assert_eq!(found(bytes.len()), (Some(id.clone()), Some(at)));
            for length in 0..bytes.len() {
                let (found_id, found_at) = found(length);
                assert!(found_id.is_none_or(|found| found == id), "{length}");
                assert!(found_at.is_none_or(|found| found == at), "{length}");
                assert!(!contains_id(&bytes[..length], &"unknown".parse().unwrap()));
            }
            assert!(contains_id(&bytes, &id));
        }
    }
}
