//! Encoding an entry as the body of an object, and decoding it.

use attestry_core::{AuditEntry, StorageError, line};

use crate::bucket::Bucket;
use crate::key::Day;

/// Selects what is kept of a record, from its body and its entry.
pub(crate) type Keep<T> = fn(Vec<u8>, AuditEntry) -> T;

/// The body of the object of `entry`: its JSON line without the line break.
pub(crate) fn encode(entry: &AuditEntry) -> Result<Vec<u8>, StorageError> {
    entry.validate()?;
    let mut body = line::encode(entry)?;
    body.pop();
    Ok(body)
}

/// Decodes `body`, and fails if its id and day are not those of the object's key.
pub(crate) fn decode(
    bucket: &Bucket,
    day: Day,
    id: &str,
    body: &[u8],
) -> Result<AuditEntry, StorageError> {
    let corrupt = |reason: String| bucket.corrupt(&bucket.layout.key(day, id), reason);
    let entry = line::decode(body).map_err(|error| corrupt(error.to_string()))?;
    if entry.id.as_str() != id {
        return Err(corrupt("the id of the entry is not the id in the key".to_owned()));
    }
    let entry_day = Day::of(entry.timestamp);
    if entry_day != day {
        return Err(corrupt(format!(
            "the day of the entry, {entry_day}, is not the day in the key"
        )));
    }
    Ok(entry)
}

/// `body` on one line. Line breaks outside of strings are white space in JSON, and within strings they
/// are not allowed.
pub(crate) fn to_line(mut body: Vec<u8>) -> Vec<u8> {
    let end = body.trim_ascii_end().len();
    body.truncate(end);
    for byte in &mut body {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::to_line;

    #[test]
    fn line_breaks_become_spaces() {
        assert_eq!(to_line(b"{\n\"a\":\r\n1}\n\n".to_vec()), b"{ \"a\":  1}");
        assert_eq!(to_line(b"{\"a\": 1}".to_vec()), b"{\"a\": 1}");
    }
}
