//! `check` and its report.

use crate::common::{Folder, json, sample};

#[test]
fn intact_store_has_no_problems() {
    let (folder, _) = Folder::with_sample();
    assert_eq!(folder.ok(&["check"]), "6 entries read, 0 stored contents checked: no problems\n");
    assert_eq!(
        folder.ok(&["check", "--against", "sample.jsonl"]),
        "6 entries read, 0 stored contents checked, 6 of 6 interactions of sample.jsonl \
         recorded: no problems\n"
    );
    assert_eq!(
        json(&folder.ok(&["check", "--against", "sample.jsonl", "--format", "json"])),
        serde_json::json!({
            "entries": 6,
            "contents": {"checked": 0, "not_checked": 0},
            "against": {
                "file": "sample.jsonl", "interactions": 6, "missing": 0,
                "erased": 0, "other_entries_erased": 0, "not_compared": 0,
            },
            "open_calls": {"grace_seconds": 3_600, "count": 0, "calls": []},
            "quarantine": [], "problems": [],
        })
    );
}

#[test]
fn corrupt_and_duplicate_records_are_reported() {
    let (folder, ids) = Folder::with_sample();
    let (path, content) = folder.segment();
    let fourth: usize = content.split_inclusive('\n').take(3).map(str::len).sum();
    let mut broken = content.clone().into_bytes();
    broken[fourth] = b'#';
    // A duplicate of the first line, which Attestry never writes.
    broken.extend_from_slice(content.split_inclusive('\n').next().unwrap().as_bytes());
    std::fs::write(&path, broken).unwrap();

    let run = folder.run(&["check"]);
    run.expect(1, "");
    let location = format!("audit/{}:{fourth}: ", path.file_name().unwrap().to_str().unwrap());
    assert!(run.stdout.contains(&location), "{location} is not in {}", run.stdout);
    let duplicate = format!("entry {}: duplicate id, again with timestamp 2026-01-01", ids[0]);
    assert!(run.stdout.contains(&duplicate), "{}", run.stdout);
    assert!(run.stdout.ends_with("6 entries read, 0 stored contents checked: 2 problems\n"));

    let run = folder.run(&["check", "--format", "json"]);
    run.expect(1, "");
    let mut kinds: Vec<_> = json(&run.stdout)["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["kind"].clone())
        .collect();
    kinds.sort_by_key(ToString::to_string);
    assert_eq!(kinds, ["corrupt", "duplicate"]);
}

#[test]
fn altered_content_is_reported() {
    let folder = Folder::new();
    folder.write("sample.jsonl", &sample());
    folder.ok(&["import", "sample.jsonl", "--store-content"]);
    assert!(folder.ok(&["check"]).contains("12 stored contents checked: no problems"));
    let (path, content) = folder.segment();
    std::fs::write(&path, content.replace("answer 230", "answer 231")).unwrap();
    let run = folder.run(&["check"]);
    run.expect(1, "");
    assert!(run.stdout.contains("the stored output of entry "), "{}", run.stdout);
    assert!(run.stdout.contains(" does not match its hash\n"), "{}", run.stdout);
    assert!(run.stdout.ends_with("12 stored contents checked: 1 problem\n"), "{}", run.stdout);
}

#[test]
fn encrypted_content_is_checked_with_its_key() {
    let folder = Folder::new();
    folder.write("sample.jsonl", &sample());
    for key in ["right.key", "wrong.key"] {
        folder.ok(&["key", "generate", "--out", key]);
    }
    folder.ok(&["--key-file", "right.key", "import", "sample.jsonl", "--store-content"]);
    assert_eq!(
        folder.ok(&["check"]),
        "6 entries read, 0 stored contents checked, 12 not checked (no key): \
         no problems\n"
    );
    let run = folder.run(&["--key-file", "right.key", "check"]);
    assert_eq!(run.stdout, "6 entries read, 12 stored contents checked: no problems\n");
    let run = folder.run(&["--key-file", "wrong.key", "check"]);
    run.expect(1, "");
    let once = "12 contents of 6 entries made with a key that is not given, or altered, from ";
    assert_eq!(run.stdout.matches(once).count(), 1, "{}", run.stdout);
    assert!(run.stdout.ends_with("0 stored contents checked: 1 problem\n"), "{}", run.stdout);

    // After a rotation, the old key is missing.
    folder.ok(&[
        "--key-file",
        "wrong.key",
        "log",
        "--input",
        "a",
        "--output",
        "b",
        "--store-content",
    ]);
    let run = folder.run(&["--key-file", "wrong.key", "check", "--format", "json"]);
    run.expect(1, "");
    let report = json(&run.stdout);
    assert_eq!(report["contents"], serde_json::json!({"checked": 2, "not_checked": 0}));
    assert_eq!(report["problems"].as_array().unwrap().len(), 1);
    assert_eq!(report["problems"][0]["kind"], "other-key");
    let keys = std::fs::read_to_string(folder.path("wrong.key")).unwrap()
        + &std::fs::read_to_string(folder.path("right.key")).unwrap();
    folder.write("both.key", &keys);
    folder.ok(&["--key-file", "both.key", "check"]);
    let entries = folder.ok(&["list", "--format", "json", "--limit", "1", "--desc"]);
    folder.ok(&["delete", json(entries.trim_end())["id"].as_str().unwrap()]);

    // If only one content of an entry is altered, the other one shows that the key is right.
    let (path, content) = folder.segment();
    let first = content.lines().next().unwrap();
    let token = json(first)["input_content"].as_str().unwrap().to_owned();
    let (head, tail) = token.split_at(token.len() / 2);
    let (next, rest) = tail.split_at(1);
    let altered = format!("{head}{}{rest}", if next == "W" { "X" } else { "W" });
    std::fs::write(&path, content.replace(&token, &altered)).unwrap();
    let run = folder.run(&["--key-file", "right.key", "check"]);
    run.expect(1, "");
    assert!(run.stdout.ends_with(": 1 problem\n"), "{}", run.stdout);
}

/// The record has no content, so it does not say which interaction was erased.
#[test]
fn erased_entries_are_counted_beside_missing_ones() {
    let folder = Folder::new();
    folder.write("sample.jsonl", &sample());
    folder.ok(&["key", "generate", "--signing", "--out", "signing.key"]);
    let signed = ["--signing-key", "signing.key"];
    folder.ok(&[&signed[..], &["import", "sample.jsonl"]].concat());
    let against = ["check", "--against", "sample.jsonl"];
    assert!(folder.ok(&against).contains("6 of 6 interactions of sample.jsonl recorded: no"));
    folder.ok(&[&signed[..], &["delete", "--metadata", "n=230"]].concat());
    let run = folder.run(&against);
    run.expect(1, "");
    assert!(run.stdout.contains("sample.jsonl:3: the interaction is not recorded"), "{run:?}");
    assert!(
        run.stdout.contains("1 entry is on record as erased, perhaps of those missing"),
        "{run:?}"
    );
    let run = folder.run(&[&against[..], &["--format", "json"]].concat());
    assert_eq!(json(&run.stdout)["against"]["other_entries_erased"], 1);
}

/// The lines of an export are entries, of which the record has the hash.
#[test]
fn erased_lines_of_an_export_are_not_missing() {
    let folder = Folder::new();
    folder.write("sample.jsonl", &sample());
    folder.ok(&["key", "generate", "--signing", "--out", "signing.key"]);
    let signed = ["--signing-key", "signing.key"];
    folder.ok(&[&signed[..], &["import", "sample.jsonl"]].concat());
    folder.write("export.jsonl", &folder.ok(&["list", "--format", "json"]));
    let against = ["check", "--against", "export.jsonl"];
    assert!(folder.ok(&against).contains("6 of 6 interactions of export.jsonl recorded: no"));
    folder.ok(&[&signed[..], &["delete", "--metadata", "n=230"]].concat());
    folder.ok(&[&signed[..], &["delete", "--safety", "failed"]].concat());
    let report = folder.ok(&against);
    assert!(report.contains("3 of 6 interactions of export.jsonl recorded, 3 on record as erased"));
    // A line that was removed without a record.
    let (path, content) = folder.segment();
    let mut lines: Vec<_> = content.split_inclusive('\n').collect();
    lines.retain(|line| !line.contains("\"n\": 360"));
    std::fs::write(&path, lines.concat()).unwrap();
    let run = folder.run(&against);
    run.expect(1, "");
    assert!(run.stdout.contains("export.jsonl:6: the interaction is not recorded"), "{run:?}");
    assert!(run.stdout.contains("3 on record as erased: 1 problem"), "{run:?}");
}

#[test]
fn missing_interactions_are_reported_by_line() {
    let (folder, ids) = Folder::with_sample();
    folder.ok(&["delete", &ids[1], &ids[4]]);
    let run = folder.run(&["check", "--against", "sample.jsonl"]);
    run.expect(1, "");
    assert_eq!(
        run.stdout,
        "sample.jsonl:2: the interaction is not recorded\n\
         sample.jsonl:5: the interaction is not recorded\n\
         4 entries read, 0 stored contents checked, 4 of 6 interactions of sample.jsonl \
         recorded: 2 problems\n"
    );
}

#[test]
fn repeated_interaction_must_be_recorded_repeatedly() {
    let (folder, _) = Folder::with_sample();
    let twice = sample() + &sample() + "{broken\n";
    folder.write("twice.jsonl", &twice);
    let run = folder.run(&["check", "--against", "twice.jsonl", "--format", "json"]);
    run.expect(1, "");
    let result = json(&run.stdout);
    assert_eq!(result["against"]["missing"], 6);
    assert_eq!(result["problems"][0]["where"], "twice.jsonl:13");
    assert_eq!(result["problems"][0]["kind"], "bad line");
    assert_eq!(result["problems"][1]["where"], "twice.jsonl:7");

    folder.ok(&["import", "sample.jsonl", "--new-ids"]);
    assert!(folder.run(&["check", "--against", "twice.jsonl"]).stdout.ends_with(": 1 problem\n"));
    folder.run(&["check", "--against", "missing.jsonl"]).expect(2, "cannot read missing.jsonl");
}

/// An index file that counts a line as erased that is there.
#[test]
fn wrong_index_is_reported_and_replaced() {
    use std::os::unix::fs::MetadataExt;
    let (folder, _) = Folder::with_sample();
    let (path, _) = folder.segment();
    std::fs::rename(path, folder.path("audit/audit_20260101.jsonl")).unwrap();
    for _ in 0..2 {
        // The second one finds a sealed segment.
        folder.ok(&["log", "--input", "a", "--output", "b"]);
    }
    let inode = std::fs::metadata(folder.path("audit/audit_20260101.jsonl")).unwrap().ino();
    let index = folder.path("audit").join(format!(".attestry/index/{inode}.idx"));
    let mut bytes = std::fs::read(&index).unwrap();
    bytes[1_024] += 1;
    let checksum = crc32fast::hash(&bytes[1_024..2_044]);
    bytes[2_044..2_048].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&index, bytes).unwrap();
    assert_eq!(folder.ok(&["count", "--phase", "all"]), "7\n");

    let run = folder.run(&["check"]);
    run.expect(1, "");
    let expected = "audit_20260101.jsonl: its index differed from it; it was made again\n";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    assert_eq!(folder.ok(&["count", "--phase", "all"]), "8\n");
    assert!(folder.ok(&["check"]).ends_with(": no problems\n"));
}

#[test]
fn last_line_without_its_line_break_is_an_entry() {
    let (folder, ids) = Folder::with_sample();
    let (path, content) = folder.segment();
    std::fs::write(&path, content.trim_end()).unwrap();
    folder.ok(&["get", &ids[5]]);
    assert_eq!(folder.ok(&["count"]), "6\n");
    let run = folder.run(&["check"]);
    run.expect(1, "");
    let expected =
        "is a whole entry without its line break; opening the store for writing adds it\n";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    assert!(run.stdout.ends_with("6 entries read, 0 stored contents checked: 1 problem\n"));
    folder.run(&["log", "--input", "a", "--output", "b"]).expect(0, "line break");
    assert!(folder.ok(&["check"]).starts_with("7 entries read"));
}
