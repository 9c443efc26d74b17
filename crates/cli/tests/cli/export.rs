//! `export`: modes, interruption and resumption.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{self, Folder, exists, run};

/// A store of 40 entries with one timestamp.
fn store() -> Folder {
    let folder = Folder::new();
    let line = |n| {
        format!(r#"{{"input": "q{n}", "output": "a", "timestamp": "2026-01-28T09:15:00Z"}}"#) + "\n"
    };
    folder.write("in.jsonl", &(0..40).map(line).collect::<String>());
    folder.ok(&["import", "in.jsonl"]);
    folder
}

/// Exports under a limit of file sizes, which ends the program in the middle of a line.
fn interrupted(folder: &Folder) {
    let script = "ulimit -f 8; exec \"$0\" export --out copy";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_attestry")]);
    command.current_dir(folder.path("")).env_remove("ATTESTRY_STORE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_ne!(run(&mut command).status, Some(0));
    assert!(exists(&folder.path("copy/INCOMPLETE.json")));
    let partial = fs::read_to_string(folder.path("copy/entries.jsonl")).unwrap();
    assert!(!partial.ends_with('\n') && (2..39).contains(&partial.lines().count()));
}

fn exported(folder: &Folder) -> String {
    assert!(!exists(&folder.path("copy/INCOMPLETE.json")));
    fs::read_to_string(folder.path("copy/entries.jsonl")).unwrap()
}

#[test]
fn killed_export_is_marked_and_resumed() {
    let folder = store();
    interrupted(&folder);
    folder.run(&["export", "--out", "copy"]).expect(2, "--resume continues an export");
    let other = ["export", "--out", "copy", "--resume", "--safety", "failed"];
    folder.run(&other).expect(2, "--resume takes no conditions");
    folder.run(&["export", "--out", "copy", "--resume"]).expect(0, "exported 40 entries");
    assert_eq!(exported(&folder), folder.ok(&["list", "--format", "json"]));
    folder.run(&["export", "--out", "copy", "--resume"]).expect(2, "a complete export has no such");
}

/// The last exported entry is erased meanwhile, so that its cursor points nowhere.
#[test]
fn resumed_export_repeats_no_entry() {
    let folder = store();
    let all = folder.ok(&["list", "--format", "json"]);
    interrupted(&folder);
    let partial = fs::read_to_string(folder.path("copy/entries.jsonl")).unwrap();
    let whole: Vec<_> = partial.lines().collect();
    let last = common::json(whole[whole.len() - 2])["id"].as_str().unwrap().to_owned();
    folder.ok(&["delete", &last]);
    folder.run(&["export", "--out", "copy", "--resume"]).expect(0, "exported 40 entries");
    assert_eq!(exported(&folder), all);
}

#[test]
fn failed_export_says_how_to_continue() {
    let folder = store();
    fs::create_dir(folder.path("copy")).unwrap();
    let plan = r#"{"query":{"order":"ascending"},"with_proofs":false}"#;
    folder.write("copy/INCOMPLETE.json", plan);
    folder.write("copy/entries.jsonl", "{\n");
    folder.run(&["export", "--out", "copy", "--resume"]).expect(2, "line 1 of copy/entries.jsonl");
    folder.write("copy/INCOMPLETE.json", "{}");
    folder.run(&["export", "--out", "copy", "--resume"]).expect(2, "is damaged");
}

#[test]
#[cfg(unix)]
fn export_is_private_to_the_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = store();
    let mut command = folder.command(&["export", "--out", "copy"]);
    assert_eq!(run(&mut command).status, Some(0));
    let mode = |name: &str| folder.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("copy"), mode("copy/entries.jsonl")), (0o700, 0o600));
}
