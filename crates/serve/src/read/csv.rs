//! Entries as CSV (RFC 4180), for spreadsheets.

use attestry::AuditEntry;
use serde_json::Value;

pub(crate) const CSV: &str = "text/csv; charset=utf-8; header=present";

/// The first line.
pub(crate) fn header() -> Vec<u8> {
    record(AuditEntry::FIELDS.into_iter().map(ToOwned::to_owned))
}

/// The line of an entry. Lists and metadata are JSON.
pub(crate) fn entry(entry: &AuditEntry) -> Vec<u8> {
    let value = entry.to_value();
    record(AuditEntry::FIELDS.into_iter().map(|column| match &value[column] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }))
}

/// The line that says why a record is missing.
pub(crate) fn unreadable(reason: &str) -> Vec<u8> {
    record([format!("unreadable: {reason}")])
}

fn record(fields: impl IntoIterator<Item = String>) -> Vec<u8> {
    let fields: Vec<_> = fields.into_iter().map(field).collect();
    let mut line = fields.join(",").into_bytes();
    line.extend(b"\r\n");
    line
}

/// A field in quotes, also where RFC 4180 needs none: the separator of a spreadsheet is that of its country. What it would
/// evaluate begins with an apostrophe.
fn field(mut text: String) -> String {
    if is_formula(&text) {
        text.insert(0, '\'');
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        && text.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use attestry::{Timestamp, hash_content};

    use super::*;

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        for (given, expected) in [
            ("a", "\"a\""),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("x;=1+1", "\"x;=1+1\""),
            ("a \"b\"\nc", "\"a \"\"b\"\"\nc\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("@x", "\"'@x\""),
            ("-1.5", "\"-1.5\""),
            ("-x", "\"'-x\""),
        ] {
            assert_eq!(field(given.to_owned()), expected);
        }
    }

    #[test]
    fn line_has_every_field() {
        let id = "e-1".parse().unwrap();
        let hash = hash_content("");
        let entry = AuditEntry::new(id, Timestamp::UNIX_EPOCH, hash.clone(), hash);
        let line = String::from_utf8(super::entry(&entry)).unwrap();
        assert!(line.starts_with("\"e-1\",\"1970-01-01T00:00:00\",\"e3b0c442"), "{line}");
        assert!(
            line.ends_with("\"\",\"true\",\"[]\",\"\",\"[]\",\"0.0\",\"\",\"\",\"{}\"\r\n"),
            "{line}"
        );
    }
}
