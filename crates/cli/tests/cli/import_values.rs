//! What an imported record may hold: values that are tolerated, noted or refused.

use crate::common::record::{recorded, refused};
use crate::common::{Folder, json};
use serde_json::json;

/// From `printf '2+2?' | sha256sum`.
const HASH_OF_QUESTION: &str = "30ad205245cd25231f697fa8934fdf8d65d0cb24040d9f0d4106fa4cfc68e4c7";

#[test]
fn metadata_that_would_change_are_refused() {
    let with =
        |metadata: &str| format!(r#"{{"input": "i", "output": "o", "metadata": {metadata}}}"#);
    assert_eq!(
        refused(&with(r#"{"user": 18446744073709551616}"#)),
        "metadata.user: an integer has more than 64 bits; write it as text"
    );
    assert!(
        refused(&with(r#"{"user": 1, "user": 2}"#)).contains("metadata: the key `user` occurs")
    );
    assert!(refused(&with(r#"{"a": {"b": 1, "b": 2}}"#)).contains("metadata: the key `b` occurs"));
    assert_eq!(
        refused(r#"{"input": "i", "input": "j", "output": "o"}"#),
        "input: the field occurs twice"
    );
    let kept = r#"{"max": 18446744073709551615, "min": -9223372036854775808, "float": 1e20}"#;
    assert_eq!(recorded(&with(kept))["metadata"], json(kept));

    let folder = Folder::new();
    let log =
        |more: &[&str]| folder.run(&[&["log", "--input", "i", "--output", "o"], more].concat());
    log(&["--metadata", "a=1", "--metadata", "a=2"])
        .expect(2, "metadata.a: the key is given twice");
    log(&["--metadata", "a=1", "--metadata-text", "a=2"])
        .expect(2, "metadata.a: the key is given twice");
    log(&["--metadata", "a=18446744073709551616"]).expect(2, "an integer has more than 64 bits");
    log(&["--metadata-text", "a=18446744073709551616"]).expect(0, "");
    assert_eq!(folder.entries()[0]["metadata"], json!({"a": "18446744073709551616"}));
}

#[test]
fn unknown_values_of_other_programs_are_accepted() {
    let with = |more: &str| recorded(&format!(r#"{{"input": "i", "output": "o", {more}}}"#));
    let entry =
        with(r#""latency_ms": null, "safety_passed": null, "input_tokens": null, "alerts": null"#);
    assert_eq!((&entry["latency_ms"], &entry["safety_passed"]), (&json!(0.0), &json!(true)));
    assert_eq!(entry["metadata"], json!({}));
    let entry = with(r#""input_tokens": 5.0, "output_tokens": 1e3"#);
    assert_eq!((&entry["input_tokens"], &entry["output_tokens"]), (&json!(5), &json!(1000)));
    let entry =
        with(r#""latency_ms": NaN, "input_tokens": NaN, "metadata": {"a": Infinity, "s": "NaN"}"#);
    assert_eq!((&entry["latency_ms"], &entry["input_tokens"]), (&json!(0.0), &json!(null)));
    let lossy = json!(["latency_ms", "input_tokens", "metadata"]);
    assert_eq!(entry["metadata"], json!({"a": null, "s": "NaN", "attestry.lossy": lossy}));
}

#[test]
fn lone_surrogates_are_replaced_and_noted() {
    for (escape, text) in [
        (r"\ud83d", "\u{fffd}"),
        (r"a\ude00b", "a\u{fffd}b"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
    ] {
        let entry = recorded(&format!(
            r#"{{"input": "{escape}", "output": "o", "provider": "p{escape}"}}"#
        ));
        assert_eq!(entry["input_content"], text);
        assert_eq!(entry["provider"], format!("p{text}"));
        assert_eq!(entry["metadata"], json!({"attestry.lossy": ["input", "provider"]}));
    }
    let nested =
        recorded(r#"{"input": "i", "output": "o", "metadata": {"a": {"k\udc00": "\ud83d"}}}"#);
    assert_eq!(nested["metadata"]["a"], json!({"k\u{fffd}": "\u{fffd}"}));
    assert_eq!(nested["metadata"]["attestry.lossy"], json!(["metadata"]));
    assert!(refused(r#"{"input": "i", "output": "o", "x\ud83d": 1}"#).contains("unknown field"));
}

#[test]
fn times_of_other_programs_are_accepted() {
    for time in [
        "1769591700.123",
        "1769591700123",
        "1769591700123000000",
        "\"2026-01-28 09:15:00.123 UTC\"",
        "\"2026-01-28 09:15:00,123\"",
        "\"2026-01-28T10:15:00,123+01:00\"",
    ] {
        let entry = recorded(&format!(r#"{{"input": "i", "output": "o", "timestamp": {time}}}"#));
        assert_eq!(entry["timestamp"], "2026-01-28T09:15:00.123000", "{time}");
    }
}

#[test]
fn refusals_name_the_field_and_what_is_accepted() {
    for (more, reason) in [
        (
            r#""conversation_id": 12345"#,
            "conversation_id: expected text, not a number; write it in quotes",
        ),
        (r#""provider": ["a"]"#, "provider: expected text or null, not a list"),
        (r#""safety_passed": "yes""#, "safety_passed: expected true, false or null, not text"),
        (r#""latency_ms": "12 ms""#, "latency_ms: expected a number or null, not text"),
        (r#""input_tokens": 5.5"#, "input_tokens: expected a whole number"),
        (r#""output_tokens": 9223372036854775808"#, "output_tokens: expected a whole number"),
        (r#""alerts": "fire""#, "alerts: expected a list of texts or null, not text"),
        (r#""alerts": [1]"#, "alerts: expected a list of texts or null"),
        (r#""metadata": 5"#, "metadata: expected an object or null, not a number"),
        (r#""timestamp": "soon""#, "timestamp: expected a time such as"),
        (r#""timestamp": true"#, "timestamp: expected a time such as"),
        (r#""id": 7"#, "id: expected text, not a number"),
        (r#""colour": 1"#, "colour: unknown field; put it into `metadata`"),
    ] {
        let found = refused(&format!(r#"{{"input": "secret", "output": "o", {more}}}"#));
        assert!(found.starts_with(reason), "{more}: {found}");
        assert!(!found.contains("secret") && !found.contains("fire"), "{found}");
    }
    assert!(refused(r#"{"output": "o"}"#).starts_with("input: missing"));
    assert!(
        refused(r#"{"input": 5, "output": "o"}"#).starts_with("input: expected text, messages")
    );
}

#[test]
fn odd_values_are_refused_unless_allowed() {
    let tomorrow = "\"2999-01-01T00:00:00\"";
    for (field, value) in [
        ("input_tokens", "-1"),
        ("output_tokens", "-1"),
        ("latency_ms", "-0.5"),
        ("timestamp", "\"1969-12-31T23:59:59\""),
        ("timestamp", tomorrow),
        ("timestamp", "-1"),
    ] {
        let record = format!(r#"{{"input": "i", "output": "o", "{field}": {value}}}"#);
        let reason = refused(&record);
        assert!(
            reason.starts_with(&format!("{field}: ")) && reason.ends_with("--allow-odd records it")
        );
        let folder = Folder::new();
        folder.write("in.jsonl", &record);
        folder.run(&["import", "in.jsonl", "--allow-odd"]).expect(0, "imported 1 interaction");
        let option = format!("--{}={}", field.replace('_', "-"), value.trim_matches('"'));
        if value != "-1" || field != "timestamp" {
            let log = ["log", "--input", "i", "--output", "o", &option];
            folder.run(&log).expect(2, &format!("error: {field}: "));
        }
        assert_eq!(folder.ok(&["count"]), "1\n");
    }
}

#[test]
fn messages_have_one_hash_in_any_spelling() {
    let spellings = [
        r#"[{"role": "user", "content": "2+2?"}]"#,
        r#"[{"content":[{"text":"2+2?","type":"text"}],"role":"user"}]"#,
        r#"[ {"role":"user","parts":[{"type":"text","content":"2\u002b2?"}]} ]"#,
        r#"{"role": "user", "content": "2+2?"}"#,
    ];
    let canonical = r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#;
    for spelling in spellings {
        let entry = recorded(&format!(r#"{{"input": {spelling}, "output": {spelling}}}"#));
        assert_eq!(entry["input_content"], canonical);
        assert_eq!(entry["input_hash"], attestry::hash_content(canonical));
        assert_eq!(entry["output_hash"], entry["input_hash"]);
        assert_eq!(entry["metadata"], json!({"attestry.content": "messages/v1"}));
    }
    let mixed = recorded(r#"{"input": {"b": 1.0, "a": [2e0]}, "output": "4"}"#);
    assert_eq!(mixed["input_content"], r#"{"a":[2],"b":1}"#);
    assert_eq!(mixed["output_content"], "4");
    assert_eq!(mixed["metadata"], json!({"attestry.content.input": "json"}));
    assert!(
        refused(r#"{"input": [9007199254740993], "output": "o"}"#).starts_with("input: an integer")
    );

    let folder = Folder::new();
    folder.write("messages", spellings[1]);
    folder.ok(&[
        "log",
        "--json",
        "--input-file",
        "messages",
        "--outcome",
        "failed",
        "--store-content",
    ]);
    let entry = &folder.entries()[0];
    assert_eq!(entry["input_content"], canonical);
    let metadata = json!({"attestry.content": "messages/v1", "attestry.outcome": "failed"});
    assert_eq!(entry["metadata"], metadata);
}

#[test]
fn calls_without_output_are_recorded_as_failed() {
    for record in [r#"{"input": "2+2?"}"#, r#"{"input": "2+2?", "output": null}"#] {
        let entry = recorded(record);
        assert_eq!(entry["input_hash"], HASH_OF_QUESTION);
        assert_eq!(entry["output_content"], "");
        assert_eq!(entry["metadata"], json!({"attestry.outcome": "failed"}));
    }
    let blocked = recorded(r#"{"input": "i", "block_reason": "policy"}"#);
    assert_eq!(blocked["metadata"], json!({"attestry.outcome": "blocked"}));
    let given = recorded(r#"{"input": "i", "metadata": {"attestry.outcome": "cut_off"}}"#);
    assert_eq!(given["metadata"], json!({"attestry.outcome": "cut_off"}));

    let folder = Folder::new();
    folder.ok(&["log", "--input", "i", "--outcome", "cut_off", "--output", "half"]);
    assert_eq!(folder.entries()[0]["metadata"], json!({"attestry.outcome": "cut_off"}));
    folder.run(&["log", "--input", "i"]).expect(2, "--output");
    folder.run(&["log", "--input", "i", "--outcome", "completed"]).expect(2, "has an output");
}
