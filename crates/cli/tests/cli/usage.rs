//! Store selection, unusable stores, help, completions, and output that cannot be written.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::common::{self, Folder, finish, run, sample};

#[test]
fn reading_commands_do_not_create_a_store() {
    let folder = Folder::new();
    let reading_commands: [&[&str]; 6] =
        [&["list"], &["get", "x"], &["count"], &["stats"], &["check"], &["cleanup", "--dry-run"]];
    for arguments in reading_commands {
        let run = folder.run(arguments);
        run.expect(
            2,
            "error: there is no store at ./audit\nhint: `attestry log` or `attestry import`",
        );
        assert!(!common::exists(&folder.path("audit")));
    }
}

#[test]
fn reading_commands_do_not_change_the_store() {
    let (folder, _) = Folder::with_sample();
    let state = |name: &str| {
        let metadata = folder.path(name).metadata().unwrap();
        (metadata.modified().unwrap(), metadata.len())
    };
    let before = (state("audit"), state("audit/.attestry"));
    for arguments in [&["list"][..], &["check"], &["cleanup", "--dry-run"]] {
        folder.ok(arguments);
    }
    assert_eq!((state("audit"), state("audit/.attestry")), before);
}

#[test]
fn store_path_that_is_a_file_is_an_error() {
    let folder = Folder::new();
    folder.write("audit", "not a store");
    for arguments in [&["list"][..], &["log", "--input", "a", "--output", "b"], &["cleanup"]] {
        folder.run(arguments).expect(2, "error: ./audit is a file; a store is a folder\nhint: ");
    }
    let url = format!("file://{}", folder.path("audit").display());
    for command in ["list", "cleanup"] {
        folder.run(&["--store", &url, command]).expect(2, "error: ");
    }
    assert_eq!(std::fs::read_to_string(folder.path("audit")).unwrap(), "not a store");
    folder
        .run(&["--store", "audit/below", "log", "--input", "a", "--output", "b"])
        .expect(2, "hint: a store is a folder; select one with --store");
}

#[test]
#[cfg(not(feature = "s3"))]
fn s3_url_without_feature_is_an_error() {
    let run = Folder::new().run(&["--store", "s3://bucket/prefix", "count"]);
    run.expect(2, "error: this build does not support S3 stores\nhint: build it with");
}

#[test]
#[cfg(feature = "s3")]
fn invalid_s3_url_is_an_error() {
    let folder = Folder::new();
    folder
        .run(&["--store", "s3:///prefix", "count"])
        .expect(2, "error: an S3 URL names a bucket and a prefix in it");
    folder
        .run(&["--store", "s3://bucket?colour=red", "count"])
        .expect(2, "error: unknown option \"colour\"");
}

#[test]
#[cfg(target_os = "linux")]
fn unwritable_folder_is_an_error() {
    let folder = Folder::new();
    // Not even root can write there.
    let run = folder.run(&["--store", "/proc/audit", "log", "--input", "a", "--output", "b"]);
    run.expect(2, "error: cannot create the folder /proc/audit: ");
    let run = folder.run(&["--store", "/dev/null/x", "log", "--input", "a", "--output", "b"]);
    run.expect(2, "error: cannot create the folder /dev/null/x: ");
    run.expect(2, "\nhint: a store is a folder");
}

#[test]
fn concurrent_programs_share_a_store() {
    let (folder, _) = Folder::with_sample();
    let mut writer = folder.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(sample().as_bytes()).unwrap();
    let mut output = BufReader::new(writer.stdout.take().unwrap());
    let mut printed = String::new();
    output.read_line(&mut printed).unwrap();

    let second = folder.ok(&["log", "--input", "a", "--output", "b"]);
    assert_eq!(folder.ok(&["count"]), "13\n");
    folder.ok(&["get", printed.trim_end()]);
    folder.ok(&["delete", second.trim_end()]);
    assert_eq!(folder.ok(&["count"]), "12\n");
    drop(input);
    finish(writer).expect(0, "imported 6 interactions");
}

/// A store of several years has more segments than the usual soft limit of open files.
#[test]
fn open_file_limit_is_raised() {
    let (folder, _) = Folder::with_sample();
    let audit = folder.path("audit");
    let segment = std::fs::read_dir(&audit).unwrap().map(|item| item.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some()).unwrap();
    for year in 2000..2010 {
        for day in 1..=20 {
            std::fs::copy(&segment, audit.join(format!("audit_{year}01{day:02}.jsonl"))).unwrap();
        }
    }
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -S -n 64; exec \"$0\" count", env!("CARGO_BIN_EXE_attestry")]);
    shell.env("ATTESTRY_STORE", &audit).stdout(Stdio::piped()).stderr(Stdio::piped());
    run(&mut shell).expect(0, "");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" count", env!("CARGO_BIN_EXE_attestry")]);
    shell.env("ATTESTRY_STORE", &audit).stdout(Stdio::piped()).stderr(Stdio::piped());
    run(&mut shell).expect(2, "raise the limit with `ulimit -n`");
}

