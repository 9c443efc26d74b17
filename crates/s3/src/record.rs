//! From an object to the entry it holds, and back.

use attestry_core::{AuditEntry, StorageError, line};

use crate::bucket::Bucket;
use crate::key::Day;

/// The object of `entry`: its line without the line break.
pub(crate) fn encode(entry: &AuditEntry) -> Result<Vec<u8>, StorageError> {
    entry.validate()?;
    let mut body = line::encode(entry)?;
    body.pop();
    Ok(body)
}

/// The entry in `body`, which must be the one that the object's key names.
pub(crate) fn decode(
    bucket: &Bucket,
    day: Day,
    id: &str,
    body: &[u8],
) -> Result<AuditEntry, StorageError> {
    let corrupt = |reason: String| bucket.corrupt(&bucket.layout.key(day, id), reason);
    let entry = line::decode(body).map_err(|error| corrupt(error.to_string()))?;
    if entry.id.as_str() != id {
        return Err(corrupt("the entry in it has another id than its key".to_owned()));
    }
    let its_day = Day::of(entry.timestamp);
    if its_day != day {
        return Err(corrupt(format!("the entry in it is of {its_day}")));
    }
    Ok(entry)
}

/// `body` as one line: line breaks between the parts of a JSON object mean nothing.
pub(crate) fn one_line(mut body: Vec<u8>) -> Vec<u8> {
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
    use super::one_line;

    #[test]
    fn an_object_of_many_lines_becomes_one() {
        assert_eq!(one_line(b"{\n\"a\":\r\n1}\n\n".to_vec()), b"{ \"a\":  1}");
        assert_eq!(one_line(b"{\"a\": 1}".to_vec()), b"{\"a\": 1}");
    }
}
