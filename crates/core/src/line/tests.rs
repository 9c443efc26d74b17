use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{EntryId, Timestamp};

fn entry() -> AuditEntry {
    AuditEntry::new(
        "550e8400-e29b-41d4-a716-446655440000".parse().unwrap(),
        "2026-01-28T09:15:00.000123".parse().unwrap(),
        "aa".into(),
        "bb".into(),
    )
}

fn text(entry: &AuditEntry) -> String {
    String::from_utf8(encode(entry).unwrap()).unwrap()
}

#[test]
fn encoding_matches_python_byte_for_byte() {
    assert_eq!(
        text(&entry()),
        concat!(
            r#"{"id": "550e8400-e29b-41d4-a716-446655440000", "timestamp": "2026-01-28T09:15:00.000123", "#,
            r#""input_hash": "aa", "output_hash": "bb", "input_content": null, "output_content": null, "#,
            r#""provider": null, "model": null, "conversation_id": null, "safety_passed": true, "#,
            r#""detectors_triggered": [], "block_reason": null, "alerts": [], "latency_ms": 0.0, "#,
            r#""input_tokens": null, "output_tokens": null, "metadata": {}}"#,
            "\n"
        )
    );
}

#[test]
fn escapes_match_python() {
    let mut entry = entry();
    entry.provider = Some("é\u{7f}😀\"\\/\n\t\u{8}\u{c}\r\u{1}~ \u{2028}".into());
    let expected = r#""provider": "\u00e9\u007f\ud83d\ude00\"\\/\n\t\b\f\r\u0001~ \u2028","#;
    assert!(text(&entry).contains(expected), "{}", text(&entry));
}

#[test]
fn floats_match_pythons_repr() {
    for (value, repr) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (250.5, "250.5"),
        (0.1, "0.1"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (123_456_789_012_345.6, "123456789012345.6"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (-1.25e22, "-1.25e+22"),
        (1e100, "1e+100"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        let entry = AuditEntry { latency_ms: value, ..entry() };
        assert!(
            text(&entry).contains(&format!("\"latency_ms\": {repr},")),
            "{repr}: {}",
            text(&entry)
        );
    }
}

#[test]
fn metadata_keeps_the_callers_key_order() {
    let mut entry = entry();
    entry.metadata =
        json!({"z": 1, "a": [true, null, {}], "m": {"k": 1.5}}).as_object().unwrap().clone();
    assert!(
        text(&entry)
            .ends_with("\"metadata\": {\"z\": 1, \"a\": [true, null, {}], \"m\": {\"k\": 1.5}}}\n")
    );
}

#[test]
fn decodes_pythons_extensions_of_json() {
    let line = text(&entry()).replace("\"latency_ms\": 0.0", "\"latency_ms\": -Infinity").replace(
        "\"metadata\": {}",
        r#""metadata": {"x": NaN, "s": "NaN \ud800 \ud83d\ude00 \udc00", "b": "\\ud800"}"#,
    );
    let read = decode(line.as_bytes()).unwrap();
    assert!(read.latency_ms.is_nan());
    assert_eq!(
        Value::from(read.metadata),
        json!({"x": null, "s": "NaN \u{fffd} 😀 \u{fffd}", "b": "\\ud800"})
    );
}

#[test]
fn decodes_equivalent_json() {
    let line = br#" {"output_hash":"o","input_hash":"i","id":"x","latency_ms":7,"timestamp":"2026-01-28T10:15:00+01:00"} "#;
    let entry = decode(line).unwrap();
    assert_eq!(entry.timestamp.to_string(), "2026-01-28T09:15:00");
    assert_eq!(entry.latency_ms, 7.0);
    // An invalid id can be read.
    let odd = br#"{"id": "a/b", "timestamp": "2026-01-28T09:15:00", "input_hash": "", "output_hash": ""}"#;
    assert_eq!(decode(odd).unwrap().id, EntryId::new_unchecked("a/b"));
}

#[test]
fn decode_errors_never_quote_content() {
    for (line, expected) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "expected a JSON object"),
        (r#" ["x", "2026-01-28T09:15:00", "", ""]"#, "expected a JSON object"),
        ("7", "invalid type"),
        (r#"{"id": "x"}"#, "missing field `timestamp`"),
        (
            r#"{"id": "x", "timestamp": "soon", "input_hash": "", "output_hash": ""}"#,
            "is not a time",
        ),
        (
            r#"{"id": "x", "alerts": "the patient's name"}"#,
            "a string, expected a sequence at column",
        ),
        (
            r#"{"id": "x", "alerts": "quote \" and , expected"}"#,
            "a string, expected a sequence at column",
        ),
        (r#"{"id": "x", "colour": 1}"#, "unknown field `colour`"),
        (r#"{"input_content": 987654}"#, "invalid type: integer, expected a string at column"),
        (r#"{"input_content": -98.7654}"#, "invalid type: floating point, expected a string"),
        (r#"{"id": "x", "timestamp": "the patient's name"}"#, "is not a time"),
    ] {
        let error = decode(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{line} gave {error}");
        for content in ["patient", "quote", "98"] {
            assert!(!error.contains(content), "{error}");
        }
    }
}

#[test]
fn too_long_lines_are_rejected_and_leave_the_buffer_unchanged() {
    let mut big = entry();
    big.input_content = Some("x".repeat(MAX_LINE_BYTES));
    let mut out = b"before".to_vec();
    assert!(matches!(encode_into(&big, &mut out), Err(InvalidEntry::TooLarge { .. })));
    assert_eq!(out, b"before");
    assert!(decode(&vec![b' '; MAX_LINE_BYTES + 2]).unwrap_err().to_string().contains("at most"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn any_entry()(
        id in "[a-z0-9é-]{1,40}",
        micros in Timestamp::MIN.unix_micros()..=Timestamp::MAX.unix_micros(),
        content in any::<Option<String>>(),
        safety_passed in any::<bool>(),
        alerts in vec(any::<String>(), 0..3),
        latency_ms in any::<f64>().prop_filter("finite", |f| f.is_finite()),
        tokens in any::<Option<i64>>(),
        metadata in vec((any::<String>(), value()), 0..4),
    ) -> AuditEntry {
        AuditEntry {
            input_content: content,
            safety_passed,
            alerts,
            latency_ms,
            input_tokens: tokens,
            metadata: metadata.into_iter().collect(),
            ..AuditEntry::new(id.parse().unwrap(), Timestamp::from_unix_micros(micros).unwrap(), "i".into(), "o".into())
        }
    }
}

proptest! {
    #[test]
    fn encoded_entries_decode_to_equal_entries(entry in any_entry()) {
        let line = encode(&entry).unwrap();
        prop_assert!(line.is_ascii());
        prop_assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let read = decode(&line).unwrap();
        prop_assert_eq!(&read, &entry);
        prop_assert_eq!(encode(&read).unwrap(), line);
    }

    #[test]
    fn decoding_never_panics(bytes in vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), entry in any_entry()) {
        let _ = decode(&bytes);
        let mut line = encode(&entry).unwrap();
        line.truncate(cut.index(line.len()));
        let complete = line.last() == Some(&b'}');
        prop_assert!(complete || decode(&line).is_err());
    }
}
