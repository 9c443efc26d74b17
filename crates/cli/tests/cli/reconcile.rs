//! `reconcile`: calls without an entry, entries without a call, and differences.

use crate::common::{Folder, json};
use serde_json::Value;

/// A row of LiteLLM at the second `second`.
fn call(second: u32, id: &str, answer: &str, tokens: u32) -> String {
    format!(
        "{{\"call_type\":\"completion\",\"request_id\":\"{id}\",\"model\":\"gpt-4\",\"custom_llm_provider\":\"openai\",\
         \"startTime\":\"2026-01-28T09:15:{second:02}Z\",\"messages\":[{{\"role\":\"user\",\"content\":\"2+2?\"}}],\
         \"response\":\"{answer}\",\"prompt_tokens\":{tokens}}}\n"
    )
}

fn calls(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| call(n, &format!("r-{n}"), &format!("{n}"), 5)).collect()
}

#[test]
fn equal_records_have_no_difference() {
    let folder = Folder::new();
    folder.write("calls.jsonl", &calls(0..20));
    folder.run(&["import", "calls.jsonl"]).expect(0, "imported 20 interactions");
    let run = folder.run(&["reconcile", "--against", "calls.jsonl"]);
    run.expect(0, "20 calls matched, 0 of them with other values, 0 only here, 0 only there");
    assert_eq!(run.stdout, "");
}

#[test]
fn missing_and_differing_calls_are_named() {
    let folder = Folder::new();
    folder.write("here.jsonl", &calls(0..10));
    folder.run(&["import", "here.jsonl"]).expect(0, "imported 10 interactions");
    // Without 3, with 20, and with other tokens and another answer of 5.
    let there =
        calls(0..3) + &calls(4..5) + &call(5, "r-5", "five", 6) + &calls(6..10) + &calls(20..21);
    folder.write("there.jsonl", &there);
    let run = folder.run(&["reconcile", "--against", "there.jsonl", "--format", "json"]);
    run.expect(1, "9 calls matched, 1 of them with other values, 1 only here, 1 only there");
    let rows: Vec<Value> = run.stdout.lines().map(json).collect();
    let row = |problem: &str| rows.iter().find(|row| row["problem"] == problem).unwrap();
    assert_eq!(row("only_there")["call"], "there.jsonl:10");
    assert_eq!(row("only_here")["timestamp"], "2026-01-28T09:15:03");
    let fields: Vec<_> = row("differs")["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["field"].clone())
        .collect();
    assert_eq!(fields, ["output_hash", "input_tokens"]);
    assert_eq!(rows.last().unwrap()["summary"]["matched"], 9);
    let table = folder.run(&["reconcile", "--against", "there.jsonl"]);
    assert!(
        table.stdout.contains("there.jsonl:10") && table.stdout.contains("only here"),
        "{}",
        table.stdout
    );
}

#[test]
fn calls_are_matched_by_the_id_of_the_response_and_by_contents() {
    let folder = Folder::new();
    let input = r#"[{"role":"user","content":"2+2?"}]"#;
    let own = format!(
        "{{\"input\":{input},\"output\":\"1\",\"timestamp\":\"2026-01-28T09:20:00Z\"}}\n\
         {{\"input\":{input},\"output\":\"2\",\"timestamp\":\"2026-01-28T09:15:02Z\",\"metadata\":{{\"gen_ai.response.id\":\"r-2\"}}}}\n\
         {{\"input\":{input},\"output\":\"3\",\"timestamp\":\"2026-01-28T10:15:03Z\"}}\n"
    );
    folder.write("own.jsonl", &own);
    folder.run(&["import", "own.jsonl"]).expect(0, "imported 3 interactions");
    folder.write("there.jsonl", &calls(1..4));
    let run = folder.run(&["reconcile", "--against", "there.jsonl"]);
    // The third one was an hour later.
    run.expect(1, "2 calls matched, 0 of them with other values, 0 only here, 1 only there");
}

#[test]
fn erased_calls_are_on_record_and_not_missing() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--signing", "--out", "signing.key"]);
    folder.write("calls.jsonl", &calls(0..5));
    let signing = ["--signing-key", "signing.key"];
    let ids = folder.ok(&[&signing[..], &["import", "calls.jsonl"]].concat());
    let id = ids.lines().nth(2).unwrap();
    folder.run(&[&signing[..], &["delete", id]].concat()).expect(0, "");
    let run = folder.run(&["reconcile", "--against", "calls.jsonl"]);
    run.expect(0, "4 calls matched, 0 of them with other values, 0 only here, 0 only there, 1 on record as erased");
}

#[test]
fn unreadable_records_are_problems() {
    let folder = Folder::new();
    folder.write("calls.jsonl", &(calls(0..1) + "{\"call_type\":1}\n"));
    folder.run(&["import", "calls.jsonl"]).expect(1, "imported 1 interaction");
    folder.run(&["reconcile", "--against", "calls.jsonl"]).expect(1, "1 unreadable");
    folder.write("empty.jsonl", "\n");
    folder
        .run(&["reconcile", "--against", "empty.jsonl"])
        .expect(2, "there are no calls in the files");
}
