//! `import`: repeated imports, refused lines, and kinds of files.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::common::record::{recorded, refused};
use crate::common::{self, Folder, Run, json, sample};
use serde_json::json;

fn import_stdin(folder: &Folder, more: &[&str], input: &str) -> Run {
    folder.run_with_input(&[&["import", "-"], more].concat(), input.as_bytes())
}

#[test]
fn same_file_imported_again_stores_nothing() {
    let folder = Folder::new();
    folder.write("in.jsonl", &(sample() + &sample()));
    let first = folder.run(&["import", "in.jsonl"]);
    first.expect(0, "imported 12 interactions, 0 bad lines, 0 present already");
    let again = folder.run(&["import", "in.jsonl"]);
    again.expect(0, "imported 0 interactions, 0 bad lines, 12 present already");
    assert_eq!(first.stdout, again.stdout, "the ids are the same");
    let mut ids: Vec<_> = first.stdout.lines().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12, "identical lines have distinct ids");
    // The file has grown, and has other line breaks.
    folder.write("in.jsonl", &(sample().replace('\n', "\r\n") + &sample() + &sample()));
    let grown = folder.run(&["import", "in.jsonl"]);
    grown.expect(0, "imported 6 interactions, 0 bad lines, 12 present already");
    assert_eq!(folder.ok(&["count"]), "18\n");
    folder.run(&["import", "in.jsonl", "--new-ids"]).expect(0, "imported 18 interactions");
    folder.run(&["check"]).expect(0, "");
}

#[test]
fn ids_are_those_of_the_record_hash() {
    let folder = Folder::new();
    let record = r#"{"input": "2+2?", "output": "4"}"#;
    folder.write("in.jsonl", &format!("{record}\n"));
    let hash = attestry::hash_content(record);
    let expected = attestry::EntryId::for_record(&hash, 0);
    assert_eq!(folder.ok(&["import", "in.jsonl"]), format!("{expected}\n"));
}

