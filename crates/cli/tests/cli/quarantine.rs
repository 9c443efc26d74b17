//! `quarantine`, and what `check`, `delete` and `cleanup` make of torn lines.

use std::fs::OpenOptions;
use std::io::Write;

use crate::common::{self, Folder};

const TORN: &str = r#"{"id": "torn-1", "timestamp": "2020-01-28T10:00:00", "provider": "a\u0007b"#;

/// A store with one torn line in quarantine, and the name of that file.
fn with_torn_line() -> (Folder, String) {
    let (folder, _) = Folder::with_sample();
    let (segment, _) = folder.segment();
    let mut segment = OpenOptions::new().append(true).open(segment).unwrap();
    segment.write_all(TORN.as_bytes()).unwrap();
    folder.ok(&["log", "--input", "in", "--output", "out"]);
    let listed = folder.ok(&["quarantine", "list"]);
    let name = listed.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (folder, name)
}

#[test]
fn torn_lines_are_listed_shown_and_removed() {
    let (folder, name) = with_torn_line();
    let listed = folder.ok(&["quarantine", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for part in ["torn-1", "2020-01-28T10:00:00", &format!(" {} ", TORN.len())] {
        assert!(listed.contains(part), "{part:?} is not in {listed}");
    }
    let json = common::json(&folder.ok(&["quarantine", "list", "--format", "json"]));
    assert_eq!((json[0]["id"].as_str(), json[0]["kind"].as_str()), (Some("torn-1"), Some("line")));
    assert_eq!(folder.ok(&["quarantine", "show", &name]), TORN);
    folder.run(&["quarantine", "show", "../lock"]).expect(1, "there is no file ../lock");
    folder.run(&["quarantine", "remove", "../lock"]).expect(1, "there is no file ../lock");
    assert_eq!(folder.ok(&["quarantine", "remove", &name]), format!("{name}\n"));
    folder.run(&["quarantine", "remove", &name]).expect(1, "there is no file");
    assert_eq!(folder.ok(&["quarantine", "list"]).lines().count(), 1);
}

#[test]
fn check_lists_torn_lines_without_failing() {
    let (folder, name) = with_torn_line();
    let text = folder.ok(&["check"]);
    assert!(text.contains(&name) && text.contains("quarantine"), "{text}");
    assert!(text.ends_with("no problems\n"), "{text}");
    let json = common::json(&folder.ok(&["check", "--format", "json"]));
    assert_eq!(json["quarantine"][0]["name"].as_str(), Some(&*name));
}

#[test]
fn delete_and_cleanup_reach_torn_lines() {
    let (folder, _) = with_torn_line();
    assert_eq!(folder.ok(&["delete", "torn-1"]), "torn-1\n");
    assert_eq!(folder.ok(&["quarantine", "list"]).lines().count(), 1);
    let (folder, _) = with_torn_line();
    let days = ["--retention-days", "2000"];
    let planned = folder.ok(&[&["cleanup", "--dry-run"], &days[..]].concat());
    assert!(
        planned.starts_with("would erase 0 entries and 1 torn line in quarantine"),
        "{planned}"
    );
    let erased = folder.ok(&[&["cleanup"], &days[..]].concat());
    assert!(erased.starts_with("erased 0 entries and 1 torn line in quarantine"), "{erased}");
    assert_eq!(folder.ok(&["quarantine", "list"]).lines().count(), 1);
}
