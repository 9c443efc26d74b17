//! `import` of other programs' formats: recognised, joined, idempotent, and nothing lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, Folder, json};
use serde_json::Value;

/// What real clients sent.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../genai/tests/fixtures")
}

/// The fixture `file` in the folder that begins with `client`.
fn fixture(client: &str, file: &str) -> PathBuf {
    let folders = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(client);
    folders.filter(is_it).map(|path| path.join(file)).find(|path| path.exists()).unwrap()
}

fn arguments<'a>(paths: &'a [PathBuf], more: &[&'a str]) -> Vec<&'a str> {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    ["import"].into_iter().chain(paths).chain(more.iter().copied()).collect()
}

#[test]
fn formats_are_recognised_and_imported_once() {
    for (client, file, format, calls) in [
        ("litellm", "objects.jsonl", "litellm", 3),
        ("langchain", "runs.jsonl", "langsmith", 1),
        ("openinference", "spans.jsonl", "otlp", 2),
        ("traceloop-anthropic", "spans.jsonl", "otlp", 1),
        ("otel-openai-v2-messages", "spans.jsonl", "otlp", 2),
    ] {
        let folder = Folder::new();
        let paths = [fixture(client, file)];
        let run = folder.run(&arguments(&paths, &["--store-content"]));
        run.expect(0, &format!("reading it as {format}"));
        let imported =
            if calls == 1 { "1 interaction,".to_owned() } else { format!("{calls} interactions,") };
        run.expect(0, &format!("imported {imported}"));
        let again = folder.run(&arguments(&paths, &["--store-content"]));
        again.expect(0, &format!("imported 0 interactions, 0 bad lines, {calls} present already"));
        for entry in folder.entries() {
            assert_eq!(entry["metadata"]["attestry.source"], format);
            let hashes = entry["metadata"]["attestry.source.sha256"].as_str().unwrap();
            assert!(hashes.split(',').all(|hash| hash.len() == 64), "{hashes}");
        }
        folder.run(&["check"]).expect(0, "");
    }
}

#[test]
fn folders_patterns_and_compressed_files() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(fixture("litellm", "objects.jsonl")).unwrap();
    std::fs::create_dir_all(folder.path("logs/2026-11-27")).unwrap();
    for (number, line) in text.lines().enumerate() {
        // One object a file, as LiteLLM writes them to S3; one of them formatted.
        let value: Value = json(line);
        let line = if number == 0 { format!("{value:#}\n") } else { line.to_owned() };
        folder.write(&format!("logs/2026-11-27/{number}.json"), &line);
    }
    let packed = Command::new("gzip").arg(folder.path("logs/2026-11-27/2.json")).status();
    assert!(packed.unwrap().success());
    folder.write("logs/README.txt", "not a record\n");
    let run = folder.run(&["import", "logs"]);
    run.expect(1, "imported 3 interactions, 1 bad line");
    run.expect(1, "README.txt:1: ");
    folder.run(&["import", "logs/*/*.json*"]).expect(0, "3 present already");
    assert_eq!(folder.ok(&["count"]), "3\n");
}

#[test]
fn requests_and_responses_of_a_batch_are_joined_across_files() {
    let folder = Folder::new();
    let body = r#"{"model":"gpt-4","messages":[{"role":"user","content":"2+2?"}]}"#;
    let answer = r#"{"id":"c-1","created":1769591700,"model":"gpt-4","choices":[{"index":0,"message":{"role":"assistant","content":"4"},"finish_reason":"stop"}]}"#;
    folder.write("in.jsonl", &format!("{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}\n"));
    folder.write("out.jsonl", &format!("{{\"id\":\"b\",\"custom_id\":\"a\",\"error\":null,\"response\":{{\"status_code\":200,\"body\":{answer}}}}}\n"));
    folder
        .run(&["import", "out.jsonl", "in.jsonl", "--store-content"])
        .expect(0, "imported 1 interaction,");
    let entries = folder.entries();
    assert_eq!(
        entries[0]["input_content"],
        r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#
    );
    assert_eq!(entries[0]["metadata"]["http.response.status_code"], 200);
    assert_eq!(entries[0]["metadata"]["attestry.source.sha256"].as_str().unwrap().len(), 129);
}

