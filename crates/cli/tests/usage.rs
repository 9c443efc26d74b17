//! Stores that cannot be used, the environment, help, and who reads the output.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Folder, finish, run, sample};

#[test]
fn a_missing_store_is_named_and_not_made_by_reading() {
    let folder = Folder::new();
    let reading: [&[&str]; 6] =
        [&["list"], &["get", "x"], &["count"], &["stats"], &["check"], &["cleanup", "--dry-run"]];
    for arguments in reading {
        let run = folder.run(arguments);
        run.expect(
            2,
            "error: there is no store at ./audit\nhint: `attestry log` or `attestry import`",
        );
        assert!(!common::exists(&folder.path("audit")));
    }
}

#[test]
fn reading_leaves_the_store_as_it_is() {
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
fn a_store_that_is_a_file_is_told_as_such() {
    let folder = Folder::new();
    folder.write("audit", "I am a file");
    for arguments in [&["list"][..], &["log", "--input", "a", "--output", "b"], &["cleanup"]] {
        folder
            .run(arguments)
            .expect(2, "error: ./audit is a file, and a store is a folder\nhint: ");
    }
    let url = format!("file://{}", folder.path("audit").display());
    for command in ["list", "cleanup"] {
        folder.run(&["--store", &url, command]).expect(2, "error: ");
    }
    assert_eq!(std::fs::read_to_string(folder.path("audit")).unwrap(), "I am a file");
    folder
        .run(&["--store", "audit/below", "log", "--input", "a", "--output", "b"])
        .expect(2, "hint: a store is a folder; name one with --store");
}

#[test]
#[cfg(not(feature = "s3"))]
fn a_bucket_needs_the_feature() {
    let run = Folder::new().run(&["--store", "s3://bucket/prefix", "count"]);
    run.expect(2, "error: this program was built without stores on S3\nhint: build it with");
}

#[test]
#[cfg(feature = "s3")]
fn a_bucket_that_cannot_be_used_is_told_as_such() {
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
fn a_folder_that_cannot_be_written_is_told_as_such() {
    let folder = Folder::new();
    // Even root cannot write there.
    let run = folder.run(&["--store", "/proc/audit", "log", "--input", "a", "--output", "b"]);
    run.expect(2, "error: cannot create the folder /proc/audit: ");
    let run = folder.run(&["--store", "/dev/null/x", "log", "--input", "a", "--output", "b"]);
    run.expect(2, "error: cannot create the folder /dev/null/x: ");
    run.expect(2, "\nhint: a store is a folder");
}

#[test]
fn programs_take_turns_to_write() {
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

/// As after years: the usual limit of open files is no limit to that.
#[test]
fn a_store_of_many_segments_can_be_opened() {
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
    run(&mut shell).expect(2, "allow more with `ulimit -n`");
}

#[test]
fn what_a_crash_left_is_set_aside_and_told() {
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
fn urls_and_paths_name_stores() {
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
    wrong("", "error: the store is the empty text\nhint: name a folder");
}

#[test]
fn the_environment_names_the_store_and_the_option_goes_first() {
    let (folder, _) = Folder::with_sample();
    let count = |store: &str, arguments: &[&str]| {
        run(folder.command(arguments).env("ATTESTRY_STORE", store))
    };
    std::fs::rename(folder.path("audit"), folder.path("moved")).unwrap();
    assert_eq!(count("moved", &["count"]).stdout, "6\n");
    count("nowhere", &["count"]).expect(2, "there is no store at nowhere");
    assert_eq!(count("nowhere", &["--store", "moved", "count"]).stdout, "6\n");
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
        &["stats"],
        &["check"],
        &["key", "generate"],
        &["completions"],
    ] {
        assert!(help.contains(&format!("\n  {}", command[0])), "{command:?} is not in {help}");
        let help = folder.ok(&[command, &["--help"]].concat());
        assert!(help.contains("Examples:\n  attestry "), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    assert!(help.contains("Exit status:") && help.contains("ATTESTRY_KEY"), "{help}");
    assert!(folder.ok(&["--version"]).starts_with("attestry 0."));
    folder.run::<&str>(&[]).expect(2, "Usage: attestry");
    folder.run(&["lst"]).expect(2, "unrecognized subcommand 'lst'");
}

#[test]
fn completions_are_made_for_every_shell() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(folder.ok(&["completions", shell]).contains("attestry"), "{shell}");
    }
    folder.run(&["completions", "dos"]).expect(2, "invalid value 'dos'");
}

#[test]
fn nobody_reading_the_output_is_no_error() {
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
fn an_import_goes_on_when_nobody_reads_the_ids() {
    let folder = Folder::new();
    folder.write("many.jsonl", &sample().repeat(500));
    let mut child = folder.command(&["import", "many.jsonl"]).spawn().unwrap();
    drop(child.stdout.take());
    finish(child).expect(0, "imported 3,000 interactions");
    assert_eq!(folder.ok(&["count"]), "3000\n");
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_an_error() {
    let (folder, _) = Folder::with_sample();
    let full = || Stdio::from(std::fs::File::create("/dev/full").unwrap());
    run(folder.command(&["list"]).stdout(full()))
        .expect(2, "error: cannot write to the standard output: No space left on device");
    run(folder.command(&["import", "sample.jsonl"]).stdout(full()))
        .expect(2, "stopped: imported 6 interactions, all up to line 6;");
}
