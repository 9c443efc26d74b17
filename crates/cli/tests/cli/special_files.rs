//! Stores in which something else is in the place of a file.

use std::os::unix::fs::symlink;

use crate::common::Folder;
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Puts something at a path.
type Make = fn(&Folder, &std::path::Path);

/// Each command that opens a store.
const COMMANDS: [&[&str]; 12] = [
    &["log", "--input", "a", "--output", "b"],
    &["import", "sample.jsonl"],
    &["get", "550e8400-e29b-41d4-a716-446655440000"],
    &["list"],
    &["count"],
    &["count", "--safety", "failed"],
    &["delete", "550e8400-e29b-41d4-a716-446655440000"],
    &["cleanup", "--retention-days", "36500"],
    &["compact"],
    &["stats"],
    &["check"],
    &["export", "--out", "copy"],
];

#[test]
fn every_command_names_a_segment_that_is_a_link_or_fifo() {
    let (folder, _) = Folder::with_sample();
    folder.write("archived", "");
    let segment = folder.path("audit/audit_20200101.jsonl");
    let replacements: [(&str, Make); 3] = [
        ("a symbolic link", |folder, path| symlink(folder.path("archived"), path).unwrap()),
        ("a symbolic link", |folder, path| symlink(folder.path("nowhere"), path).unwrap()),
        ("a FIFO", |_, path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
    ];
    for (found, make) in replacements {
        make(&folder, &segment);
        for command in COMMANDS {
            let message = format!("audit_20200101.jsonl: it is {found}, but files");
            folder.run(command).expect(2, &message);
        }
        std::fs::remove_file(&segment).unwrap();
    }
    assert_eq!(std::fs::read(folder.path("archived")).unwrap(), b"");
    assert_eq!(folder.ok(&["count"]), "6\n");
}

#[test]
fn store_may_be_a_link_to_a_folder() {
    let (folder, _) = Folder::with_sample();
    symlink(folder.path("audit"), folder.path("link")).unwrap();
    folder.ok(&["--store", "link", "log", "--input", "a", "--output", "b"]);
    assert_eq!(folder.ok(&["--store", "link", "count"]), "7\n");
}
