//! Segments that the system does not let be changed, as for an account that records and may not erase.

#![allow(clippy::print_stderr)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::{self, Folder, Run, json};

/// Sets the mode of a file or folder.
fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs the program as an ordinary account, since no mode stops root; `None` if that is not possible.
fn run_unprivileged(folder: &Folder, arguments: &[&str]) -> Option<Run> {
    let mut command = folder.command(arguments);
    if rustix::process::getuid().is_root() {
        // The folder of the build may be closed to other accounts.
        let program = folder.path("attestry");
        if !program.exists() {
            std::fs::copy(command.get_program(), &program).unwrap();
            set_mode(&program, 0o755);
            set_mode(&folder.path("."), 0o755);
        }
        let mut unprivileged = Command::new("setpriv");
        unprivileged.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        unprivileged.arg(program).args(arguments).current_dir(folder.path("."));
        unprivileged.stdin(std::process::Stdio::null());
        unprivileged.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command = unprivileged;
    }
    match command.spawn() {
        Ok(child) => Some(common::finish(child)),
        Err(error) => {
            let required = std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all");
            assert!(!required, "setpriv cannot be run: {error}");
            eprintln!("skipped: setpriv cannot be run: {error}");
            None
        }
    }
}

#[test]
fn recording_goes_on_when_expiry_is_refused() {
    // A segment that expires as a whole and may not be unlinked, and one that may not be written to.
    let cases = [("audit", 0o500, 0o700), ("audit/audit_20200101.jsonl", 0o400, 0o600)];
    for (number, (name, mode, before)) in (0..).zip(cases) {
        let folder = Folder::new();
        let log = ["log", "--input", "old", "--output", "x", "--timestamp", "2020-01-01"];
        folder.ok(&log);
        for _ in 0..number {
            folder.ok(&["log", "--input", "new", "--output", "x"]);
        }
        let (segment, _) = folder.segment();
        std::fs::rename(segment, folder.path("audit/audit_20200101.jsonl")).unwrap();
        folder.ok(&["log", "--input", "now", "--output", "x"]);
        if rustix::process::getuid().is_root() {
            let mut chown = Command::new("chown");
            chown.args(["-R", "65534:65534"]).arg(folder.path("audit"));
            assert!(chown.status().unwrap().success());
        }
        set_mode(&folder.path(name), mode);
        let erase = ["cleanup", "--retention-days", "30"];
        let Some(run) = run_unprivileged(&folder, &erase) else { return };
        run.expect(2, "audit_20200101.jsonl: Permission denied");
        run.expect(2, "recording continues");
        for _ in 0..2 {
            let log = ["log", "--input", "after", "--output", "x"];
            run_unprivileged(&folder, &log).unwrap().expect(0, "");
        }
        set_mode(&folder.path(name), before);
        let run = run_unprivileged(&folder, &erase).unwrap();
        run.expect(0, "");
        assert!(run.stdout.starts_with("erased 1 entry"), "{}", run.stdout);
        assert_eq!(folder.ok(&["count"]), format!("{}\n", 3 + number));
    }
}

#[test]
fn every_command_reports_an_unfinished_erasure() {
    let (folder, ids) = Folder::with_sample();
    let (segment, text) = folder.segment();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let length = text.find('\n').unwrap();
    let document =
        format!(r#"{{"version":1,"erase":[{{"segment":"{name}","offset":0,"length":{length}}}]}}"#);
    let checksum = attestry::hash_content(&document);
    let log = format!("{document}\n{checksum}\n");
    std::fs::write(folder.path("audit/.attestry/erasures.journal"), log).unwrap();
    let message = format!("the erasure of 1 entries in ./audit/{name} is not finished");
    for command in [&["get", ids[1].as_str()][..], &["list"], &["count"], &["stats"]] {
        folder.run(command).expect(0, &message);
    }
    let run = folder.run(&["check", "--format", "json"]);
    run.expect(1, &message);
    assert_eq!(json(&run.stdout)["problems"][0]["kind"], "unfinished");
    // A command that writes completes it.
    folder.run(&["log", "--input", "a", "--output", "b"]).expect(0, "interrupted erasure");
    assert_eq!(folder.ok(&["count"]), "6\n");
    folder.ok(&["check"]);
}
