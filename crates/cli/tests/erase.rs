//! `delete` and `cleanup`.

mod common;

use common::Folder;

#[test]
fn delete_erases_and_names_what_is_not_there() {
    let (folder, ids) = Folder::with_sample();
    let run = folder.run(&["delete", &ids[0], "nobody", &ids[3]]);
    run.expect(1, "there is no entry with the id nobody");
    assert_eq!(run.stdout, format!("{}\n{}\n", ids[0], ids[3]));
    assert_eq!(folder.ok(&["count"]), "4\n");
    let stored = folder.segment().1;
    assert!(!stored.contains(&ids[0]) && stored.contains(&ids[1]));

    folder.ok(&["delete", &ids[1]]);
    folder.run(&["delete", &ids[1]]).expect(1, "there is no entry");
    // One impossible id, and nothing is erased.
    folder.run(&["delete", &ids[2], "../x"]).expect(2, "is not the id of an entry");
    assert_eq!(folder.ok(&["count"]), "3\n");
    folder.run(&["delete"]).expect(2, "<ID>");
}

#[test]
fn cleanup_erases_what_has_expired() {
    let (folder, _) = Folder::with_sample();
    folder.ok(&["log", "--input", "new", "--output", "b"]);
    folder.ok(&["log", "--input", "old", "--output", "b", "--timestamp", "2001-01-01"]);
    // The sample is of 2026, the limit in 1970 or so.
    let long = ["cleanup", "--retention-days", "20000"];
    assert!(folder.ok(&long).starts_with("erased 0 entries of 19"));
    let dry = folder.ok(&["cleanup", "--dry-run", "--retention-days", "1"]);
    let gone = folder.ok(&["cleanup", "--retention-days", "1"]);
    assert_eq!(dry.replace("would erase", "erased")[..16], gone[..16]);
    assert!(gone.starts_with("erased 7 entries of "), "{gone}");
    assert_eq!(folder.entries().len(), 1);
    folder.run(&["cleanup", "--retention-days", "-1"]).expect(2, "");
    folder.run(&["cleanup", "--retention-days", "many"]).expect(2, "invalid value 'many'");
}

#[test]
fn compact_gives_back_the_space_of_sealed_segments() {
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
fn neither_makes_a_store() {
    let folder = Folder::new();
    for arguments in [&["delete", "x"][..], &["cleanup"], &["compact"], &["cleanup", "--dry-run"]] {
        folder.run(arguments).expect(2, "error: there is no store at ./audit\nhint: ");
        assert!(!common::exists(&folder.path("audit")));
    }
    let url = format!("file://{}", folder.path("audit").display());
    folder.run(&["--store", &url, "delete", "x"]).expect(2, "\nhint: `attestry log` and");
    assert!(!common::exists(&folder.path("audit")));
}