#[test]
fn killed_import_is_completed_by_another() {
    let folder = Folder::new();
    let lines: String =
        (0..60_000).map(|n| format!("{{\"input\": \"{n}\", \"output\": \"o\"}}\n")).collect();
    folder.write("in.jsonl", &lines);
    let mut child = folder.command(&["import", "in.jsonl"]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..1_500 {
        output.read_line(&mut String::new()).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stored: u64 = folder.ok(&["count"]).trim().parse().unwrap();
    assert!((1_000..60_000).contains(&stored), "{stored} entries were stored when it was killed");
    folder.run(&["import", "in.jsonl"]).expect(0, " present already");
    assert_eq!(folder.ok(&["count"]), "60000\n");
    folder.run(&["check", "--against", "in.jsonl"]).expect(0, "");
}

#[test]
fn concurrent_imports_of_a_file_store_it_once() {
    let folder = Folder::new();
    let lines: String =
        (0..5_000).map(|n| format!("{{\"input\": \"{n}\", \"output\": \"o\"}}\n")).collect();
    folder.write("in.jsonl", &lines);
    let start = || folder.command(&["import", "in.jsonl"]).spawn().unwrap();
    let children = [start(), start(), start()];
    for child in children {
        common::finish(child).expect(0, "imported");
    }
    assert_eq!(folder.ok(&["count"]), "5000\n");
    folder.run(&["check"]).expect(0, "");
}

#[test]
fn standard_input_is_deduplicated_on_request() {
    let folder = Folder::new();
    import_stdin(&folder, &[], &sample()).expect(0, "imported 6 interactions");
    import_stdin(&folder, &[], &sample()).expect(0, "imported 6 interactions");
    import_stdin(&folder, &["--dedupe"], &sample()).expect(0, "imported 6 interactions");
    import_stdin(&folder, &["--dedupe"], &sample())
        .expect(0, "imported 0 interactions, 0 bad lines, 6 present already");
    folder.run(&["import", "-", "--dedupe", "--new-ids"]).expect(2, "cannot be used with");
}

#[test]
fn given_ids_are_stored_once() {
    let folder = Folder::new();
    let record = r#"{"id": "order-1", "input": "2+2?", "output": "4"}"#;
    let other = r#"{"id": "order-1", "input": "2+2?", "output": "5"}"#;
    let run = import_stdin(&folder, &[], &format!("{record}\n{record}\n"));
    run.expect(0, "imported 1 interaction, 0 bad lines, 1 present already");
    assert_eq!(run.stdout, "order-1\norder-1\n");
    let run = import_stdin(&folder, &["--format", "json"], &format!("{record}\n{other}\n"));
    run.expect(
        1,
        "standard input:2: warning: another entry with the id order-1 is stored; it stays",
    );
    run.expect(1, "0 bad lines, 2 present already (1 with other values)");
    assert_eq!(
        run.stdout.lines().map(json).collect::<Vec<_>>(),
        [
            json!({"line": 1, "id": "order-1", "present": true}),
            json!({"line": 2, "id": "order-1", "present": true, "differs": true}),
        ]
    );
    assert!(refused(r#"{"id": "a/b", "input": "i", "output": "o"}"#).contains("path separator"));
    assert_eq!(folder.ok(&["count"]), "1\n");
}

#[test]
fn encrypted_import_is_repeatable() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--out", "audit.key"]);
    let record = r#"{"id": "x", "input": "i", "output": "o", "timestamp": "2026-01-28"}"#;
    folder.write("in.jsonl", record);
    let import = ["--key-file", "audit.key", "import", "in.jsonl", "--store-content"];
    folder.run(&import).expect(0, "imported 1 interaction");
    folder.run(&import).expect(0, "imported 0 interactions, 0 bad lines, 1 present already,");
}

#[test]
fn log_with_an_id_is_idempotent() {
    let folder = Folder::new();
    let log =
        |output: &str| folder.run(&["log", "--id", "o-1", "--input", "i", "--output", output]);
    for _ in 0..2 {
        let run = log("o");
        run.expect(0, "");
        assert_eq!(run.stdout, "o-1\n");
    }
    log("other").expect(1, "warning: another entry with the id o-1 is stored; it stays");
    assert_eq!(folder.ok(&["count"]), "1\n");
    folder
        .run(&["log", "--id", "a/b", "--input", "i", "--output", "o"])
        .expect(2, "path separator");
}

#[test]
fn exported_entries_are_imported_unchanged() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--out", "audit.key"]);
    folder.write("in.jsonl", &sample());
    folder.ok(&["import", "in.jsonl"]);
    let arguments =
        ["--key-file", "audit.key", "import", "in.jsonl", "--new-ids", "--store-content"];
    folder.ok(&arguments);
    let exported = folder.ok(&["list", "--format", "json"]);
    folder.write("exported.jsonl", &exported);
    let import = ["--store", "copy", "import", "exported.jsonl"];
    folder.run(&import).expect(0, "imported 12 interactions, 0 bad lines, 0 present already");
    assert_eq!(folder.ok(&["--store", "copy", "list", "--format", "json"]), exported);
    folder.run(&import).expect(0, "imported 0 interactions, 0 bad lines, 12 present already");
    let checked = folder.ok(&["--store", "copy", "check", "--against", "exported.jsonl"]);
    assert!(checked.contains("12 of 12 interactions of exported.jsonl recorded"), "{checked}");
}

#[test]
fn exported_entries_that_would_change_are_refused() {
    let entry = |latency: &str, metadata: &str| {
        format!(
            r#"{{"id": "x", "timestamp": "2026-01-28T09:15:00", "input_hash": "i", "output_hash": "o", "latency_ms": {latency}, "metadata": {metadata}}}"#
        )
    };
    assert_eq!(recorded(&entry("1", r#"{"a": 1e20}"#))["metadata"], json!({"a": 1e20}));
    assert!(refused(&entry("NaN", "{}")).starts_with("latency_ms"));
    assert!(refused(&entry("1", r#"{"a": 18446744073709551616}"#)).starts_with("metadata.a"));
    assert!(refused(&entry("1", r#"{"a": 1, "a": 2}"#)).contains("`a` occurs twice"));
    assert!(refused(&entry("1", r#"{"a": "\ud800"}"#)).contains("surrogate"));
}

#[test]
fn refused_lines_are_kept_as_they_came() {
    let folder = Folder::new();
    let bad = [b"{\"input\": \"MARK \xff\"}".as_slice(), b"{broken"];
    let input =
        [b"{\"input\": \"a\", \"output\": \"b\"}\n", bad[0], b"\n\n", bad[1], b"\n"].concat();
    for _ in 0..2 {
        folder
            .run_with_input(&["import", "-", "--rejects", "bad.jsonl"], &input)
            .expect(1, "imported 1 interaction, 2 bad lines");
    }
    let kept = [bad[0], b"\n", bad[1], b"\n"].concat().repeat(2);
    assert_eq!(std::fs::read(folder.path("bad.jsonl")).unwrap(), kept);
    let reasons = std::fs::read_to_string(folder.path("bad.jsonl.reasons")).unwrap();
    let reasons: Vec<_> = reasons.lines().map(json).collect();
    assert_eq!(reasons.len(), 4);
    assert_eq!(reasons[0]["line"], 2);
    assert_eq!(reasons[0]["reason"], "the line is not UTF-8: invalid byte at column 17");
    assert_eq!(reasons[1]["line"], 4);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder.path("bad.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    folder.run(&["import", "-", "--rejects", "."]).expect(2, "cannot open .: ");
}

#[test]
fn each_line_is_answered_in_order_once_durable() {
    let folder = Folder::new();
    let mut child =
        folder.command(&["import", "-", "--format", "json"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for (number, line, good) in [
        (1, r#"{"input": "a", "output": "b"}"#, true),
        (2, r#"{"input": 5, "output": "b"}"#, false),
        (4, r#"{"input": "a", "output": "b", "id": "x"}"#, true),
    ] {
        let blank = if number == 4 { "\n" } else { "" };
        input.write_all(format!("{blank}{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        let answer = json(&answer);
        assert_eq!(answer["line"], number);
        assert_eq!(answer["id"].is_string(), good, "{answer}");
        assert_eq!(answer["error"].is_string(), !good, "{answer}");
        if good {
            folder.ok(&["get", answer["id"].as_str().unwrap()]);
        }
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn complaints_are_limited_to_20_and_counted() {
    let folder = Folder::new();
    folder.write("in.jsonl", &"{}\n".repeat(1_000));
    let run = folder.run(&["import", "in.jsonl"]);
    run.expect(1, "in.jsonl: 980 more complaints not shown; --rejects FILE keeps refused lines");
    run.expect(1, "imported 0 interactions, 1,000 bad lines");
    assert_eq!(run.stderr.lines().count(), 22, "{}", run.stderr);
}

#[test]
fn other_formats_are_refused_once_before_a_store_is_made() {
    for (name, content, message) in [
        ("a.parquet", &b"PAR1...."[..], "it is Parquet"),
        ("utf16", b"\xff\xfe{\0", "it is UTF-16"),
    ] {
        let folder = Folder::new();
        std::fs::write(folder.path(name), content).unwrap();
        let run = folder.run(&["import", name]);
        run.expect(2, &format!("error: cannot read {name}: it is "));
        run.expect(2, message);
        assert_eq!(run.stderr.lines().count(), 1);
        assert!(!common::exists(&folder.path("audit")));
        folder.run_with_input(&["import", "-"], content).expect(2, message);
    }
    let folder = Folder::new();
    folder.write("empty", "");
    folder.run(&["import", "empty"]).expect(0, "warning: empty is empty");
}

#[test]
fn compressed_files_are_imported_and_checked() {
    let folder = Folder::new();
    folder.write("in.jsonl", &sample());
    let packed = Command::new("gzip").arg(folder.path("in.jsonl")).status();
    assert!(packed.unwrap().success(), "gzip is part of every system that the tests run on");
    folder.run(&["import", "in.jsonl.gz"]).expect(0, "imported 6 interactions");
    folder.write("in.jsonl", &sample());
    folder.run(&["import", "in.jsonl"]).expect(0, "6 present already");
    let checked = folder.ok(&["check", "--against", "in.jsonl.gz"]);
    assert!(checked.contains("6 of 6 interactions"), "{checked}");
    let gz = std::fs::read(folder.path("in.jsonl.gz")).unwrap();
    std::fs::write(folder.path("cut.gz"), &gz[..gz.len() - 9]).unwrap();
    folder.run(&["import", "cut.gz"]).expect(2, "cannot read cut.gz: ");
}

#[test]
fn removed_files_of_the_store_are_reported_at_the_end() {
    let folder = Folder::new();
    let mut child = folder.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut import = |lines: &str| {
        input.write_all(lines.as_bytes()).unwrap();
        for _ in lines.lines() {
            output.read_line(&mut String::new()).unwrap();
        }
    };
    let (first, second) = (sample(), sample());
    import(&first);
    std::fs::remove_file(folder.segment().0).unwrap();
    import(&second);
    drop(input);
    drop(output);
    let run = common::finish(child);
    run.expect(1, "not in the store any more: lines 1 to ");
    let stored: u64 = folder.ok(&["count"]).trim().parse().unwrap();
    run.expect(1, &format!("imported {stored} interactions"));
}
