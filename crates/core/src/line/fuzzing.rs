//! Properties of any bytes that are parsed as a line. The fuzz targets in `rigs/fuzz/` search for
//! counterexamples; the tests here replay their corpus.
#![allow(clippy::missing_panics_doc)] // a violated property panics

use serde_json::Value;

use super::{MAX_LINE_BYTES, decode, encode};
use crate::{AuditEntry, json_text};

/// Checks the promises of [`decode`] and [`encode`] for `line`.
pub fn check(line: &[u8]) {
    decodes_any_escapes(line);
    let value = serde_json::from_slice::<Value>(line);
    let rewritten = json_text::without_extensions(line);
    if let Some(rewritten) = &rewritten {
        assert!(value.is_err(), "JSON is not rewritten");
        assert_eq!(json_text::without_extensions(rewritten), None, "rewriting is idempotent");
    }
    let Ok(entry) = decode(line) else { return };
    assert!(line.len() <= MAX_LINE_BYTES + 1);

    // Parsing to a tree first shares little code with parsing to an entry.
    let value = value.or_else(|_| serde_json::from_slice(&rewritten.unwrap_or_default()));
    let by_value = AuditEntry::from_value(
        value.expect("the line of an entry is JSON, at least after rewriting"),
    );
    assert_same(&by_value.expect("the line of an entry has its fields"), &entry);

    assert!(!line.trim_ascii().is_empty(), "a blank line is not an entry");
    let mut entry = entry;
    if entry.latency_ms.is_nan() {
        encode(&entry).expect_err("a NaN latency is not written");
        entry.latency_ms = 0.0;
    }
    let written = encode(&entry).expect("a decoded entry can be encoded");
    assert!(written.iter().all(|byte| (b' '..0x7f).contains(byte) || *byte == b'\n'));
    assert_eq!(line_breaks(&written), 1, "one line, with one line break");
    assert_eq!(written.last(), Some(&b'\n'));
    let read = decode(&written).expect("an encoded entry can be decoded");
    assert_same(&read, &entry);
    assert_eq!(encode(&read).expect("a decoded entry can be encoded"), written);
    assert_eq!(json_text::without_extensions(&written), None, "an encoded entry is JSON");
    serde_json::from_slice::<Value>(&written).expect("an encoded entry is JSON");
    decodes_pythons_extensions(&entry, &written);
}

/// A text of any UTF-16 units, all escaped, decodes like UTF-16.
fn decodes_any_escapes(bytes: &[u8]) {
    let units: Vec<u16> =
        bytes.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let line = format!(
        r#"{{"id": "{escapes}", "timestamp": "2026-01-28", "input_hash": "", "output_hash": ""}}"#
    );
    let entry = decode(line.as_bytes()).expect("Python writes such lines");
    assert_eq!(entry.id.as_str(), String::from_utf16_lossy(&units));
}

/// The line `written` of `entry` with a latency that JSON cannot represent decodes to `entry` with a
/// NaN latency.
fn decodes_pythons_extensions(entry: &AuditEntry, written: &[u8]) {
    let mut entry = entry.clone();
    entry.latency_ms = f64::NAN;
    let text = str::from_utf8(written).expect("a line is ASCII");
    // The fields before it are texts, in which quotes are escaped.
    let (before, after) = text.split_once("\"latency_ms\": ").expect("a line has every field");
    let (_, after) = after.split_once(',').expect("a line has every field");
    for special in ["NaN", "Infinity", "-Infinity"] {
        let line = format!("{before}\"latency_ms\": {special},{after}");
        assert_same(&decode(line.as_bytes()).expect("Python writes such lines"), &entry);
    }
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// Asserts equality, with NaN equal to NaN.
fn assert_same(a: &AuditEntry, b: &AuditEntry) {
    let comparable = |entry: &AuditEntry| {
        let latency = Some(entry.latency_ms).filter(|latency| !latency.is_nan());
        (latency, AuditEntry { latency_ms: 0.0, ..entry.clone() })
    };
    assert!(comparable(a) == comparable(b), "two ways of decoding one line differ");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn properties_hold_for_the_corpus() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus/line");
        let files = fs::read_dir(&folder).unwrap().map(|item| item.unwrap().path());
        let lines: Vec<_> = files.map(|path| fs::read(path).unwrap()).collect();
        assert!(lines.len() > 20, "the corpus is in rigs/fuzz/corpus");
        for line in &lines {
            super::check(line);
            for cut in 0..line.len() {
                super::check(&line[..cut]);
            }
        }
    }
}
