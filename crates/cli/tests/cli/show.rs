//! `show` and `search`.

use crate::common::{Folder, json};

/// A conversation of two turns with encrypted content, of which the second repeats the first, and an
/// entry of which only the hash is stored. Returns the ids.
fn conversation() -> (Folder, Vec<String>) {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--out", "audit.key"]);
    let question = r#"{"role":"user","content":[{"type":"text","text":"Wetter in M\u00fcnchen?"},{"type":"image_url","image_url":{"url":"https://example.com/sky.png"}}]}"#;
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call-1","function":{"name":"weather","arguments":"{}"}}]}"#;
    let result = r#"{"role":"tool","tool_call_id":"call-1","content":"12 degrees"}"#;
    let line = |input: String, output: &str, minute: u32| {
        serde_json::json!({
            "input": input, "output": output, "conversation_id": "c1", "provider": "openai",
            "model": "gpt-4", "latency_ms": 12.5, "metadata": {"user.id": format!("u-{minute}")},
            "timestamp": format!("2026-01-28T09:{minute:02}:00Z"),
        })
        .to_string()
    };
    let answer = format!("Cold.\n{}\u{1b}[31mred\u{202e}", "A long answer. ".repeat(20));
    let first = line(format!("[{question}]"), call, 1);
    let second = line(format!("[{question},{call},{result}]"), &answer, 2);
    folder.write("turns.jsonl", &format!("{first}\n{second}\n"));
    let import = ["--key-file", "audit.key", "import", "--store-content", "turns.jsonl"];
    let mut ids: Vec<_> = folder.ok(&import).lines().map(str::to_owned).collect();
    let hash_only = ["log", "--input", "secret", "--output", "x", "--conversation-id", "c2"];
    ids.push(folder.ok(&hash_only).trim_end().to_owned());
    (folder, ids)
}

#[test]
fn show_prints_a_conversation_as_turns() {
    let (folder, ids) = conversation();
    let shown = folder.ok(&["--key-file", "audit.key", "show", "c1", "--width", "60"]);
    for expected in [
        "Conversation c1\n",
        "1  2026-01-28T09:01:00.000000Z  openai  gpt-4  12.5 ms\n",
        "   user\n      Wetter in München?\n      [image] https://example.com/sky.png\n",
        "   assistant\n      [tool call] weather({}) [call-1]\n",
        "(2 messages as before)\n",
        "[tool result] call-1 12 degrees\n",
        "   output\n      Cold.\n      A long answer. ",
        "\\u{1b}[31m",
        "metadata: user.id=u-2\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
    assert!(!shown.contains('\u{1b}') && shown.matches("Wetter").count() == 1, "{shown}");
    let berlin = folder.ok(&["show", &ids[1], "--tz", "Europe/Berlin"]);
    assert!(berlin.contains("2026-01-28T10:02:00.000000+01:00") && berlin.contains(&ids[1]));
    assert!(!berlin.contains(&ids[0]), "one entry only");
}

#[test]
fn show_says_what_is_not_readable() {
    let (folder, ids) = conversation();
    let shown = folder.ok(&["show", "c1"]);
    assert!(shown.contains("input (encrypted; give its key with --key-file)"), "{shown}");
    let shown = folder.ok(&["show", &ids[2]]);
    assert!(shown.contains("input (not stored; hash"), "{shown}");
    folder.ok(&["key", "generate", "--out", "other.key"]);
    let wrong = folder.run(&["--key-file", "other.key", "show", "c1"]);
    wrong.expect(1, &ids[0]);
    assert!(wrong.stdout.contains("cannot be decrypted with the given keys"), "{}", wrong.stdout);
    let unknown = folder.run(&["show", "C1"]);
    unknown.expect(1, "there is no conversation or entry \"C1\"");
    unknown.expect(1, "near: \"c1\" (2 entries)");
}

#[test]
fn search_finds_escaped_and_encrypted_text() {
    let (folder, ids) = conversation();
    // Stored as \u escapes, which grep does not find.
    folder.ok(&["log", "--input", "München", "--output", "plain", "--store-content"]);
    let with_key = ["--key-file", "audit.key", "search", "München"];
    let found = folder.run(&with_key);
    assert_eq!((found.status, found.stderr.as_str()), (Some(0), ""));
    assert!(found.stdout.contains(&ids[0]) && found.stdout.contains("input: München"));
    let found = folder.ok(&[&with_key[..], &["--format", "id", "--user", "u-2"]].concat());
    assert_eq!(found, format!("{}\n", ids[1]));
    let lines =
        folder.ok(&[&with_key[..], &["--format", "json", "--limit", "1", "--desc"]].concat());
    assert_eq!(json(lines.trim_end())["input_content"], "München");

    let without_key = folder.run(&["search", "München", "--format", "id"]);
    without_key.expect(0, "2 entries are encrypted with a key that is not given");
    assert_eq!(without_key.stdout.lines().count(), 1);
    // Metadata is plain.
    assert_eq!(folder.ok(&["search", "u-1", "--format", "id"]), format!("{}\n", ids[0]));
    folder.run(&["search", ""]).expect(2, "the text to find is empty");
    let colours = folder.ok(&["--key-file", "audit.key", "search", "red"]);
    assert!(!colours.contains('\u{1b}'), "{colours}");
}

#[test]
fn list_decrypts_in_json_and_csv() {
    let (folder, _) = conversation();
    let list = ["--key-file", "audit.key", "list", "--decrypt", "--format"];
    let lines = folder.ok(&[&list[..], &["json"]].concat());
    assert_eq!(lines.lines().count(), 3);
    assert!(
        json(lines.lines().nth(1).unwrap())["output_content"].as_str().unwrap().contains("Cold")
    );
    assert!(folder.ok(&[&list[..], &["csv"]].concat()).contains("Cold."));
    folder.run(&["list", "--decrypt", "--format", "json"]).expect(2, "the content is encrypted");
}
