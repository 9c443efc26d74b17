//! Calls with a start and an end: each is one entry, and those without an end are reported.

use crate::common::{Folder, json};
use serde_json::{Value, json as value};

/// Two calls that ended, one that did not, and one entry that is a whole call.
fn calls() -> Folder {
    let folder = Folder::new();
    let record = |id: &str, time: &str, metadata: Value| {
        value!({
            "id": id, "timestamp": format!("2026-01-{time}Z"), "metadata": metadata,
            "input": "question", "output": if id.starts_with("start") { "" } else { "answer" },
            "conversation_id": "c1", "model": "gpt-4", "output_tokens": 7,
        })
    };
    let start = value!({"attestry.phase": "start"});
    let end = |of: &str| value!({"attestry.phase": "end", "attestry.call": of});
    let lines = [
        record("start-1", "28T10:00:00", start.clone()),
        record("start-2", "28T10:00:01", start.clone()),
        record("whole", "28T10:00:02", value!({})),
        record("end-1", "28T10:00:03", end("start-1")),
        record("start-3", "28T10:00:04", start),
        record("end-3", "29T10:00:00", end("start-3")),
    ];
    folder.write("calls.jsonl", &lines.map(|line| line.to_string() + "\n").concat());
    folder.ok(&["import", "--store-content", "calls.jsonl"]);
    folder
}

fn ids(folder: &Folder, options: &[&str]) -> Vec<String> {
    let listed = folder.ok(&[&["list", "--format", "json"], options].concat());
    listed.lines().map(|line| json(line)["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_call_is_listed_once_unless_asked() {
    let folder = calls();
    let all = ["start-1", "start-2", "whole", "end-1", "start-3", "end-3"];
    for (options, expected) in [
        (&[][..], &["start-2", "whole", "end-1", "end-3"][..]),
        (&["--desc", "--limit", "2"], &["end-3", "end-1"]),
        // The end of the third call is on the next day, which the call belongs to.
        (&["--until", "2026-01-28"], &["start-2", "whole", "end-1"]),
        (&["--phase", "latest", "--since", "2026-01-29"], &["end-3"]),
        (&["--phase", "all"], &all),
        (&["--phase", "start"], &["start-1", "start-2", "start-3"]),
        (&["--phase", "end"], &["end-1", "end-3"]),
        (&["--phase", "open"], &["start-2"]),
    ] {
        assert_eq!(ids(&folder, options), expected, "{options:?}");
        let phase = options.iter().position(|option| *option == "--phase");
        let phase = phase.map_or(&[][..], |at| &options[at..at + 2]);
        if options == phase {
            let count = folder.ok(&[&["count"], phase].concat());
            assert_eq!(count, format!("{}\n", expected.len()));
            let stats = json(&folder.ok(&[&["stats", "--format", "json"], phase].concat()));
            assert_eq!(stats["total"]["entries"], expected.len());
            let found = folder.ok(&[&["search", "question", "--format", "id"], phase].concat());
            assert_eq!(found.lines().collect::<Vec<_>>(), expected);
        }
    }
    let table = folder.ok(&["list"]);
    assert!(table.contains("start-2") && !table.contains("start-1"), "{table}");
    let shown = folder.ok(&["show", "c1"]);
    assert_eq!(shown.matches("id: ").count(), 4, "{shown}");
}

#[test]
fn export_and_delete_select_all_entries() {
    let folder = calls();
    folder.ok(&["export", "--out", "exported"]);
    let exported = std::fs::read_to_string(folder.path("exported/entries.jsonl")).unwrap();
    assert_eq!(exported.lines().count(), 6);
    folder.ok(&["delete", "--conversation", "c1", "--yes"]);
    assert_eq!(folder.ok(&["count", "--phase", "all"]), "0\n");
}

#[test]
fn check_reports_calls_without_an_end() {
    let folder = calls();
    let text = folder.ok(&["check"]);
    assert_eq!(
        text,
        "entry start-2: a call without an end, started at 2026-01-28T10:00:01.000000Z\n\
         1 call has no end: killed, or still running\n\
         6 entries read, 12 stored contents checked: no problems\n"
    );
    let open = |options: &[&str]| {
        let check = [&["check", "--format", "json"], options].concat();
        json(&folder.ok(&check))["open_calls"].clone()
    };
    assert_eq!(
        open(&[]),
        value!({
            "grace_seconds": 3_600, "count": 1,
            "calls": [{"id": "start-2", "started": "2026-01-28T10:00:01"}],
        })
    );
    let none = value!({"grace_seconds": 315_360_000, "count": 0, "calls": []});
    assert_eq!(open(&["--grace", "3650d"]), none);
    folder.run(&["check", "--grace", "soon"]).expect(2, "expected a duration such as 30s");
    folder.ok(&["delete", "start-2"]);
    assert!(!folder.ok(&["check"]).contains("no end"));
}

#[test]
fn verify_reports_calls_without_an_end() {
    let folder = calls();
    folder.ok(&["key", "generate", "--signing", "--out", "signing.key"]);
    folder.ok(&["--signing-key", "signing.key", "tree", "begin"]);
    let verify = ["verify", "--public-key", "signing.key.pub"];
    let text = folder.ok(&verify);
    assert!(text.starts_with("entry start-2: a call without an end"), "{text}");
    assert!(text.contains("\n6 entries match the Merkle tree"), "{text}");
    let report = json(&folder.ok(&[&verify[..], &["--format", "json"]].concat()));
    assert_eq!(report["open_calls"]["count"], 1);
    assert_eq!(report["open_calls"]["calls"][0]["id"], "start-2");
}
