//! `log` and `import`.

use crate::common::{self, Folder, json, sample};

/// From `printf '2+2?' | sha256sum` and `printf '4' | sha256sum`.
const HASH_OF_QUESTION: &str = "30ad205245cd25231f697fa8934fdf8d65d0cb24040d9f0d4106fa4cfc68e4c7";
const HASH_OF_ANSWER: &str = "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a";

#[test]
fn log_records_every_field() {
    let folder = Folder::new();
    let printed = folder.ok(&[
        "log",
        "--input",
        "2+2?",
        "--output",
        "4",
        "--provider",
        "openai",
        "--model",
        "gpt-4",
        "--conversation-id",
        "c",
        "--safety",
        "failed",
        "--detector",
        "a",
        "--detector",
        "b",
        "--block-reason",
        "why",
        "--alert",
        "x",
        "--latency-ms",
        "2.5",
        "--input-tokens",
        "3",
        "--output-tokens",
        "1",
        "--metadata",
        "n=5",
        "--metadata",
        "s=text",
        "--metadata",
        "l=[1,null]",
        "--timestamp",
        "2026-01-28T10:15:00.5+01:00",
    ]);
    let id = printed.trim_end();
    assert_eq!(
        json(&folder.ok(&["get", id])),
        serde_json::json!({
            "id": id, "timestamp": "2026-01-28T09:15:00.500000",
            "input_hash": HASH_OF_QUESTION, "output_hash": HASH_OF_ANSWER,
            "input_content": null, "output_content": null, "provider": "openai",
            "model": "gpt-4", "conversation_id": "c", "safety_passed": false,
            "detectors_triggered": ["a", "b"], "block_reason": "why", "alerts": ["x"],
            "latency_ms": 2.5, "input_tokens": 3, "output_tokens": 1,
            "metadata": {"n": 5, "s": "text", "l": [1, null]},
        })
    );
}

#[test]
fn log_reads_files_and_standard_input() {
    let folder = Folder::new();
    folder.write("question", "2+2?");
    let arguments = ["log", "--input-file", "question", "--output-file", "-", "--store-content"];
    folder.run_with_input(&arguments, b"4").expect(0, "");
    let entry = &folder.entries()[0];
    assert_eq!(entry["input_content"], "2+2?");
    assert_eq!(entry["output_hash"], HASH_OF_ANSWER);

    folder
        .run(&["log", "--input-file", "-", "--output-file", "-"])
        .expect(2, "error: input and output cannot both be read from standard input");
    folder
        .run(&["log", "--input-file", "missing", "--output", "4"])
        .expect(2, "error: cannot read missing: No such file");
    let run = folder.run_with_input(&["log", "--input-file", "-", "--output", "4"], b"a\xff");
    run.expect(2, "error: standard input is not UTF-8 text: invalid byte at 1");
    assert_eq!(folder.entries().len(), 1);
}

#[test]
fn log_rejects_invalid_arguments() {
    let folder = Folder::new();
    let rejected = |more: &[&str], message: &str| {
        let arguments = [&["log", "--input", "a", "--output", "b"], more].concat();
        folder.run(&arguments).expect(2, message);
    };
    rejected(&["--input-file", "x"], "cannot be used with");
    rejected(&["--timestamp", "yesterday"], "is not a time; write it like 2026-01-28T09:15:00");
    rejected(&["--timestamp", "+10000-01-01T00:00:00"], "outside the years 1 to 9999");
    rejected(&["--latency-ms", "NaN"], "latency_ms must be a finite number");
    rejected(&["--metadata", "alone"], "expected KEY=VALUE");
    rejected(&["--safety", "maybe"], "possible values: passed, failed");
    folder.run(&["log", "--input", "a"]).expect(2, "--output");
    // None of these recorded an entry.
    folder.ok(&["log", "--input", "a", "--output", "b", "--safety-failed"]);
    assert_eq!(folder.entries().len(), 1);
    assert_eq!(folder.entries()[0]["safety_passed"], false);
}

#[test]
fn import_prints_ids_in_line_order() {
    let (folder, ids) = Folder::with_sample();
    let entries = folder.entries();
    assert_eq!(ids.len(), 6);
    assert_eq!(ids, entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect::<Vec<_>>());
    let numbers: Vec<_> = entries.iter().map(|entry| entry["metadata"]["n"].clone()).collect();
    assert_eq!(numbers, [110, 120, 230, 240, 350, 360]);
    // `list` prints the stored bytes.
    assert_eq!(folder.segment().1, folder.ok(&["list", "--format", "json"]));
}