#[test]
fn torn_line_is_quarantined_and_reported() {
    let (folder, _) = Folder::with_sample();
    let (path, content) = folder.segment();
    std::fs::write(&path, content.clone() + "{\"id\": \"torn").unwrap();
    let run = folder.run(&["log", "--input", "a", "--output", "b"]);
    run.expect(
        0,
        &format!("the torn last line of ./audit/{}", path.file_name().unwrap().display()),
    );
    run.expect(0, "was moved to ./audit/.attestry/");
    assert!(folder.segment().1.starts_with(&content));
    assert_eq!(folder.entries().len(), 7);
}

#[test]
fn store_is_selected_by_path_or_url() {
    let (folder, _) = Folder::with_sample();
    let url = format!("file://{}", folder.path("audit").display());
    assert_eq!(folder.ok(&["--store", &url, "count"]), "6\n");
    assert_eq!(folder.ok(&["count", "--store", "audit"]), "6\n");
    assert_eq!(folder.ok(&["--store", "memory:", "count"]), "0\n");
    let wrong = |store: &str, message: &str| {
        folder.run(&["--store", store, "count"]).expect(2, message);
    };
    wrong("gs://bucket", "error: \"gs://bucket\" is not the URL of a store");
    wrong("memory:?size=3", "unknown option \"size\"");
    wrong("file://relative", "a file URL has an absolute path");
    wrong("", "error: the store name is empty\nhint: select a folder");
}

#[test]
fn store_option_overrides_environment() {
    let (folder, _) = Folder::with_sample();
    let count = |store: &str, arguments: &[&str]| {
        run(folder.command(arguments).env("ATTESTRY_STORE", store))
    };
    std::fs::rename(folder.path("audit"), folder.path("moved")).unwrap();
    assert_eq!(count("moved", &["count"]).stdout, "6\n");
    count("missing", &["count"]).expect(2, "there is no store at missing");
    assert_eq!(count("missing", &["--store", "moved", "count"]).stdout, "6\n");
}

#[test]
fn every_command_has_help_with_examples() {
    let folder = Folder::new();
    let help = folder.ok(&["--help"]);
    for command in [
        &["log"][..],
        &["import"],
        &["get"],
        &["list"],
        &["count"],
        &["delete"],
        &["cleanup"],
        &["compact"],
        &["stats"],
        &["check"],
        &["checkpoint"],
        &["verify"],
        &["prove"],
        &["verify-proof"],
        &["export"],
        &["key", "generate"],
        &["completions"],
    ] {
        assert!(help.contains(&format!("\n  {}", command[0])), "{command:?} is not in {help}");
        let help = folder.ok(&[command, &["--help"]].concat());
        assert!(help.contains("Examples:\n  attestry "), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    assert!(help.contains("Exit status:") && help.contains("ATTESTRY_KEY"), "{help}");
    for (command, other) in [("check", "attestry verify"), ("verify", "attestry check")] {
        assert!(folder.ok(&[command, "--help"]).contains(other), "{command} and {other}");
    }
    assert!(folder.ok(&["--version"]).starts_with("attestry 0."));
    folder.run::<&str>(&[]).expect(2, "Usage: attestry");
    folder.run(&["lst"]).expect(2, "unrecognized subcommand 'lst'");
}

#[test]
fn completions_exist_for_every_shell() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(folder.ok(&["completions", shell]).contains("attestry"), "{shell}");
    }
    folder.run(&["completions", "dos"]).expect(2, "invalid value 'dos'");
}

#[test]
fn closed_output_pipe_is_not_an_error() {
    let folder = Folder::new();
    folder.write("many.jsonl", &sample().repeat(500));
    folder.ok(&["import", "many.jsonl"]);
    for arguments in [
        &["list"][..],
        &["list", "--format", "json"],
        &["list", "--format", "csv"],
        &["stats"],
        &["check"],
        &["--help"],
        &["completions", "bash"],
    ] {
        let mut child = folder.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let run = finish(child);
        run.expect(0, "");
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
}

#[test]
fn import_continues_after_output_is_closed() {
    let folder = Folder::new();
    folder.write("many.jsonl", &sample().repeat(500));
    let mut child = folder.command(&["import", "many.jsonl"]).spawn().unwrap();
    drop(child.stdout.take());
    finish(child).expect(0, "imported 3,000 interactions");
    assert_eq!(folder.ok(&["count"]), "3000\n");
}

#[test]
#[cfg(target_os = "linux")]
fn failed_output_write_is_an_error() {
    let (folder, _) = Folder::with_sample();
    let full = || Stdio::from(std::fs::File::create("/dev/full").unwrap());
    run(folder.command(&["list"]).stdout(full()))
        .expect(2, "error: cannot write to standard output: No space left on device");
    run(folder.command(&["import", "sample.jsonl", "--new-ids"]).stdout(full()))
        .expect(2, "stopped: imported 6 interactions, all up to line 6;");
}
