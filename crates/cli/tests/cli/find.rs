//! `get`, `list`, `count` and `stats`.

use crate::common::{Folder, json};
use serde_json::Value;

/// The metadata numbers of the entries that `list` prints with these options.
fn numbers(folder: &Folder, options: &[&str]) -> Vec<u64> {
    let arguments = [&["list", "--format", "json"], options].concat();
    let listed = folder.ok(&arguments);
    listed.lines().map(|line| json(line)["metadata"]["n"].as_u64().unwrap()).collect()
}

#[test]
fn get_prints_the_stored_line() {
    let (folder, ids) = Folder::with_sample();
    let stored = folder.segment().1;
    assert_eq!(folder.ok(&["get", &ids[2]]).trim_end(), stored.lines().nth(2).unwrap());
}

#[test]
fn get_distinguishes_unknown_from_invalid_ids() {
    let (folder, _) = Folder::with_sample();
    let run = folder.run(&["get", "unknown"]);
    run.expect(1, "there is no entry with the id unknown");
    assert_eq!(run.stdout, "");
    for (id, reason) in [
        ("a/b", "path separator '/'"),
        ("..", "must not be \".\" or contain \"..\""),
        ("a\nb", "control character U+000A"),
        ("", "must not be empty"),
        (&"x".repeat(256), "at most 255 bytes"),
    ] {
        for command in ["get", "delete"] {
            let run = folder.run(&[command, id]);
            run.expect(2, "is not a valid entry id: ");
            run.expect(2, reason);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
    }
    assert_eq!(folder.ok(&["count"]), "6\n");
}

#[test]
fn list_selects() {
    let (folder, _) = Folder::with_sample();
    for (options, expected) in [
        (&[][..], &[110, 120, 230, 240, 350, 360][..]),
        (&["--since", "2026-01-02"], &[230, 240, 350, 360]),
        (&["--until", "2026-01-02"], &[110, 120, 230, 240]),
        (&["--until", "2026-01-02T12:00:00.000030"], &[110, 120, 230]),
        (&["--since", "2026-01-02T13:00:00.00004+01:00"], &[240, 350, 360]),
        (&["--since", "2026-01-02", "--until", "2026-01-02"], &[230, 240]),
        (&["--provider", "anthropic"], &[240, 350]),
        (&["--model", "gpt-4"], &[110, 120, 360]),
        (&["--conversation", "c3"], &[350, 360]),
        (&["--safety", "failed"], &[120, 350]),
        (&["--safety", "passed", "--provider", "anthropic"], &[240]),
        (&["--detector", "pii"], &[120, 350]),
        (&["--detector", "none"], &[]),
        (&["--metadata", "n=230"], &[230]),
        (&["--metadata", "n=230.0"], &[230]),
        (&["--metadata", "n=\"230\""], &[]),
        (&["--metadata", "n", "--limit", "1"], &[110]),
        (&["--metadata", "n", "--metadata", "n=110"], &[110]),
        (&["--since", "2026-01-03", "--tz", "Pacific/Kiritimati"], &[230, 240, 350, 360]),
        (&["--until", "2026-01-02", "--tz", "+14:00"], &[110, 120]),
        (&["--since", "2026-01", "--until", "2026-01"], &[110, 120, 230, 240, 350, 360]),
        (&["--since", "now"], &[]),
        (&["--limit", "2"], &[110, 120]),
        (&["--limit", "2", "--desc"], &[360, 350]),
        (&["--limit", "0"], &[]),
    ] {
        assert_eq!(numbers(&folder, options), expected, "{options:?}");
    }
}

#[test]
fn list_rejects_invalid_filters() {
    let (folder, _) = Folder::with_sample();
    for command in ["list", "count", "stats"] {
        folder
            .run(&[command, "--since", "2026-01-03", "--until", "2026-01-02"])
            .expect(2, "error: the range starts at 2026-01-03T00:00:00, after its end");
        folder.run(&[command, "--since", "tomorrow"]).expect(2, "expected a time such as");
        folder
            .run(&[command, "--until", "+10000-01-01T00:00:00"])
            .expect(2, "outside the years 1 to 9999");
        folder.run(&[command, "--tz", "Mars/Olympus"]).expect(2, "not a time zone");
        folder.run(&[command, "--metadata", "tags=[1]"]).expect(2, "can be compared");
        folder.run(&[command, "--safety", "unsure"]).expect(2, "[possible values: passed, failed]");
    }
    folder.run(&["list", "--frobnicate"]).expect(2, "unexpected argument '--frobnicate'");
}

#[test]
fn table_is_aligned_and_escapes_control_characters() {
    let (folder, ids) = Folder::with_sample();
    folder.ok(&[
        "log",
        "--input",
        "a",
        "--output",
        "b",
        "--timestamp",
        "2026-02-01",
        "--model",
        "\u{1b}[2Jred\nnew",
        "--conversation-id",
        &"long ".repeat(20),
    ]);
    let table = folder.ok(&["list"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 8, "{table}");
    let column = lines[0].find("PROVIDER").unwrap();
    assert!(lines[1..7].iter().all(
        |line| line[column..].starts_with("openai") || line[column..].starts_with("anthropic")
    ));
    assert!(lines[2].contains(&ids[1]) && lines[2].contains("FAILED pii,toxicity"), "{table}");
    assert!(lines[7].contains("\\u{1b}[2Jred\\nnew") && lines[7].contains('…'), "{table}");
    assert!(!table.contains('\u{1b}'));
    // Without entries, only the header is printed.
    assert_eq!(folder.ok(&["list", "--provider", "unknown"]).lines().count(), 1);
}

#[test]
fn csv_has_17_columns_and_round_trips() {
    let (folder, _) = Folder::with_sample();
    let tricky = "say \"hi\",\nthen =1+1";
    folder.ok(&[
        "log",
        "--input",
        tricky,
        "--output",
        "b",
        "--store-content",
        "--alert",
        "x, y",
        "--timestamp",
        "2026-02-01",
    ]);
    let csv = folder.ok(&["list", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let entries = folder.entries();
    assert_eq!(names, entries[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
    assert_eq!(names.len(), 17);
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 7);
    for (record, entry) in records.iter().zip(&entries) {
        for (name, field) in names.iter().zip(record) {
            match &entry[name] {
                Value::String(time) if name == "timestamp" => {
                    let fraction = if time.contains('.') { "" } else { ".000000" };
                    assert_eq!(field, format!("{time}{fraction}Z"));
                }
                Value::Null => assert_eq!(field, ""),
                Value::String(text) => assert_eq!(field, text),
                other => assert_eq!(&json(field), other, "{name}"),
            }
        }
    }
    assert_eq!(&records[6][4], tricky);
    assert_eq!(folder.ok(&["list", "--format", "csv", "--limit", "0"]).lines().count(), 1);
}

/// One shape of time in all rows and formats, with a fraction and a zone.
#[test]
fn times_have_one_format_in_all_outputs() {
    let (folder, _) = Folder::with_sample();
    folder.ok(&["log", "--input", "a", "--output", "b", "--timestamp", "2026-02-01"]);
    let times = |arguments: &[&str]| -> Vec<String> {
        let output = folder.ok(arguments);
        let separators = |c: char| c.is_whitespace() || matches!(c, ',' | '"');
        let is_time = |word: &&str| word.starts_with("2026-0");
        output.split(separators).filter(is_time).map(str::to_owned).collect()
    };
    for arguments in
        [&["list"][..], &["list", "--format", "csv"], &["stats"], &["stats", "--format", "json"]]
    {
        let utc = times(arguments);
        assert!(utc.len() >= 2, "{arguments:?}");
        assert_eq!(utc[0], "2026-01-01T12:00:00.000010Z", "{arguments:?}");
        assert!(utc.iter().all(|time| time.len() == utc[0].len()), "{utc:?}");
        let berlin = times(&[arguments, &["--tz", "Europe/Berlin"]].concat());
        assert_eq!(berlin[0], "2026-01-01T13:00:00.000010+01:00", "{arguments:?}");
        assert_eq!(berlin.len(), utc.len());
    }
}

#[test]
fn csv_safe_neutralises_formulas() {
    let folder = Folder::new();
    folder.ok(&["log", "--input", "a", "--output", "b", "--model", "=1+1"]);
    assert!(folder.ok(&["list", "--format", "csv"]).contains(",=1+1,"));
    assert!(folder.ok(&["list", "--format", "csv", "--csv-safe"]).contains(",'=1+1,"));
}

#[test]
fn unmatched_filters_name_near_values() {
    let (folder, _) = Folder::with_sample();
    for (option, value, note) in [
        (
            "--provider",
            "OpenAi",
            "no entry has the provider \"OpenAi\"; near: \"openai\" (4 entries)",
        ),
        ("--model", "gtp-4", "near: \"gpt-4\" (3 entries)"),
        ("--detector", "PII", "near: \"pii\" (2 entries)"),
        ("--metadata", "n=\"110\"", "near: \"110\" (1 entry)"),
        ("--metadata", "N", "no entry has the metadata key \"N\"; near: \"n\" (6 entries)"),
        ("--user", "u-17", "no entry has the metadata user.id"),
    ] {
        for command in ["list", "count", "stats"] {
            let run = folder.run(&[command, option, value]);
            assert_eq!(run.status, Some(0), "{run:?}");
            assert!(run.stderr.contains(note), "{command} {option} {value}: {}", run.stderr);
        }
    }
    // The provider exists: the other filter excludes it.
    let run = folder.run(&["count", "--provider", "openai", "--since", "2026-02"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("0\n", ""));
}

#[test]
fn get_takes_several_ids_and_standard_input() {
    let (folder, ids) = Folder::with_sample();
    let lines = folder.ok(&["get", &ids[4], &ids[1]]);
    let found: Vec<_> = lines.lines().map(|line| json(line)["id"].clone()).collect();
    assert_eq!(found, [ids[4].as_str(), &ids[1]]);
    let input = format!("{}\nunknown\n\n{}\n", ids[0], ids[5]);
    let run = folder.run_with_input(&["get", "-"], input.as_bytes());
    run.expect(1, "there is no entry with the id unknown");
    assert_eq!(run.stdout.lines().count(), 2);
    let run = folder.run_with_input(&["get", "-"], b"");
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""));
}

#[test]
fn count_applies_filters() {
    let (folder, _) = Folder::with_sample();
    assert_eq!(folder.ok(&["count"]), "6\n");
    assert_eq!(folder.ok(&["count", "--safety", "failed", "--until", "2026-01-01"]), "1\n");
}

#[test]
fn stats_totals_are_correct() {
    let (folder, _) = Folder::with_sample();
    folder.ok(&["log", "--input", "a", "--output", "b", "--timestamp", "2026-01-05"]);
    let stats = json(&folder.ok(&["stats", "--format", "json"]));
    assert_eq!(stats["first"], "2026-01-01T12:00:00.000010Z");
    assert_eq!(stats["last"], "2026-01-05T00:00:00.000000Z");
    let total = &stats["total"];
    assert_eq!(total["entries"], 7);
    assert_eq!(total["safety_failed"], 2);
    assert_eq!(total["input_tokens"], 110 + 120 + 230 + 240 + 350 + 360);
    assert_eq!(total["output_tokens"], 42);
    // The entry without a latency is left out.
    assert_eq!(total["latency_ms"]["measured"], 6);
    assert_eq!(total["latency_ms"]["max"], 60.0);
    for (name, exact) in [("p50", 30.0), ("p90", 60.0), ("p99", 60.0)] {
        let estimate = total["latency_ms"][name].as_f64().unwrap();
        assert!((estimate / exact - 1.0).abs() < 0.005, "{name}: {estimate}");
    }
    let models: Vec<_> = stats["groups"].as_array().unwrap().iter().collect();
    assert_eq!(models.len(), 4);
    assert_eq!(models[0]["provider"], Value::Null);
    assert_eq!(models[1]["model"], "claude");
    assert_eq!(models[1]["entries"], 2);
    assert_eq!(models[2]["latency_ms"]["max"], 60.0);

    let table = folder.ok(&["stats", "--provider", "openai"]);
    assert!(table.starts_with("4 entries, 1 safety failure\nfrom 2026-01-01T12:00:00.000010Z to "));
    assert!(table.lines().last().unwrap().starts_with("total"), "{table}");
    let none = json(&folder.ok(&["stats", "--provider", "unknown", "--format", "json"]));
    assert_eq!(none["first"], Value::Null);
    assert_eq!(folder.ok(&["stats", "--provider", "unknown"]), "0 entries, 0 safety failures\n");
}

#[test]
fn stats_group_by_several_keys() {
    let (folder, _) = Folder::with_sample();
    let by = ["stats", "--by", "day,provider,metadata:n", "--percentile", "50,99.9"];
    let stats = json(&folder.ok(&[&by[..], &["--format", "json"]].concat()));
    assert_eq!(stats["by"], serde_json::json!(["day", "provider", "n"]));
    assert_eq!(stats["groups"].as_array().unwrap().len(), 6);
    assert_eq!(stats["groups"][0]["day"], "2026-01-01");
    assert_eq!(stats["groups"][0]["n"], "110");
    assert!(stats["total"]["latency_ms"]["p99.9"].is_number());

    let csv = folder.ok(&["stats", "--by", "day", "--format", "csv", "--tz", "+13:00"]);
    let rows: Vec<_> = csv.lines().collect();
    assert_eq!(
        rows[0],
        "day,first,last,entries,safety_failed,input_tokens,output_tokens,measured,p50_ms,p90_ms,p99_ms,max_ms"
    );
    assert!(rows[1].starts_with("2026-01-02,2026-01-02T01:00:00.000010+13:00,"), "{csv}");
    assert_eq!(rows.len(), 4);
    let table = folder.ok(&["stats", "--by", "user"]);
    assert!(table.contains("USER.ID") && table.contains("\n-  "), "{table}");
    folder.run(&["stats", "--by", "colour"]).expect(2, "expected provider, model");
    folder.run(&["stats", "--percentile", "101"]).expect(2, "a number from 0 to 100");
}

/// The same in all formats, and beyond 64 bits.
#[test]
fn token_totals_do_not_overflow() {
    let folder = Folder::new();
    let most = i64::MAX.to_string();
    for _ in 0..3 {
        folder.ok(&["log", "--input", "a", "--output", "b", "--input-tokens", &most]);
    }
    let total = (i128::from(i64::MAX) * 3).to_string();
    let stats = json(&folder.ok(&["stats", "--format", "json"]));
    assert_eq!(stats["total"]["input_tokens"], total.as_str());
    assert!(folder.ok(&["stats", "--format", "csv"]).contains(&total));
    assert!(folder.ok(&["stats"]).replace(',', "").contains(&total));
}

#[test]
fn corrupt_records_are_reported_and_others_printed() {
    let (folder, _) = Folder::with_sample();
    let (path, content) = folder.segment();
    let second = content.find('\n').unwrap() + 1;
    let mut broken = content.into_bytes();
    broken[second] = b'#';
    std::fs::write(&path, broken).unwrap();
    for (command, printed_lines) in [
        (&["list", "--format", "json"][..], 5),
        (&["list"], 6),
        (&["count", "--until", "2030-01-01"], 1),
    ] {
        let run = folder.run(command);
        run.expect(1, "corrupt record in ");
        run.expect(1, &format!("at byte {second}: "));
        assert_eq!(run.stdout.lines().count(), printed_lines, "{run:?}");
    }
}