#[test]
fn import_reads_standard_input() {
    let folder = Folder::new();
    let run = folder.run_with_input(&["import", "-"], sample().as_bytes());
    run.expect(0, "imported 6 interactions, 0 bad lines, ");
    assert_eq!(run.stdout.lines().count(), 6);
    folder.run_with_input(&["import", "-"], b"").expect(0, "imported 0 interactions, 0 bad lines");
}

#[test]
fn import_keeps_order_across_batches() {
    let folder = Folder::new();
    let lines: String = (0..5000)
        .map(|n| {
            format!("{{\"input\": \"{n}\", \"output\": \"o\", \"metadata\": {{\"n\": {n}}}}}\n")
        })
        .collect();
    folder.write("many.jsonl", &lines);
    let printed = folder.ok(&["import", "many.jsonl"]);
    let (_, stored) = folder.segment();
    let stored: Vec<_> = stored.lines().map(json).collect();
    let ids: Vec<_> = stored.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), ids);
    assert!(stored.iter().enumerate().all(|(n, entry)| entry["metadata"]["n"] == n));
}

#[test]
fn import_reports_bad_lines_and_stores_the_others() {
    let folder = Folder::new();
    let good = r#"{"input": "a", "output": "b"}"#;
    let lines = [
        good,
        "{not json",
        r#"{"output": "a"}"#,
        "",
        r#"{"input": 5, "output": "b"}"#,
        r#"{"input": "a", "output": "b", "colour": "red"}"#,
        r#"{"input": "a", "output": "b", "latency_ms": "fast"}"#,
        r#"{"input": "a", "output": "b", "timestamp": "+10000-01-01T00:00:00"}"#,
        r#"["input", "output"]"#,
        r#"{"input": "a", "output": "b", "\u001b[31m": 1}"#,
        good,
    ];
    folder.write("bad.jsonl", &lines.join("\n"));
    let run = folder.run(&["import", "bad.jsonl"]);
    run.expect(1, "imported 2 interactions, 8 bad lines");
    assert_eq!(run.stdout.lines().count(), 2);
    for message in [
        "bad.jsonl:2: key must be a string at column 2",
        "bad.jsonl:3: input: missing; expected text, messages or other JSON",
        "bad.jsonl:5: input: expected text, messages or other JSON, not a number",
        "bad.jsonl:6: colour: unknown field",
        "bad.jsonl:7: latency_ms: expected a number or null, not text",
        "bad.jsonl:8: timestamp: the time is outside the years 1 to 9999",
        "bad.jsonl:9: expected a JSON object",
        "bad.jsonl:10: \\u{1b}[31m: unknown field",
    ] {
        assert!(run.stderr.contains(message), "{message:?} is not in {}", run.stderr);
    }
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    assert_eq!(folder.ok(&["count"]), "2\n");
}

#[test]
fn import_skips_line_of_100_mb() {
    let folder = Folder::new();
    let good = "{\"input\": \"a\", \"output\": \"b\"}\n";
    let mut input = format!("{good}{{\"input\": \"").into_bytes();
    input.resize(good.len() + 100_000_000, b'x');
    input.extend_from_slice(b"\n");
    input.extend_from_slice(good.as_bytes());
    let run = folder.run_with_input(&["import", "-"], &input);
    run.expect(1, "imported 2 interactions, 1 bad line,");
    run.expect(1, "standard input:2: the line has 100000000 bytes; at most 67108864 are allowed");
    assert_eq!(folder.ok(&["count"]), "2\n");
}

#[test]
fn import_rejects_line_too_long_when_encoded() {
    let folder = Folder::new();
    // Each character takes two bytes here and six in the store.
    let input = format!("{{\"input\": \"{}\", \"output\": \"\"}}\n", "é".repeat(12 << 20));
    let run = folder.run_with_input(&["import", "-", "--store-content"], input.as_bytes());
    run.expect(1, "standard input:1: the entry takes ");
    run.expect(1, "imported 0 interactions, 1 bad line,");
}

#[test]
fn import_of_unreadable_file_creates_no_store() {
    let folder = Folder::new();
    folder.run(&["import", "missing.jsonl"]).expect(2, "error: cannot read missing.jsonl: No such");
    folder.run(&["import", "."]).expect(2, "error: there are no files in .");
    folder.run(&["import", "*.jsonl"]).expect(2, "error: no file matches *.jsonl");
    assert!(!common::exists(&folder.path("audit")));
}

#[test]
fn import_into_memory_only_checks_lines() {
    let folder = Folder::new();
    folder.write("sample.jsonl", &sample());
    let run = folder.run(&["--store", "memory:", "import", "sample.jsonl"]);
    run.expect(0, "imported 6 interactions, 0 bad lines");
    assert!(!common::exists(&folder.path("memory:")));
}