#[test]
fn rows_of_csv_and_arrays_are_records() {
    let folder = Folder::new();
    folder.write("a.csv", "id,trace_id,type,start_time,end_time,input,output,provided_model_name,usage_details\no-1,t-1,GENERATION,2026-01-28 09:15:00,2026-01-28 09:15:01,\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"2+2?\"\"}]\",4,gpt-4,\"{\"\"input\"\":5}\"\n");
    folder.run(&["import", "a.csv"]).expect(0, "imported 1 interaction,");
    folder.write("a.json", "[\n  {\"id\": \"o-1\", \"traceId\": \"t-1\", \"type\": \"GENERATION\", \"startTime\": \"2026-01-28T09:15:00Z\", \"endTime\": \"2026-01-28T09:15:01Z\",\n   \"input\": [{\"role\": \"user\", \"content\": \"2+2?\"}], \"output\": \"4\", \"model\": \"gpt-4\", \"usageDetails\": {\"input\": 5}}\n]\n");
    let run = folder.run(&["import", "a.json"]);
    run.expect(1, "another entry with the id");
    let entries = folder.entries();
    assert_eq!((entries.len(), &entries[0]["input_tokens"]), (1, &5.into()));
}

#[test]
fn dry_run_reports_the_mapping_and_stores_nothing() {
    let folder = Folder::new();
    folder.write("bad.jsonl", "{\"call_type\": 1, \"startTime\": 1}\n");
    let paths = [fixture("litellm", "objects.jsonl"), folder.path("bad.jsonl")];
    let run = folder.run(&arguments(&paths, &["--dry-run", "--format", "json"]));
    run.expect(1, "would import 3 interactions, 1 bad line");
    let report = json(run.stdout.trim());
    let item = |kind: &str, name: &str| {
        let items = report["mapping"].as_array().unwrap().iter();
        items
            .filter(|item| item["kind"] == kind && item["name"] == name)
            .map(|item| item["count"].clone())
            .next()
    };
    assert_eq!(item("field", "input"), Some(3.into()));
    assert_eq!(item("metadata", "user.id"), Some(2.into()));
    assert_eq!(item("other", "hidden_params"), Some(3.into()));
    assert_eq!(report["refused"], 1);
    assert!(!common::exists(&folder.path("audit")));
    let table = folder.run(&arguments(&paths[..1], &["--dry-run"]));
    table.expect(0, "objects.jsonl: litellm");
    assert!(table.stdout.contains("objects.jsonl:1"), "{}", table.stdout);
}

#[test]
fn texts_without_a_field_are_hashed_unless_content_is_stored() {
    for (more, is_kept) in [(&[][..], false), (&["--store-content"][..], true)] {
        let folder = Folder::new();
        folder.write("in.jsonl", "{\"call_type\": \"completion\", \"startTime\": 1769591700, \"id\": \"1\", \"secret note\": \"a text of a user\", \"messages\": \"q\", \"response\": \"a\"}\n");
        folder.run(&[&["import", "in.jsonl"], more].concat()).expect(0, "imported 1 interaction,");
        let other = &folder.entries()[0]["metadata"]["attestry.other"]["secret note"];
        assert_eq!(*other == "a text of a user", is_kept, "{other}");
        assert_eq!(other["bytes"] == 16, !is_kept, "{other}");
    }
}

#[test]
fn unknown_spans_are_counted_or_stored() {
    let folder = Folder::new();
    folder.write("in.jsonl", "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"00f067aa0ba902b7\",\"name\":\"SELECT\",\"startTimeUnixNano\":\"1769591700000000000\",\"attributes\":[{\"key\":\"db.system\",\"value\":{\"stringValue\":\"postgresql\"}}]}]}]}]}\n");
    let run = folder.run(&["import", "in.jsonl"]);
    run.expect(0, "imported 0 interactions");
    run.expect(0, "1 span or log record");
    let run = folder.run(&["import", "in.jsonl", "--unknown-spans"]);
    run.expect(0, "imported 1 interaction,");
    let metadata = &folder.entries()[0]["metadata"];
    assert_eq!(metadata["gen_ai.operation.name"], "span");
    assert_eq!(metadata["db.system"], "postgresql");
    folder.run(&["import", "in.jsonl", "--unknown-spans"]).expect(0, "1 present already");
}
