//! `delete`, `cleanup` and `compact`.

mod common;

use common::Folder;

#[test]
fn delete_erases_entries_and_reports_unknown_ids() {
    let (folder, ids) = Folder::with_sample();
    let run = folder.run(&["delete", &ids[0], "unknown", &ids[3]]);
    run.expect(1, "there is no entry with the id unknown");
    assert_eq!(run.stdout, format!("{}\n{}\n", ids[0], ids[3]));
    assert_eq!(folder.ok(&["count"]), "4\n");
    let stored = folder.segment().1;
    assert!(!stored.contains(&ids[0]) && stored.contains(&ids[1]));

    folder.ok(&["delete", &ids[1]]);
    folder.run(&["delete", &ids[1]]).expect(1, "there is no entry");
    // With one invalid id, nothing is erased.
    folder.run(&["delete", &ids[2], "../x"]).expect(2, "is not a valid entry id");
    assert_eq!(folder.ok(&["count"]), "3\n");
    folder.run(&["delete"]).expect(2, "<ID>");
}

#[test]
fn cleanup_erases_expired_entries() {
    let (folder, _) = Folder::with_sample();
    folder.ok(&["log", "--input", "new", "--output", "b"]);
    folder.ok(&["log", "--input", "old", "--output", "b", "--timestamp", "2001-01-01"]);
    // The sample is of 2026, the cutoff is in the 1970s.
    let long = ["cleanup", "--retention-days", "20000"];
    assert!(folder.ok(&long).starts_with("erased 0 entries at or before 19"));
    let dry = folder.ok(&["cleanup", "--dry-run", "--retention-days", "1"]);
    let erased = folder.ok(&["cleanup", "--retention-days", "1"]);
    assert_eq!(dry.replace("would erase", "erased")[..16], erased[..16]);
    assert!(erased.starts_with("erased 7 entries at or before "), "{erased}");
    assert_eq!(folder.entries().len(), 1);
    folder.run(&["cleanup", "--retention-days", "-1"]).expect(2, "");
    folder.run(&["cleanup", "--retention-days", "many"]).expect(2, "invalid value 'many'");
}

#[test]
fn compact_reclaims_space_of_sealed_segments() {
    let (folder, ids) = Folder::with_sample();
    let (today, _) = folder.segment();
    let sealed = today.with_file_name("audit_20260101_001.jsonl");
    std::fs::rename(&today, &sealed).unwrap();
    folder.ok(&["log", "--input", "new", "--output", "b"]);
    assert_eq!(folder.ok(&["compact"]), "freed 0 bytes\n");
    folder.ok(&["delete", &ids[2]]);
    let before = std::fs::metadata(&sealed).unwrap().len();
    let freed = folder.ok(&["compact"]);
    let after = std::fs::metadata(&sealed).unwrap().len();
    assert_eq!(freed, format!("freed {} bytes\n", before - after));
    assert!(after < before);
    assert_eq!(folder.ok(&["count"]), "6\n");
}

#[test]
fn erasing_commands_do_not_create_a_store() {
    let folder = Folder::new();
    for arguments in [&["delete", "x"][..], &["cleanup"], &["compact"], &["cleanup", "--dry-run"]] {
        folder.run(arguments).expect(2, "error: there is no store at ./audit\nhint: ");
        assert!(!common::exists(&folder.path("audit")));
    }
    let url = format!("file://{}", folder.path("audit").display());
    folder.run(&["--store", &url, "delete", "x"]).expect(2, "\nhint: `attestry log` and");
    assert!(!common::exists(&folder.path("audit")));
}
