//! `delete`, `cleanup` and `compact`.

use crate::common::{self, Folder};

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
    folder.run(&["delete"]).expect(2, "delete takes ids, or conditions");
    folder.run(&["delete", &ids[2], "--user", "u"]).expect(2, "delete takes ids, or conditions");
    assert_eq!(folder.ok(&["delete", "--dry-run", &ids[2]]), format!("{}\n", ids[2]));
    assert_eq!(folder.ok(&["count"]), "3\n");
    // An empty list is no error.
    let run = folder.run_with_input(&["delete", "-"], b"\n");
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""));
    let run = folder.run_with_input(&["delete", "-"], format!("{}\n", ids[2]).as_bytes());
    assert_eq!((run.status, run.stdout), (Some(0), format!("{}\n", ids[2])));
    assert_eq!(folder.ok(&["count"]), "2\n");
}

#[test]
fn delete_by_conditions_erases_the_selection() {
    let (folder, ids) = Folder::with_sample();
    let failed = ["delete", "--safety", "failed"];
    let dry = folder.run(&[&failed[..], &["--dry-run"]].concat());
    assert_eq!(dry.stdout, format!("{}\n{}\n", ids[1], ids[4]));
    dry.expect(0, "would erase 2 entries");
    assert_eq!(folder.ok(&["count"]), "6\n");
    let run = folder.run(&failed);
    run.expect(0, "erased 2 entries");
    assert_eq!(run.stdout, dry.stdout);
    folder.run(&["delete", "--metadata", "n=230"]).expect(0, "erased 1 entry");
    assert!(!folder.segment().1.contains(&ids[2]));
    // More than half.
    let most = ["delete", "--provider", "openai"];
    folder.run(&most).expect(2, "the conditions select 2 entries, more than half of 3");
    assert_eq!(folder.ok(&["count"]), "3\n");
    folder.run(&[&most[..], &["--yes"]].concat()).expect(0, "erased 2 entries");
    assert_eq!(folder.ok(&["count"]), "1\n");
}

#[test]
fn cleanup_erases_expired_entries_of_a_tenant() {
    let folder = Folder::new();
    let log = ["log", "--output", "b", "--input"];
    let old = ["--timestamp", "2001-01-01", "--metadata"];
    folder.ok(&[&log[..], &["old"], &old[..], &["attestry.tenant=acme"]].concat());
    folder.ok(&[&log[..], &["old"], &old[..], &["attestry.tenant=other"]].concat());
    folder.ok(&[&log[..], &["new", "--metadata", "attestry.tenant=acme"]].concat());
    let cleanup = ["cleanup", "--tenant", "acme"];
    let dry = folder.ok(&[&cleanup[..], &["--dry-run"]].concat());
    assert!(dry.starts_with("would erase 1 entry at or before "), "{dry}");
    assert!(folder.ok(&cleanup).starts_with("erased 1 entry at or before "));
    let left: Vec<_> =
        folder.entries().iter().map(|entry| entry["metadata"]["attestry.tenant"].clone()).collect();
    assert_eq!(left, ["other", "acme"]);
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
    let refused = folder.run(&["cleanup", "--retention-days", "1"]);
    refused.expect(2, "7 of 8 entries have expired");
    refused.expect(2, "hint: check the clock of this machine");
    assert_eq!(folder.entries().len(), 8);
    let erased = folder.ok(&["cleanup", "--retention-days", "1", "--yes"]);
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
