//! What must hold of any bytes read as a line. The fuzz targets of `rigs/fuzz/` look for bytes of which
//! it does not; the tests here replay those that were found, and the ones they started from.
#![allow(clippy::missing_panics_doc)] // panicking is what a property is for

use serde_json::Value;

use super::{MAX_LINE_BYTES, decode, encode, tolerant};
use crate::AuditEntry;

/// Holds `line` against the promises of [`decode`] and [`encode`].
pub fn check(line: &[u8]) {
    reads_any_escapes(line);
    let value = serde_json::from_slice::<Value>(line);
    let rewritten = tolerant::rewrite(line);
    if let Some(rewritten) = &rewritten {
        assert!(value.is_err(), "what is JSON needs no rewriting");
        assert_eq!(tolerant::rewrite(rewritten), None, "rewriting leaves nothing to rewrite");
    }
    let Ok(entry) = decode(line) else { return };
    assert!(line.len() <= MAX_LINE_BYTES + 1);

    // Read by way of a tree, which shares little with reading it at once.
    let value = value.or_else(|_| serde_json::from_slice(&rewritten.unwrap_or_default()));
    let by_value =
        AuditEntry::from_value(value.expect("an entry's line is JSON, at least rewritten"));
    assert_same(&by_value.expect("an entry's line holds an entry's fields"), &entry);

    assert!(!line.trim_ascii().is_empty(), "a blank line is no entry");
    let mut entry = entry;
    if entry.latency_ms.is_nan() {
        encode(&entry).expect_err("a latency that is no number is not written");
        entry.latency_ms = 0.0;
    }
    let written = encode(&entry).expect("what was read can be written");
    assert!(written.iter().all(|byte| (b' '..0x7f).contains(byte) || *byte == b'\n'));
    assert_eq!(line_breaks(&written), 1, "one line, with one line break");
    assert_eq!(written.last(), Some(&b'\n'));
    let read = decode(&written).expect("what was written can be read");
    assert_same(&read, &entry);
    assert_eq!(encode(&read).expect("what was read can be written"), written);
    assert_eq!(tolerant::rewrite(&written), None, "what Attestry writes is JSON");
    serde_json::from_slice::<Value>(&written).expect("what Attestry writes is JSON");
    reads_what_python_adds(&entry, &written);
}

/// Text of any UTF-16 units, each as an escape, reads as UTF-16 does.
fn reads_any_escapes(bytes: &[u8]) {
    let units: Vec<u16> =
        bytes.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let line = format!(
        r#"{{"id": "{escapes}", "timestamp": "2026-01-28", "input_hash": "", "output_hash": ""}}"#
    );
    let entry = decode(line.as_bytes()).expect("Python writes such lines");
    assert_eq!(entry.id.as_str(), String::from_utf16_lossy(&units));
}

/// The line `written` of `entry`, with a latency that JSON does not know, reads as `entry` else.
fn reads_what_python_adds(entry: &AuditEntry, written: &[u8]) {
    let mut entry = entry.clone();
    entry.latency_ms = f64::NAN;
    let text = str::from_utf8(written).expect("a line is ASCII");
    // Before it are texts only, in which a quote is escaped.
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

/// Equal, where a latency that is no number equals itself.
fn assert_same(a: &AuditEntry, b: &AuditEntry) {
    let known = |entry: &AuditEntry| {
        let latency = Some(entry.latency_ms).filter(|latency| !latency.is_nan());
        (latency, AuditEntry { latency_ms: 0.0, ..entry.clone() })
    };
    assert!(known(a) == known(b), "two ways of reading one line differ");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn holds_for_the_corpus() {
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
